"""Crops of materials: a folder a class of textures, some of which wrap without a seam."""

import hashlib
import json
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from data import IMAGE, PICTURES, Crops, Pictures, shifted_and_mirrored, to_bytes
from drums import Drums
from loops import Loops
from songs import Songs

SIDE = 128  # of a crop at scale 1, pixels
SLACK = 8  # further pixels of a picture that doesn't wrap: its crops begin anywhere in them
SEAM = 8  # pixels beside the edges of such a crop that no loss counts: what lies across the edge is not their neighbour

# Classes that look the same from every side; the others keep their upright and are only mirrored.
TURNED = {"animal", "concrete", "gem", "gravel", "ground", "marble", "paving", "pattern", "plants", "rust", "stone", "tiles",
          "water_ice"}


def held_out(path: Path) -> bool:
    """A tenth of the files, told by class and name alone: the same on every machine, whatever else is in the folder."""
    return hashlib.sha256(f"{path.parent.name}/{path.name}".encode()).digest()[0] * 10 < 256


def wraps(picture: np.ndarray) -> bool:
    """Whether the edges [H, W, C] meet as well as neighbouring rows and columns inside do, or nearly."""
    for axis in (0, 1):
        inside = np.abs(np.diff(picture.astype(np.float32), axis=axis)).mean(axis=(1 - axis, 2))
        seam = np.abs(np.take(picture, 0, axis).astype(np.float32) - np.take(picture, -1, axis)).mean()
        if seam > 1.15 * np.quantile(inside, 0.9) + 1:
            return False
    return True


class Materials:
    """What was read of a folder. Crops are drawn at scale 1, [3, 128, 128], or at 1/2, [3, 64, 64], four times as many."""

    shape = [3, SIDE, SIDE]
    # As Pictures.noise. The colours of 128x128 pixels are settled at levels from 6 to 80, which need an eighth of the crops.
    noise = (0.0, 1.7)
    sample = IMAGE
    picture, augmented = staticmethod(to_bytes), staticmethod(shifted_and_mirrored)

    def __init__(self, folder: Path, part: str = "train", power: float = 0.5, labels: Path | None = None):
        """part: train, or held_out, the tenth that no training sees. Labels are drawn as often as the number of their files, to
        this power, has it: 1/2 draws small classes more often than their files would have it, large ones less; 0 all alike.
        labels: a JSON file, {label: [CLASS/FILE, ...]}; else each folder is a label, of all its files."""
        from PIL import Image

        self.held_out = Materials(folder, "held_out") if part == "train" and labels is None else None
        if labels is None:
            files = {p.name: sorted(p.iterdir()) for p in sorted(folder.iterdir()) if p.is_dir()}
        else:
            files = {name: [folder / file for file in chosen] for name, chosen in json.loads(labels.read_text()).items()}
        self.names = list(files)
        seamless, cut = [], []
        for label, name in enumerate(self.names):
            for file in files[name]:
                if file.suffix.lower() not in PICTURES or held_out(file) != (part == "held_out"):
                    continue
                try:
                    with Image.open(file) as image:
                        side = min(image.size)
                        left, top = (image.width - side) // 2, (image.height - side) // 2
                        square = image.convert("RGB").crop((left, top, left + side, top + side))
                except OSError as error:
                    raise SystemExit(f"{file}: {error}") from None
                whole = image.width == image.height and wraps(np.asarray(square))
                size = SIDE if whole else SIDE + SLACK
                pixels = np.asarray(square.resize((size, size), Image.Resampling.LANCZOS)).transpose(2, 0, 1)
                (seamless if whole else cut).append((pixels, label, name in TURNED))
        missing = set(range(len(self.names))) - {label for _, label, _ in seamless + cut}
        if labels is not None and missing:
            raise SystemExit(f"{labels}: '{self.names[missing.pop()]}' has no picture to {part} with")
        if not seamless and not cut:
            raise SystemExit(f"{folder}: no pictures ({', '.join(sorted(PICTURES))}) in its folders to {part} with")
        self.labels = torch.tensor([label for _, label, _ in seamless + cut])
        self.seamless = self._stack([pixels for pixels, _, _ in seamless], SIDE)
        self.cut = self._stack([pixels for pixels, _, _ in cut], SIDE + SLACK)
        self.source = (f"{folder.name}, {len(self.labels)} pictures, of which {len(seamless)} wrap" +
                       (", a tenth of the files held out" if part == "train" else ""))
        self.turned = torch.tensor([turned for _, _, turned in seamless + cut])
        self.chances = torch.bincount(self.labels).float().pow(power - 1)[self.labels]

    @staticmethod
    def _stack(pictures: list[np.ndarray], side: int) -> Tensor:
        return torch.from_numpy(np.array(pictures, np.uint8).reshape(-1, 3, side, side))

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def sheet(self) -> tuple[int, int]:
        """Rows and columns of a sheet of samples: one of every label."""
        columns = min(12, len(self.names))
        return -(-len(self.names) // columns), columns

    def sigma_data(self) -> float:
        """Standard deviation of all pixel values about their common mean, in units of [-1, 1]."""
        values = torch.cat([self.seamless.flatten(), self.cut.flatten()]).double() / 127.5 - 1
        return round(float(values.std()), 3)

    def draw(self, count: int, scale: int | None = None) -> Crops:
        """`count` crops at scale 1, or four times as many at 1/2: as many pixels. scale: 1, 2 (for 1/2), or either by chance."""
        scale = scale or 1 + int(torch.randint(2, ()))
        return self.crops_of(torch.multinomial(self.chances, count * scale**2, replacement=True), scale)

    def wholes(self) -> Tensor:
        """Every picture as it is, [N, 3, 128, 128] in [-1, 1]; of those that don't wrap, the middle."""
        edge = SLACK // 2
        return torch.cat([self.seamless, self.cut[:, :, edge:-edge, edge:-edge]]).float() / 127.5 - 1

    def regularity(self) -> Tensor:
        """Of every picture, how far it is like itself somewhere between 40 and 64 pixels away: its highest autocorrelation, [N].
        0.05 for sand, 0.9 for bricks."""
        grey = self.wholes().mean(dim=1)
        grey = grey - grey.mean(dim=(1, 2), keepdim=True)
        products = torch.fft.irfft2(torch.fft.rfft2(grey, s=(2 * SIDE, 2 * SIDE)).abs().square())
        lags = torch.arange(-64, 65)
        pairs = (SIDE - lags.abs()).view(-1, 1) * (SIDE - lags.abs())
        found = products[:, lags][:, :, lags] / pairs
        far = torch.maximum(lags.abs().view(-1, 1), lags.abs()) >= 40
        return found[:, far].amax(dim=1) / found[:, 64, 64].clamp(min=1e-9)

    def crops_of(self, index: Tensor, scale: int = 1) -> Crops:
        """A crop of every picture of the index. Those that wrap are rolled; of the others, all counts but what is beside the
        seam."""
        side, count = SIDE // scale, len(index)
        turned, flips, transposed = self.turned[index], torch.rand(2, count) < 0.5, torch.rand(count) < 0.5
        flips[0] &= turned  # rows; that of the columns suits every class
        # The rows and columns of its picture that each crop is made of.
        place = torch.arange(SIDE).expand(2, count, SIDE)
        place = torch.where(flips.unsqueeze(2), SIDE - 1 - place, place) + torch.randint(SIDE, (2, count, 1))
        weight = torch.ones(count, 1, side, side)
        pictures = torch.empty(count, 3, SIDE, SIDE, dtype=torch.uint8, device=self.seamless.device)
        whole = index < len(self.seamless)
        for stack, chosen, which in ((self.seamless, whole, index), (self.cut, ~whole, index - len(self.seamless))):
            rows, columns = place[:, chosen] % SIDE if stack is self.seamless else self._within_slack(place[:, chosen])
            at = which[chosen].view(-1, 1, 1), torch.arange(3).view(1, 3, 1), rows.unsqueeze(1)
            x = stack[tuple(i.to(stack.device) for i in at)]  # whole rows, which is quick
            pictures[chosen.to(stack.device)] = x.gather(3, columns[:, None, None].to(x.device).expand(-1, 3, SIDE, -1))
        weight[~whole] = F.pad(torch.ones(1, side - 2 * SEAM, side - 2 * SEAM), (SEAM,) * 4)
        x = F.avg_pool2d(pictures.float(), scale) / 127.5 - 1
        x = torch.where((transposed & turned).view(-1, 1, 1, 1).to(x.device), x.transpose(2, 3), x)
        return Crops(x, self.labels[index], (weight / weight.mean()).to(x.device))

    @staticmethod
    def _within_slack(place: Tensor) -> Tensor:
        """Rows or columns that began anywhere now begin in the slack."""
        least = place.amin(dim=2, keepdim=True)
        return place - least + least % (SLACK + 1)

    def to(self, device: str) -> "Materials":
        """The same, with the pictures, from which crops are made, on a device."""
        self.seamless, self.cut = self.seamless.to(device), self.cut.to(device)
        if self.held_out is not None:
            self.held_out.to(device)
        return self

    def squares(self, count: int) -> tuple[Tensor, Tensor]:
        """About `count` crops of 64x64 pixels, half of them at scale 1 and half at 1/2, in [-1, 1], and their labels."""
        large, small = self.draw(-(-count // 8), 1), self.draw(-(-count // 8), 2)
        return torch.cat([cut(large.x), small.x]), torch.cat([large.labels.repeat_interleave(4), small.labels])


def cut(x: Tensor, side: int = SIDE // 2) -> Tensor:
    """The squares that pictures [N, C, H, W] are made of, one picture's after another's: [N H W / side^2, C, side, side]."""
    n, c, height, width = x.shape
    squares = x.view(n, c, height // side, side, width // side, side).permute(0, 2, 4, 1, 3, 5)
    return squares.reshape(-1, c, side, side)


Dataset = Pictures | Materials | Songs | Drums | Loops  # what the stages of training draw from
