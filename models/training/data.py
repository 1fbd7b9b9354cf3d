"""Training pictures: Fashion-MNIST as Debian packages it, or the user's own."""

import gzip
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")  # Debian: dataset-fashion-mnist
FASHION_NAMES = ["T-shirt", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"]
IMAGE = {"modality": "image", "range": [-1, 1]}  # what a model file says of a sample, beside its shape
PICTURES = {".png", ".jpg", ".jpeg", ".bmp", ".webp"}


@dataclass
class Crops:
    """What a step trains on."""

    x: Tensor  # float32 [N, C, H, W] in [-1, 1]
    labels: Tensor  # int64 [N]
    weight: Tensor  # of every pixel's loss, mean 1: [N, 1, H, W], or [1] where all count the same


def to_bytes(x: Tensor) -> Tensor:
    """Pictures in [-1, 1] as uint8."""
    return ((x.clamp(-1, 1) + 1) * 127.5).round().byte()


def shifted_and_mirrored(x: Tensor) -> Tensor:
    """All shifted alike by up to two pixels, half of them mirrored."""
    across, down = torch.randint(0, 5, (2,)).tolist()
    height, width = x.shape[2:]
    x = F.pad(x, (2, 2, 2, 2), mode="replicate")[:, :, down:down + height, across:across + width]
    return torch.where((torch.rand(len(x), 1, 1, 1) < 0.5).to(x.device), x, x.flip(3))


@dataclass
class Pictures:
    pixels: Tensor  # uint8 [N, C, H, W]
    labels: Tensor  # int64 [N]
    names: list[str]  # of the labels
    source: str  # for the model's card
    held_out = None  # there are none to compare with
    sample = IMAGE
    picture, augmented = staticmethod(to_bytes), staticmethod(shifted_and_mirrored)
    # Of ln(sigma) as the teacher sees it, mean and standard deviation: wider and at higher levels than EDM's -1.2 and 1.2,
    # since on small pictures the class is settled there.
    noise = (-0.8, 1.4)

    def __len__(self) -> int:
        return len(self.pixels)

    def batch(self, index: Tensor) -> Tensor:
        """float32 in [-1, 1]."""
        return self.pixels[index].float() / 127.5 - 1

    @property
    def shape(self) -> list[int]:
        """Of one picture, [C, H, W]."""
        return list(self.pixels.shape[1:])

    @property
    def sheet(self) -> tuple[int, int]:
        """Rows and columns of a sheet of samples: a column a label."""
        return 5, max(len(self.names), 1)

    def draw(self, count: int) -> Crops:
        """Any of the pictures, each as likely as the others."""
        index = torch.randint(len(self), (count,))
        return Crops(self.batch(index), self.labels[index], torch.ones(1))

    def sigma_data(self) -> float:
        """Standard deviation of all pixel values about their common mean, in units of [-1, 1]."""
        return round(float((self.pixels.double() / 127.5 - 1).std()), 3)


def _idx(path: Path) -> np.ndarray:
    """The idx format: two zero bytes, type 8 (unsigned byte), number of dimensions, big-endian sizes, bytes."""
    data = gzip.decompress(path.read_bytes())
    sizes = np.frombuffer(data, ">i4", count=data[3], offset=4)
    return np.frombuffer(data, np.uint8, offset=4 + 4 * data[3]).reshape(sizes)


def fashion_mnist(split: str, folder: Path = FASHION_MNIST) -> Pictures:
    """split: train (60,000 pictures) or t10k (10,000)."""
    if not folder.is_dir():
        raise SystemExit(f"{folder} is missing: install Debian's package dataset-fashion-mnist, or pass --data")
    pixels = _idx(folder / f"{split}-images-idx3-ubyte.gz")
    labels = _idx(folder / f"{split}-labels-idx1-ubyte.gz")
    return Pictures(torch.from_numpy(pixels.copy())[:, None], torch.from_numpy(labels.astype(np.int64)), FASHION_NAMES,
                    f"Fashion-MNIST (Xiao et al. 2017, MIT licence), {len(pixels)} pictures")


def _folder(path: Path, size: int | None) -> Pictures:
    """A folder a class; every picture is cropped to its centre square and scaled to the same size."""
    from PIL import Image

    names = sorted(p.name for p in path.iterdir() if p.is_dir()) or ["."]
    files = [(f, label) for label, name in enumerate(names) for f in sorted((path / name).iterdir())
             if f.suffix.lower() in PICTURES]
    if not files:
        raise SystemExit(f"{path}: no pictures ({', '.join(sorted(PICTURES))}) in its folders")
    if size is None:
        with Image.open(files[0][0]) as first:
            size = max(min(first.size) // 4 * 4, 4)
    pictures, colour = [], False
    for file, _ in files:
        try:
            with Image.open(file) as image:
                side = min(image.size)
                left, top = (image.width - side) // 2, (image.height - side) // 2
                colour = colour or image.mode not in ("1", "L", "LA", "I", "I;16")
                square = image.convert("RGB").crop((left, top, left + side, top + side))
                pictures.append(np.asarray(square.resize((size, size), Image.Resampling.LANCZOS)))
        except OSError as error:
            raise SystemExit(f"{file}: {error}") from None
    pixels = np.stack(pictures).transpose(0, 3, 1, 2)
    pixels = pixels if colour else pixels[:, :1]
    labels = torch.tensor([label for _, label in files])
    return Pictures(torch.from_numpy(np.ascontiguousarray(pixels)), labels, names, f"{path.name}, {len(files)} pictures")


def _npz(path: Path) -> Pictures:
    """Arrays `images`, uint8 [N, H, W] or [N, H, W, C]; `labels`, whole numbers [N]; `names`, optional."""
    arrays = np.load(path, allow_pickle=False)
    for name in ("images", "labels"):
        if name not in arrays:
            raise SystemExit(f"{path}: has no array '{name}', only {', '.join(arrays.files) or 'none'}")
    images, labels = arrays["images"], arrays["labels"].astype(np.int64)
    if images.dtype != np.uint8 or images.ndim not in (3, 4) or len(images) == 0 or labels.shape != (len(images),):
        raise SystemExit(f"{path}: images must be uint8 [N, H, W] or [N, H, W, C], labels [N]; "
                         f"they are {images.dtype} {images.shape} and {labels.shape}")
    if labels.min() < 0:
        raise SystemExit(f"{path}: labels must be 0 or more; the least is {labels.min()}")
    images = images[..., None] if images.ndim == 3 else images
    names = [str(n) for n in arrays["names"]] if "names" in arrays else [str(i) for i in range(labels.max() + 1)]
    if labels.max() >= len(names):
        raise SystemExit(f"{path}: label {labels.max()} has no name: there are {len(names)}")
    return Pictures(torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2))), torch.from_numpy(labels),
                    names, f"{path.name}, {len(images)} pictures")


def load(path: Path | None, size: int | None = None) -> Pictures:
    """The pictures under path (a folder of folders, an .npz, or a copy of Debian's Fashion-MNIST); without a path, Debian's."""
    if path is None or (path / "train-images-idx3-ubyte.gz").exists():
        return fashion_mnist("train", path or FASHION_MNIST)
    if not path.exists():
        raise SystemExit(f"{path}: no such file or folder")
    pictures = _folder(path, size) if path.is_dir() else _npz(path)
    if any(side % 4 for side in pictures.pixels.shape[2:]):
        raise SystemExit(f"{path}: sides must divide by 4; they are {tuple(pictures.pixels.shape[2:])}. For a folder, pass --size")
    return pictures
