#!/usr/bin/env python3
"""Trains the diffusion teacher and the one-step student; one command for both: python models/training/train.py"""

import argparse
import math
import time
from dataclasses import replace
from pathlib import Path

import torch

import checkpoint
import data
from diffusion import SIGMA_MAX, SIGMA_MIN, Denoiser, heun, karras_levels
from distillation import Discriminator, Distillation
from drums import Drums, SoundLoss
from equivariant import EquivariantConfig, EquivariantUNet
from loops import Loops
from materials import Dataset, Materials
from network import UNetConfig
from optimizer import optimizers
from perceptual import FINE, MULTISCALE, Layers, PerceptualNetwork, train_perceptual
from songs import Songs
from spectral import SKIP, SpectralConfig
from textures import TextureLoss
from trainer import OutOfTime, train


def write_sheet(denoiser: Denoiser, pictures: Dataset, device: str, path: Path) -> None:
    """Every label as often as the others, the same noise at every call."""
    from PIL import Image

    generator = torch.Generator().manual_seed(0)
    rows, columns = pictures.sheet
    label = (torch.arange(rows * columns) % max(len(pictures.names), 1)).to(device)
    x = torch.randn(len(label), *pictures.shape, generator=generator).to(device) * SIGMA_MAX

    @torch.no_grad()
    def denoise(x, sigma):
        return denoiser(x, torch.full((len(x),), sigma, device=device), label)

    one_step = denoiser.boundary > 0
    x = denoise(x, SIGMA_MAX) if one_step else heun(denoise, x, karras_levels(18).tolist())[-1]
    tiles = pictures.picture(x).cpu()
    picture = torch.cat([torch.cat(list(row), dim=2) for row in tiles.split(columns)], dim=1).permute(1, 2, 0).numpy()
    Image.fromarray(picture.squeeze(-1) if picture.shape[-1] == 1 else picture).save(path)


def describe(pictures: Dataset, config: checkpoint.Config, boundary: float) -> dict:
    """What models/export.py has to know of a network beside its weights."""
    return {"network": checkpoint.describe(config), "shape": pictures.shape, "sample": pictures.sample, "names": pictures.names,
            "sigma_data": pictures.sigma_data(), "boundary": boundary, "data": pictures.source}


def start_from(path: Path, network: torch.nn.Module) -> int:
    """Takes over the averaged weights of an earlier run of the same network; the number of images that it has seen."""
    about, average = checkpoint.load(path)
    try:
        network.load_state_dict(average)
    except RuntimeError as error:
        raise SystemExit(f"{path}: not of this network: {error}") from None
    return about["images"]


def train_teacher(pictures: Dataset, config: checkpoint.Config, options: argparse.Namespace) -> Denoiser:
    """Denoising score matching as in EDM (Karras et al. 2022, Eq. 8), with 10 % of the labels dropped."""
    device, sigma_data = options.device, pictures.sigma_data()
    torch.manual_seed(options.seed)
    network = config.build().to(device, memory_format=torch.channels_last)
    about = describe(pictures, config, boundary=0.0)
    if options.model == "materials":
        tell_places(network, pictures)
    if options.start_from:
        about["images"] = start_from(options.start_from, network)
    denoiser = Denoiser(network, sigma_data, boundary=0.0)
    compiled = torch.compile(denoiser, dynamic=False, disable=options.no_compile)

    def loss_of(denoise, crops: data.Crops) -> torch.Tensor:
        x0 = crops.x.to(device)
        label = torch.where(torch.rand(len(x0)) < 0.1, config.labels, crops.labels).to(device)
        mean, spread = pictures.noise
        sigma = (torch.randn(len(x0)) * spread + mean).exp().to(device)
        noisy = x0 + sigma.view(-1, 1, 1, 1) * torch.randn(x0.shape, device=device)
        weight = (sigma**2 + sigma_data**2) / (sigma * sigma_data) ** 2
        error = (crops.weight.to(device) * (denoise(noisy, sigma, label) - x0).square()).mean(dim=(1, 2, 3))
        return (weight * error).mean()

    def loss(_step: int, _steps: int) -> torch.Tensor:
        return loss_of(compiled, pictures.draw(options.batch))

    @torch.no_grad()
    def sheet(average, path):
        denoise = Denoiser(average, sigma_data, 0.0)
        write_sheet(denoise, pictures, device, path)
        # The same noise every time. Where the held-out pictures' loss rises, the others are being learnt by heart.
        figures = {}
        for name, seen in (("loss_of_average", pictures), ("loss_held_out", pictures.held_out)):
            if seen is not None:
                torch.manual_seed(0)
                figures[name] = round(sum(float(loss_of(denoise, seen.draw(options.batch))) for _ in range(4)) / 4, 5)
        return figures

    average = train("teacher", network, optimizers(network, muon=options.muon, adam=options.adam), loss,
                    images=options.teacher_images, batch=options.batch, folder=options.output, seed=options.seed,
                    about=about, sheet=sheet, every=options.sheet_every, deadline=options.deadline)
    return Denoiser(average, sigma_data, 0.0)


REGULAR = 0.4  # least regularity of a label's pictures, their mean, with which the network is told of the place


def tell_places(network: EquivariantUNet, pictures: Materials) -> None:
    total = torch.zeros(len(pictures.names)).index_add(0, pictures.labels, pictures.regularity())
    mean = total / torch.bincount(pictures.labels, minlength=len(total))
    network.regular[:-1] = (mean >= REGULAR).float()


def train_student(pictures: Dataset, config: checkpoint.Config, teacher: Denoiser | None, perceptual: PerceptualNetwork | None,
                  options: argparse.Namespace) -> Denoiser:
    """A consistency function: the identity at sigma_min. Of garments, the teacher's network is tuned into one; of materials
    and sounds it learns from what is real alone."""
    device, sigma_data = options.device, pictures.sigma_data()
    torch.manual_seed(options.seed)
    network = config.build().to(device, memory_format=torch.channels_last)
    about = describe(pictures, config, boundary=SIGMA_MIN)
    if options.model == "materials":
        tell_places(network, pictures)
    if teacher is not None:
        network.load_state_dict(teacher.network.state_dict())
    if options.start_student_from:
        about["images"] = start_from(options.start_student_from, network)
    compiled = torch.compile(Denoiser(network, sigma_data, SIGMA_MIN), dynamic=False, disable=options.no_compile)
    learning, discriminator = optimizers(network, muon=options.muon, adam=options.adam), None
    if perceptual is not None:
        features = torch.compile(perceptual.features, dynamic=False, disable=options.no_compile)
    if perceptual is None:
        loss = SoundLoss(compiled, network.codes, pictures, batch=options.student_batch, compiled=not options.no_compile,
                         device=device)
    elif teacher is None:
        loss = TextureLoss(compiled, features, pictures, batch=options.student_batch, device=device)
    else:
        teacher = torch.compile(teacher.requires_grad_(False).eval(), dynamic=False, disable=options.no_compile)
        with torch.no_grad():
            channels = [f.shape[1] for f in perceptual.features(torch.zeros(2, *pictures.shape, device=device))]
        discriminator = Discriminator(channels, config.labels).to(device)
        learning.append(torch.optim.Adam(discriminator.parameters(), lr=1e-3, betas=(0.5, 0.99)))
        loss = Distillation(compiled, teacher, features, discriminator, pictures, batch=options.student_batch,
                            pool=options.pool, seed=options.seed, device=device)

    def sheet(average, path):
        write_sheet(Denoiser(average, sigma_data, SIGMA_MIN), pictures, device, path)

    average = train("student", network, learning, loss,
                    images=options.student_images, batch=options.student_batch, folder=options.output, seed=options.seed,
                    about=about, sheet=sheet, every=options.sheet_every,
                    beside=discriminator, deadline=options.deadline)
    return Denoiser(average, sigma_data, SIGMA_MIN)


def report(pictures: Dataset) -> None:
    print(f"{pictures.source}; {len(pictures.names)} labels; sigma_data {pictures.sigma_data()}", flush=True)


# Materials have 5 to 20 times the pixels of garments, so that fewer do.
DEFAULTS = {"garments": {"teacher_images": 2_000_000, "student_images": 2_000_000, "perceptual_images": 600_000, "batch": 128,
                         "student_batch": 128, "pool": 2048, "sheet_every": 100_000},
            "materials": {"teacher_images": 500_000, "student_images": 500_000, "perceptual_images": 30_000, "batch": 32,
                          "student_batch": 16, "sheet_every": 10_000},
            "drums": {"student_images": 300_000, "student_batch": 32, "sheet_every": 10_000},
            "loops": {"teacher_images": 2_000_000, "student_images": 1_000_000, "perceptual_images": 60_000, "batch": 64,
                      "student_batch": 64, "pool": 1024, "sheet_every": 50_000},
            "songs": {"teacher_images": 2_000_000, "student_images": 1_000_000, "perceptual_images": 100_000, "batch": 64,
                      "student_batch": 64, "pool": 1024, "sheet_every": 50_000}}

# What --data is to be, where nothing is at hand without it.
NEEDED = {"materials": "a folder a class", "songs": "lieder.jsonl.xz", "drums": "a folder of .ogg, a class each, its sounds end to end",
          "loops": "a folder a class, of strips of 8 frames side by side"}


def by_model(name: str) -> str:
    """For the help."""
    return ", ".join(f"{defaults[name]} for {model}" for model, defaults in DEFAULTS.items() if name in defaults)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", choices=tuple(DEFAULTS), default="garments",
                        help="garments: small pictures, whole (the default). materials: textures for planes of any size. "
                        "songs: rolls of four bars for voice and piano. drums: sounds of a second. loops: animated creatures")
    parser.add_argument("--data", type=Path, help="a folder a class, or an .npz (images, labels); default Fashion-MNIST. "
                        "Of " + ". Of ".join(f"{model}: {what}" for model, what in NEEDED.items()))
    parser.add_argument("--labels", type=Path, metavar="JSON", help="of materials: {label: [CLASS/FILE, ...]}, the pictures that each "
                        "label is to look like (default: every folder is a label, of all its pictures)")
    parser.add_argument("--size", type=int, help="side of the garments of a folder, pixels; default: the first picture's")
    parser.add_argument("--output", type=Path, default=Path("training-run"), help="checkpoints, logs and sheets (default %(default)s)")
    parser.add_argument("--teacher-images", type=int, help=f"training pictures drawn (default {by_model('teacher_images')})")
    parser.add_argument("--student-images", type=int, help=f"the same for the student (default {by_model('student_images')})")
    parser.add_argument("--perceptual-images", type=int, help="the same for the classifier behind the student's perceptual "
                        f"distance (default {by_model('perceptual_images')})")
    parser.add_argument("--start-from", type=Path, metavar="CHECKPOINT",
                        help="begin the teacher from the weights of an earlier run, such as one on other pictures of this size")
    parser.add_argument("--start-student-from", type=Path, metavar="CHECKPOINT",
                        help="begin the student from an earlier student's weights instead of the teacher's")
    parser.add_argument("--batch", type=int, help=f"pictures a step (default {by_model('batch')})")
    parser.add_argument("--student-batch", type=int, help=f"the same for the student (default {by_model('student_batch')})")
    parser.add_argument("--muon", type=float, default=5e-4, help="step of the matrices (default %(default)s; 1e-3 is good for materials)")
    parser.add_argument("--adam", type=float, default=1e-3, help="step of all else (default %(default)s; 2e-3 for materials)")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--minutes", type=float, default=math.inf,
                        help="stop after so many with a checkpoint; the same command goes on from there")
    parser.add_argument("--threads", type=int, help="CPU threads")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--sheet-every", type=int, help=f"pictures between sheets (default {by_model('sheet_every')})")
    parser.add_argument("--pool", type=int, help=f"trajectories of the teacher drawn at once (default {by_model('pool')})")
    parser.add_argument("--no-compile", action="store_true", help="run without torch.compile")
    parser.add_argument("--smoke", action="store_true", help="a few steps of every stage, to see that all of it runs")
    options = parser.parse_args()
    options.deadline = time.monotonic() + 60 * options.minutes
    if options.model in NEEDED and (options.data is None or not options.data.exists()):
        parser.error(f"--model {options.model} needs --data, {NEEDED[options.model]}; it is {options.data or 'missing'}")
    if options.smoke:
        small = 16 if options.model == "garments" else 4
        options.teacher_images = options.perceptual_images = options.student_images = 24 * small
        options.batch = options.student_batch = small
        options.pool, options.sheet_every, options.no_compile = 2 * small, 4 * small, True
    for name, value in DEFAULTS[options.model].items():
        if getattr(options, name) is None:
            setattr(options, name, value)
    return options


def main() -> None:
    options = parse()
    if options.threads:
        torch.set_num_threads(options.threads)

    def train_perceptual_on(pictures: Dataset, layers: Layers) -> PerceptualNetwork:
        return train_perceptual(pictures, layers, images=options.perceptual_images, batch=options.batch, folder=options.output,
                                seed=options.seed, device=options.device, compiled=not options.no_compile,
                                deadline=options.deadline)

    try:
        if options.model == "materials":
            # The classifier tells the folders apart; what is drawn has the finer labels.
            perceptual = train_perceptual_on(Materials(options.data).to(options.device), MULTISCALE)
            pictures = Materials(options.data, power=0, labels=options.labels).to(options.device)
            config = EquivariantConfig(labels=len(pictures.names))
            if options.smoke:
                config = EquivariantConfig(labels=len(pictures.names), widths=(16, 24, 32), looks=(2, 1, 0), embedding=16)
            report(pictures)
            train_student(pictures, config, None, perceptual, options)
            train_teacher(pictures, config, options)
        elif options.model == "drums":
            pictures = Drums(options.data)
            config = SpectralConfig(labels=len(pictures.names), deviation=pictures.deviation())
            if options.smoke:
                config = replace(config, widths=(16, 16, 16))
            report(pictures)
            train_student(pictures, config, None, None, options)
        else:
            if options.model == "songs":
                pictures = Songs(options.data)
                config = UNetConfig(channels=4, labels=len(pictures.names), fold=4,
                                    widths=(32, 32) if options.smoke else (96, 160))
            elif options.model == "loops":
                pictures = Loops(options.data)
                config = UNetConfig(channels=pictures.shape[0], labels=len(pictures.names),
                                    widths=(32, 32) if options.smoke else (96, 160), gated=True)
            else:
                pictures = data.load(options.data, options.size)
                config = UNetConfig(channels=pictures.shape[0], labels=len(pictures.names))
            report(pictures)
            teacher = train_teacher(pictures, config, options)
            train_student(pictures, config, teacher, train_perceptual_on(pictures, FINE), options)
    except OutOfTime:
        print(f"stopped after {options.minutes:g} minutes; the same command goes on from there")


if __name__ == "__main__":
    main()
