#!/usr/bin/env python3
"""Trains the diffusion teacher and the one-step student; one command for both: python models/training/train.py"""

import argparse
from pathlib import Path

import torch

import data
from diffusion import SIGMA_MAX, SIGMA_MIN, Denoiser, heun, karras_levels
from distillation import Discriminator, Distillation
from network import UNet, UNetConfig
from optimizer import optimizers
from perceptual import PerceptualNetwork, train_perceptual
from trainer import train


def write_sheet(denoiser: Denoiser, labels: int, shape: tuple[int, ...], device: str, path: Path) -> None:
    """Five rows of ten: a column a label, the same noise at every call."""
    from PIL import Image

    generator = torch.Generator().manual_seed(0)
    label = torch.arange(max(labels, 1)).repeat(5).to(device)
    x = torch.randn(len(label), *shape, generator=generator).to(device) * SIGMA_MAX
    given = label if labels else None

    @torch.no_grad()
    def denoise(x, sigma):
        return denoiser(x, torch.full((len(x),), sigma, device=device), given)

    one_step = denoiser.boundary > 0
    x = denoise(x, SIGMA_MAX) if one_step else heun(denoise, x, karras_levels(18).tolist())[-1]
    tiles = ((x.clamp(-1, 1) + 1) * 127.5).round().byte().cpu()
    rows = [torch.cat(list(row), dim=2) for row in tiles.split(max(labels, 1))]
    picture = torch.cat(rows, dim=1).permute(1, 2, 0).numpy()
    Image.fromarray(picture.squeeze(-1) if picture.shape[-1] == 1 else picture).save(path)


def describe(pictures: data.Pictures, config: UNetConfig, boundary: float) -> dict:
    """What models/export.py has to know of a network beside its weights."""
    return {"network": config.to_dict(), "shape": list(pictures.pixels.shape[1:]), "names": pictures.names,
            "sigma_data": pictures.sigma_data(), "boundary": boundary, "data": pictures.source}


def start_from(checkpoint: Path, network: UNet) -> int:
    """Takes over the averaged weights of an earlier run of the same network; the number of images that it has seen."""
    state = torch.load(checkpoint, weights_only=True)
    try:
        network.load_state_dict(state["average"])
    except RuntimeError as error:
        raise SystemExit(f"{checkpoint}: not of this network: {error}") from None
    return state["about"]["images"]


def train_teacher(pictures: data.Pictures, config: UNetConfig, options: argparse.Namespace) -> Denoiser:
    """Denoising score matching as in EDM (Karras et al. 2022, Eq. 8), with 10 % of the labels dropped."""
    device, sigma_data = options.device, pictures.sigma_data()
    torch.manual_seed(options.seed)
    network = UNet(config).to(device, memory_format=torch.channels_last)
    about = describe(pictures, config, boundary=0.0)
    if options.start_from:
        about["images"] = start_from(options.start_from, network)
    denoiser = Denoiser(network, sigma_data, boundary=0.0)
    compiled = torch.compile(denoiser, disable=options.no_compile)

    def loss(_step: int, _steps: int) -> torch.Tensor:
        index = torch.randint(len(pictures), (options.batch,))
        x0, label = pictures.batch(index).to(device), pictures.labels[index]
        label = torch.where(torch.rand(len(label)) < 0.1, config.labels, label).to(device)
        # A wider spread at higher levels than EDM's N(-1.2, 1.2): on small pictures the class is settled there.
        sigma = (torch.randn(len(x0)) * 1.4 - 0.8).exp().to(device)
        noisy = x0 + sigma.view(-1, 1, 1, 1) * torch.randn(x0.shape).to(device)
        weight = (sigma**2 + sigma_data**2) / (sigma * sigma_data) ** 2
        error = (compiled(noisy, sigma, label) - x0).square().mean(dim=(1, 2, 3))
        return (weight * error).mean()

    def sheet(average, path):
        write_sheet(Denoiser(average, sigma_data, 0.0), config.labels, pictures.pixels.shape[1:], device, path)

    average = train("teacher", network, optimizers(network, muon=options.muon, adam=options.adam), loss,
                    images=options.teacher_images, batch=options.batch, folder=options.output, seed=options.seed,
                    about=about, sheet=sheet, every=options.sheet_every)
    return Denoiser(average, sigma_data, 0.0)


def train_student(pictures: data.Pictures, config: UNetConfig, teacher: Denoiser, perceptual: PerceptualNetwork,
                  options: argparse.Namespace) -> Denoiser:
    """The teacher's network, tuned into a consistency function: the identity at sigma_min."""
    device, sigma_data = options.device, teacher.sigma_data
    torch.manual_seed(options.seed)
    network = UNet(config).to(device, memory_format=torch.channels_last)
    network.load_state_dict(teacher.network.state_dict())
    about = describe(pictures, config, boundary=SIGMA_MIN)
    if options.start_student_from:
        about["images"] = start_from(options.start_student_from, network)
    compiled = torch.compile(Denoiser(network, sigma_data, SIGMA_MIN), disable=options.no_compile)
    teacher = torch.compile(teacher.requires_grad_(False).eval(), disable=options.no_compile)
    features = torch.compile(perceptual.features, disable=options.no_compile)
    with torch.no_grad():
        channels = [f.shape[1] for f in perceptual.features(pictures.batch(torch.arange(2)).to(device))]
    discriminator = Discriminator(channels, config.labels).to(device)
    loss = Distillation(compiled, teacher, features, discriminator, pictures, options.batch, options.pool,
                        options.seed, device)

    def sheet(average, path):
        write_sheet(Denoiser(average, sigma_data, SIGMA_MIN), config.labels, pictures.pixels.shape[1:], device, path)

    judge = torch.optim.Adam(discriminator.parameters(), lr=1e-3, betas=(0.5, 0.99))
    average = train("student", network, [*optimizers(network, muon=options.muon, adam=options.adam), judge], loss,
                    images=options.student_images, batch=options.batch, folder=options.output, seed=options.seed,
                    about=about, sheet=sheet, every=options.sheet_every,
                    beside=discriminator)
    return Denoiser(average, sigma_data, SIGMA_MIN)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="a folder a class, or an .npz (images, labels); default Fashion-MNIST")
    parser.add_argument("--size", type=int, help="side of the pictures of a folder, pixels; default: the first picture's")
    parser.add_argument("--output", type=Path, default=Path("training-run"), help="checkpoints, logs and sheets (default %(default)s)")
    parser.add_argument("--teacher-images", type=int, default=2_000_000, help="training pictures drawn (default %(default)s)")
    parser.add_argument("--student-images", type=int, default=2_000_000, help="the same for the student (default %(default)s)")
    parser.add_argument("--perceptual-images", type=int, default=600_000,
                        help="the same for the classifier behind the student's perceptual distance (default %(default)s)")
    parser.add_argument("--start-from", type=Path, metavar="CHECKPOINT",
                        help="begin the teacher from the weights of an earlier run, such as one on other pictures of this size")
    parser.add_argument("--start-student-from", type=Path, metavar="CHECKPOINT",
                        help="begin the student from an earlier student's weights instead of the teacher's")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--muon", type=float, default=5e-4, help="step of the matrices (default %(default)s)")
    parser.add_argument("--adam", type=float, default=1e-3, help="step of all else (default %(default)s)")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, help="CPU threads")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--sheet-every", type=int, default=100_000, help="pictures between sheets (default %(default)s)")
    parser.add_argument("--pool", type=int, default=2048, help="trajectories of the teacher drawn at once (default %(default)s)")
    parser.add_argument("--no-compile", action="store_true", help="run without torch.compile")
    parser.add_argument("--smoke", action="store_true", help="a few steps of every stage, to see that all of it runs")
    options = parser.parse_args()
    if options.smoke:
        options.teacher_images = options.perceptual_images = options.student_images = 384
        options.batch, options.pool, options.sheet_every, options.no_compile = 16, 32, 64, True
    return options


def main() -> None:
    options = parse()
    if options.threads:
        torch.set_num_threads(options.threads)
    pictures = data.load(options.data, options.size)
    config = UNetConfig(channels=pictures.pixels.shape[1], labels=len(pictures.names))
    print(f"{pictures.source}; {len(pictures.names)} labels; sigma_data {pictures.sigma_data()}")
    teacher = train_teacher(pictures, config, options)
    perceptual = train_perceptual(pictures, images=options.perceptual_images, batch=options.batch, folder=options.output,
                                  seed=options.seed, device=options.device, compiled=not options.no_compile)
    train_student(pictures, config, teacher, perceptual, options)


if __name__ == "__main__":
    main()
