"""Animated creatures that loop: a folder a class, a file each, its frames side by side."""

import hashlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from data import PICTURES, Crops

FRAMES, SIDE = 8, 32
FRAME_RATE = 10


def held_out(path: Path) -> bool:
    """A tenth of the creatures, told by name alone: the same on every machine, and none of a creature's classes is seen."""
    return hashlib.sha256(path.stem.encode()).digest()[0] * 10 < 256


class Loops:
    """Clips [4, 8, 32, 32] of red, green, blue and opacity in [-1, 1]; what can't be seen is black.

    The network sees them as pictures [32, 32, 32], frames being channels too: it has no order of the frames by heart in which the
    first and the last would be further apart than others.
    """

    shape = [4 * FRAMES, SIDE, SIDE]
    sample = {"modality": "video", "range": [-1, 1], "frame_rate": FRAME_RATE, "shape": [4, FRAMES, SIDE, SIDE]}
    noise = (-0.4, 1.5)  # as Pictures.noise
    augmented = staticmethod(lambda x: x)

    def __init__(self, folder: Path, part: str = "train"):
        """part: train, or held_out, the tenth that no training sees."""
        from PIL import Image

        self.held_out = Loops(folder, "held_out") if part == "train" else None
        self.names = sorted(p.name for p in folder.iterdir() if p.is_dir())
        clips, labels = [], []
        for label, name in enumerate(self.names):
            for file in sorted((folder / name).iterdir()):
                if file.suffix.lower() not in PICTURES or held_out(file) != (part == "held_out"):
                    continue
                try:
                    with Image.open(file) as image:
                        strip = np.array(image.convert("RGBA"))
                except OSError as error:
                    raise SystemExit(f"{file}: {error}") from None
                if strip.shape != (SIDE, FRAMES * SIDE, 4):
                    raise SystemExit(f"{file}: must be {FRAMES} frames of {SIDE}x{SIDE} side by side; it is "
                                     f"{strip.shape[1]}x{strip.shape[0]}")
                strip[strip[..., 3] == 0] = 0
                clips.append(strip.reshape(SIDE, FRAMES, SIDE, 4).transpose(3, 1, 0, 2))
                labels.append(label)
        if not clips:
            raise SystemExit(f"{folder}: no strips ({', '.join(sorted(PICTURES))}) in its folders to {part} with")
        self.pixels, self.labels = torch.from_numpy(np.stack(clips)), torch.tensor(labels)
        self.source = f"{folder.name}, {len(clips)} clips" + (", a tenth of the creatures held out" if part == "train" else "")

    def __len__(self) -> int:
        return len(self.pixels)

    @property
    def sheet(self) -> tuple[int, int]:
        """Rows and columns of a sheet of samples."""
        return 12, len(self.names)

    def sigma_data(self) -> float:
        """Standard deviation of all values about their common mean, in units of [-1, 1]."""
        return round(float((self.pixels.double() / 127.5 - 1).std()), 3)

    def clips(self, index: Tensor) -> Tensor:
        """float32 [N, 4, 8, 32, 32] in [-1, 1]."""
        return self.pixels[index].float() / 127.5 - 1

    def draw(self, count: int) -> Crops:
        """Any of the clips, each as likely as the others, from any of its frames on."""
        index, begin = torch.randint(len(self), (count,)), torch.randint(FRAMES, (count, 1))
        order = ((begin + torch.arange(FRAMES)) % FRAMES).view(-1, 1, FRAMES, 1, 1)
        x = self.clips(index).take_along_dim(order, dim=2)
        return Crops(x.flatten(1, 2), self.labels[index], torch.ones(1))

    @staticmethod
    def picture(x: Tensor) -> Tensor:
        """uint8 [N, 3, 32, 256]: the frames side by side, before grey."""
        colour, opacity = (x.unflatten(1, (4, FRAMES)).clamp(-1, 1) * 127.5 + 127.5).split([3, 1], dim=1)
        seen = colour * opacity / 255 + 128 * (1 - opacity / 255)
        return seen.permute(0, 1, 3, 2, 4).flatten(3).round().byte()
