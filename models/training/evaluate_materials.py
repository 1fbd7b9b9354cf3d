#!/usr/bin/env python3
"""Measures regions of materials against real ones: python models/training/evaluate_materials.py --data FOLDER WHAT...

WHAT is a checkpoint, of which regions are drawn here, or a folder with a folder of pictures for each label, however they
were drawn. Regions are cut into 64x64 crops, which `onestep evaluate` measures against crops of the held-out files, in the features of
the committed classifier of classes, a folder of FOLDER each (docs/evaluation.md). Beside it: how near crops come to the training pictures, and whether the tiles that a
region was drawn in show in its autocorrelation.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

import checkpoint
import classifier
from data import PICTURES
from diffusion import SIGMA_MAX, Denoiser, heun, karras_levels
from evaluate import HEUN_LEVELS, to_bytes
from materials import Materials, cut
from measure import Measure

COARSE = 4  # pixels a side that are averaged before crops are compared with the training pictures


def draw(file: Path, label: int, side: int, calls: int, seed: int) -> Tensor:
    """A region as bytes, [3, side, side], that wraps; of a consistency model in one call."""
    about, average = checkpoint.load(file)
    network = checkpoint.config_of(about).build().eval().requires_grad_(False).to(memory_format=torch.channels_last)
    network.load_state_dict(average)
    denoiser = Denoiser(network, about["sigma_data"], about["boundary"])
    x = torch.randn(1, 3, side, side, generator=torch.Generator().manual_seed(seed)) * SIGMA_MAX

    def denoise(x: Tensor, sigma: float) -> Tensor:
        return denoiser(x, torch.full((1,), float(sigma)), torch.tensor([label]))

    with torch.no_grad():
        drawn = denoise(x, SIGMA_MAX) if calls == 1 else heun(denoise, x, karras_levels(HEUN_LEVELS[calls]).tolist())[-1]
    return to_bytes(drawn[0])


def read(folder: Path, names: list[str]) -> dict[str, list[Tensor]]:
    """Regions as bytes, [3, H, W], by label."""
    from PIL import Image

    regions = {}
    for name in names:
        files = sorted(f for f in (folder / name).glob("*") if f.suffix.lower() in PICTURES)
        regions[name] = [torch.from_numpy(np.array(Image.open(f).convert("RGB"))).permute(2, 0, 1) for f in files]
        if not files:
            raise SystemExit(f"{folder / name}: has no pictures ({', '.join(sorted(PICTURES))}); every label needs some")
    return regions


def write(regions: dict[str, list[Tensor]], folder: Path) -> None:
    from PIL import Image

    for name, pictures in regions.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        for i, picture in enumerate(pictures):
            Image.fromarray(picture.permute(1, 2, 0).numpy()).save(folder / name / f"{i}.png")


def crops_of(regions: dict[str, list[Tensor]]) -> tuple[Tensor, Tensor]:
    """All 64x64 squares, and their labels."""
    crops, labels = [], []
    for label, pictures in enumerate(regions.values()):
        for picture in pictures:
            height, width = (side // 64 * 64 for side in picture.shape[1:])
            crops.append(cut(picture[None, :, :height, :width], 64))
            labels.append(torch.full((len(crops[-1]),), label))
    return torch.cat(crops), torch.cat(labels)


def nearest_training_crop(crops: Tensor, train: Materials) -> Tensor:
    """Of crops as bytes [N, 3, 64, 64]: distance to the nearest one of the training pictures, root mean square in units of
    [-1, 1], over means of 4x4 pixels. Training crops are all those of both scales that begin at multiples of 4 pixels."""
    x = F.avg_pool2d(crops.float() / 127.5 - 1, COARSE)
    norms, least = x.square().sum(dim=(1, 2, 3)), torch.full((len(x),), torch.inf)
    ones = torch.ones(1, *x.shape[1:])
    for pictures, wraps in ((train.seamless, True), (train.cut, False)):
        for part in pictures.split(32):
            whole = F.avg_pool2d(part.float() / 127.5 - 1, COARSE)
            for picture in (whole, F.avg_pool2d(whole, 2)):
                if wraps:
                    picture = F.pad(picture, (0, x.shape[3] - 1, 0, x.shape[2] - 1), mode="circular")
                distance = F.conv2d(picture.square(), ones) - 2 * F.conv2d(picture, x) + norms.view(1, -1, 1, 1)
                least = torch.minimum(least, distance.amin(dim=(0, 2, 3)))
    return (least.clamp(min=0) / x[0].numel()).sqrt()


class Judge:
    """Real crops, seen through the classifier."""

    def __init__(self, folder: Path, count: int):
        self.classifier, self.count = classifier.load(classifier.MATERIALS_FILE), count
        torch.manual_seed(0)
        self.train, self.held_out = (Materials(folder, part, power=0) for part in ("train", "held_out"))
        self.names = self.train.names
        self.real, self.real_labels = self.crops(self.held_out)
        self.of_real = Measure(self.classifier, self.real, self.real_labels)

    def crops(self, pictures: Materials) -> tuple[Tensor, Tensor]:
        x, labels = pictures.squares(self.count)
        return to_bytes(x), labels

    def given(self, pixels: Tensor) -> Tensor:
        """The class that each is given, [N]."""
        with torch.no_grad():
            return torch.cat([self.classifier(part.float() / 127.5 - 1).argmax(1) for part in pixels.split(500)])

    def agreement(self, pixels: Tensor, labels: Tensor, classes: Tensor) -> Tensor:
        """A label at a time; classes: of every label."""
        right = (self.given(pixels) == classes[labels]).float()
        return torch.stack([right[labels == label].mean() for label in range(len(classes))])

    def measure(self, pixels: Tensor, classes: Tensor) -> dict:
        """Of `count` crops at most."""
        index = torch.randperm(len(pixels))[:self.count]
        pixels, classes = pixels[index], classes[index]
        return {"crops": len(pixels), **self.of_real(pixels, classes)}

    def copies(self, pixels: Tensor, count: int) -> dict:
        """Distances of `count` crops against those of held-out ones: median, first percentile, and the share of crops below the
        first percentile of the held-out ones (0.01 if none is copied)."""
        found, real = (nearest_training_crop(p[torch.randperm(len(p))[:count]], self.train) for p in (pixels, self.real))
        low = float(real.quantile(0.01))
        return {"nearest_median": round(float(found.median()), 3), "nearest_median_of_held_out": round(float(real.median()), 3),
                "nearest_percentile_1": round(float(found.quantile(0.01)), 3),
                "nearest_percentile_1_of_held_out": round(low, 3), "share_below": round(float((found < low).float().mean()), 3)}


def autocorrelation(region: Tensor, along: int) -> Tensor:
    """Of the sum of the channels of a region [C, H, W] along a dimension, for lags from 0 to three quarters of its size."""
    x = region.float().sum(0)
    x = x - x.mean()
    size = x.shape[along - 1]
    spectrum = torch.fft.rfft(x, 2 * size, dim=along - 1).abs().square()
    r = torch.fft.irfft(spectrum, dim=along - 1).sum(dim=2 - along)[:size * 3 // 4]
    r = r / torch.arange(size, size - len(r), -1)  # as many pairs of pixels as there are
    return r / r[0].clamp(min=1e-9)


def prominence(regions: list[Tensor], lag: int, around: int = 12) -> float:
    """How far the autocorrelation at a lag stands out of the line between its neighbours, in deviations of what other lags near
    by do, the mean over regions. Where nothing happens at the lag: below 3."""
    def kinks(region: Tensor) -> Tensor:
        r = sum(autocorrelation(region, along) for along in (1, 2)) / 2
        return r[1:-1] - (r[:-2] + r[2:]) / 2  # of lag i + 1

    mean = torch.stack([kinks(region)[:lag + around + 1] for region in regions]).mean(0)
    near = [i for i in range(lag - around, lag + around + 1) if abs(i - lag) > 1]
    return float(mean[lag - 1] / mean[torch.tensor(near) - 1].std().clamp(min=1e-9))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", type=Path, nargs="*", help="checkpoints of models/training; folders with a folder a label")
    parser.add_argument("--data", type=Path, required=True, metavar="FOLDER", help="the materials, a folder a class")
    parser.add_argument("--labels", type=Path, metavar="JSON", help="as given to train.py (default: the folders' names)")
    parser.add_argument("--crops", type=int, default=10_000, help="at most (default %(default)s)")
    parser.add_argument("--regions", type=int, default=8, help="of each label, of a checkpoint (default %(default)s)")
    parser.add_argument("--side", type=int, default=512, help="of those, pixels (default %(default)s)")
    parser.add_argument("--calls", type=int, default=79, choices=sorted(HEUN_LEVELS), help="of a diffusion model (default 79)")
    parser.add_argument("--save", type=Path, metavar="FOLDER", help="keep the regions that are drawn, a folder a label")
    parser.add_argument("--tile", type=int, default=256, help="side of the tiles that regions were drawn in (default %(default)s)")
    parser.add_argument("--copies", type=int, default=500, help="crops compared with all of training (default %(default)s)")
    parser.add_argument("--threads", type=int, help="CPU threads")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    if not classifier.MATERIALS_FILE.exists():
        parser.error(f"{classifier.MATERIALS_FILE} is missing: classifier.py --data {options.data} trains it")
    judge = Judge(options.data, options.crops)
    # Of every label, its class: the folder that its pictures are in.
    labels = {name: [name + "/"] for name in judge.names} if options.labels is None else json.loads(options.labels.read_text())
    classes = torch.tensor([judge.names.index(files[0].split("/")[0]) for files in labels.values()])

    def show(name: str, values: dict) -> None:
        line = json.dumps({"regions": name, **values}) if options.json else \
            f"{name:24s} " + "  ".join(f"{k} {v}" for k, v in values.items())
        print(line, flush=True)

    show("held-out files", {"agreement": round(float((judge.given(judge.real) == judge.real_labels).float().mean()), 3)})
    show("training (the floor)", judge.measure(*judge.crops(judge.train)))
    real_agreement = judge.agreement(judge.real, judge.real_labels, torch.arange(len(judge.names)))[classes]
    for what in options.what:
        if what.is_dir():
            regions, calls = read(what, list(labels)), ""
        else:
            calls = 1 if checkpoint.load(what)[0]["boundary"] > 0 else options.calls
            regions = {name: [draw(what, label, options.side, calls, 1000 * label + i) for i in range(options.regions)]
                       for label, name in enumerate(labels)}
            if options.save:
                write(regions, options.save)
        pixels, wanted = crops_of(regions)
        values = judge.measure(pixels, classes[wanted])
        if options.copies:
            values |= judge.copies(pixels, options.copies)
        every = [region for pictures in regions.values() for region in pictures]
        for lag in (options.tile, 16):
            if lag + 14 <= 3 * min(min(region.shape[1:]) for region in every) // 4:
                values[f"prominence_at_{lag}"] = round(prominence(every, lag), 2)
        show(what.name + (f", {calls} calls" if calls else ""), values)
        by_label = judge.agreement(pixels, wanted, classes)
        show("  agreement by label", {name: f"{found:.2f} (real {real:.2f})" for name, found, real in
                                      zip(labels, by_label.tolist(), real_agreement.tolist())})


if __name__ == "__main__":
    main()
