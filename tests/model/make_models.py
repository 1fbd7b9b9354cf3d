"""Writes tiny model files into the folder it is given: a good one, and one for each rule that loading checks."""

import json
import re
import struct
import sys
import warnings
import zipfile
from pathlib import Path

import torch
from torch import nn

warnings.filterwarnings("ignore", message=".*torch.jit.*deprecated.*")
folder = Path(sys.argv[1])
folder.mkdir(parents=True, exist_ok=True)

METADATA = {
    "format": 1, "name": "tiny", "role": "consistency",
    "sample": {"modality": "image", "shape": [1, 4, 4]},
    "network": {"noise_input": {"kind": "log_sigma", "scale": 0.25},
                "prediction": {"kind": "edm", "sigma_data": 0.5, "boundary_sigma": 0.002}},
    "noise": {"sigma_min": 0.002, "sigma_max": 80.0, "rho": 7.0},
}


class Good(nn.Module):
    def forward(self, x, noise):
        return 0.5 * x + noise[:, None, None, None]


class ThreeArguments(nn.Module):
    def forward(self, x, noise, label):
        return x


class WrongShape(nn.Module):
    def forward(self, x, noise):
        return x[:, :, :2]


class WrongType(nn.Module):
    def forward(self, x, noise):
        return x.double()


class NotANumber(nn.Module):
    def forward(self, x, noise):
        return x / 0.0 - x / 0.0


class MixesRows(nn.Module):
    def forward(self, x, noise):
        return x + x.mean()


class TakesTheFirstRow(nn.Module):
    def forward(self, x, noise):
        return x + x[:1]


class Throws(nn.Module):
    def forward(self, x, noise):
        return x.reshape(7, 7, 7)


class NoCondition(nn.Module):
    def forward(self, x, noise):
        return 3 * x


def columns():
    return torch.arange(4, device="cuda:0", dtype=torch.float32)


class NamesItsDevice(nn.Module):
    """As tracing on a GPU leaves it."""

    def forward(self, x, noise):
        y = x + columns()
        return y.to("cuda:0") + noise[:, None, None, None]


class Convolutions(nn.Module):
    """All that libtorch has of them."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.plain = nn.Conv2d(1, 4, 3, stride=2, padding=1)
        self.back = nn.ConvTranspose2d(4, 4, 3, stride=2, padding=1, output_padding=1, groups=2)
        self.same = nn.Conv2d(4, 4, (2, 3), padding="same", dilation=(1, 2))
        self.valid = nn.Conv1d(4, 4, 1, padding="valid")
        self.volume = nn.Conv3d(4, 1, (1, 3, 3), padding=(0, 1, 1), bias=False)
        self.register_buffer("kernel", torch.rand(1, 1, 3))

    def forward(self, x, noise):
        alone = nn.functional.conv1d(torch.ones(1, 6, device=x.device), self.kernel)  # [1, 4], without a batch
        y = self.same(self.back(self.plain(x)) + alone)
        y = self.valid(y.flatten(2)).reshape(y.shape)
        y = torch.convolution(y, self.same.weight, None, [1, 1], [1, 1], [2, 1], False, [0, 0], 1)
        return self.volume(y[:, :, None])[:, :, 0] + noise[:, None, None, None]


class WritesToItsInputs(nn.Module):
    def forward(self, x, noise):
        noise -= 1.0
        x[:, :, 0] = 0.0
        return x.add_(noise[:, None, None, None])


class DrawsDropout(nn.Module):
    def forward(self, x, noise):
        return nn.functional.dropout(x, 1e-7, training=True)


class Counts(nn.Module):
    calls: float

    def __init__(self):
        super().__init__()
        self.calls = 0.0

    def forward(self, x, noise):
        self.calls = self.calls + 1e-9
        return x + self.calls


class Accumulates(nn.Module):
    """Its memory is a tensor."""

    def __init__(self):
        super().__init__()
        self.register_buffer("mean", torch.zeros(()))

    def forward(self, x, noise):
        self.mean.mul_(0.5)
        return x + self.mean


class LooksUp(nn.Module):
    def __init__(self):
        super().__init__()
        self.levels = nn.Embedding(100, 4)

    def forward(self, x, noise):
        return x + self.levels(noise)[:, None, None, :]


class Halved(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 4).half()

    def forward(self, x, noise):
        return self.layer(x)


class ReturnsAList(nn.Module):
    def forward(self, x, noise):
        return [x, x]


for module in (Good, ThreeArguments, WrongShape, WrongType, NotANumber, MixesRows, TakesTheFirstRow, Throws,
               NamesItsDevice, NoCondition, Convolutions, WritesToItsInputs, DrawsDropout, Counts, Accumulates, LooksUp,
               Halved, ReturnsAList):
    scripted = torch.jit.script(module())
    torch.jit.save(scripted, str(folder / f"{module.__name__}.pt"), _extra_files={"onestep.json": json.dumps(METADATA)})

good = (folder / "Good.pt").read_bytes()
(folder / "Truncated.pt").write_bytes(good[: len(good) // 2])
(folder / "Empty.pt").write_bytes(b"")
(folder / "Text.pt").write_text("not a model\n" * 100)


class Promotes(nn.Module):
    """Traced, 0.3 is a tensor of double precision, and the result float32 all the same."""

    def forward(self, x, noise):
        return x * (torch.arange(4, device=x.device) * 0.3) + noise[:, None, None, None]


torch.jit.save(torch.jit.trace(Promotes(), (torch.zeros(2, 1, 4, 4), torch.zeros(2)), check_trace=False),
               str(folder / "Promotes.pt"), _extra_files={"onestep.json": json.dumps(METADATA)})


class OneSample(nn.Module):
    """Traced, it takes any batch for the one that it was traced with."""

    def forward(self, x, noise):
        return x.flatten().reshape(x.shape[0], 1, 4, 4) + noise.reshape(1, 1, 1, 1)


torch.jit.save(torch.jit.trace(OneSample(), (torch.zeros(1, 1, 4, 4), torch.zeros(1)), check_trace=False),
               str(folder / "OneSample.pt"), _extra_files={"onestep.json": json.dumps(METADATA)})


def rewritten(name, change):
    """A copy of the good file, change(name of a part, its bytes) in place of every part."""
    with zipfile.ZipFile(folder / "Good.pt") as old, zipfile.ZipFile(folder / name, "w") as new:
        for part in old.infolist():
            new.writestr(part.filename, change(part.filename, old.read(part)))


def nested(depth):
    """What is returned, in so many brackets."""
    return lambda name, code: (re.sub(rb"return (.*)", rb"return " + b"(" * depth + rb"\1" + b")" * depth, code)
                               if name.endswith(".py") else code)


rewritten("Nested.pt", nested(900))
rewritten("TooNested.pt", nested(200_000))
rewritten("Negated.pt", lambda name, code: code.replace(b"return ", b"return " + b"-" * 200_000)
          if name.endswith(".py") else code)
rewritten("Indented.pt", lambda name, code: code + b"".join(
    b" " * (2 * i + 2) + b"if True:\n" for i in range(2000)) if name.endswith(".py") else code)

# Code that unpacks to 65 MiB, and says that it has 9 bytes.
with zipfile.ZipFile(folder / "Good.pt") as old, zipfile.ZipFile(folder / "UnpacksToMore.pt", "w", zipfile.ZIP_DEFLATED) as new:
    for name in old.namelist():
        new.writestr(name, old.read(name))
    new.writestr("Good/code/more.py", b"#" * (65 << 20))
file = folder / "UnpacksToMore.pt"
file.write_bytes(file.read_bytes().replace(struct.pack("<I", 65 << 20), struct.pack("<I", 9)))

# A bit of a part's middle, which its CRC-32 still is of.
damaged = bytearray(good)
part = max(zipfile.ZipFile(folder / "Good.pt").infolist(), key=lambda part: part.file_size)
name_length, extra_length = struct.unpack("<HH", damaged[part.header_offset + 26:part.header_offset + 30])
damaged[part.header_offset + 30 + name_length + extra_length + part.file_size // 2] ^= 1
(folder / "Damaged.pt").write_bytes(damaged)

torch.save({"weight": torch.zeros(3)}, folder / "StateDict.pt")
torch.jit.save(torch.jit.script(Good()), str(folder / "NoMetadata.pt"))


# A model folder, format 2: the text says what the sample is, the decoder makes it three channels, twice as high and wide.
class SaysItsText(nn.Module):
    """The denoised sample: the text's mean, plus its row's label, in every value."""

    def forward(self, x, noise, label, prompt, prompt_mask):
        length = prompt_mask.sum(1)
        mean = (prompt[:, :, 0] * prompt_mask).sum(1) / length
        return (mean + label)[:, None, None, None] + 0 * x


class Embeds(nn.Module):
    """A token's vector is its number, times 1 and 10."""

    def forward(self, tokens, mask):
        return (tokens * mask)[:, :, None] * torch.tensor([1.0, 10.0])


class Doubles(nn.Module):
    def forward(self, x):
        return torch.nn.functional.interpolate(x[:, :1], scale_factor=2.0, mode="nearest").repeat(1, 3, 1, 1) * 2


LATENT = {
    "format": 2, "name": "latent", "role": "consistency",
    "components": {"denoiser": "denoiser.pt", "decoder": "decoder.pt", "text_encoder": "text_encoder.pt"},
    "sample": {"shape": [4, "H", "W"], "multiple": 2, "default": {"H": 4, "W": 6}},
    "data": {"modality": "image", "shape": [3, "2H", "2W"], "range": [-1, 1]},
    "conditions": [{"name": "label", "kind": "class", "count": 3, "null": 3},
                   {"name": "prompt", "kind": "tokens", "shape": [5, 2], "count": 10, "null": [0, 0, 0, 0, 0], "pad": 9, "mask": True}],
    "network": {"noise_input": {"kind": "sigma"}, "prediction": {"kind": "denoised"}},
    "noise": {"sigma_min": 0.002, "sigma_max": 80.0},
}
latent = folder / "Latent"
latent.mkdir(exist_ok=True)
for name, module in (("denoiser", SaysItsText()), ("decoder", Doubles()), ("text_encoder", Embeds())):
    torch.jit.save(torch.jit.script(module), str(latent / f"{name}.pt"))
(latent / "onestep.json").write_text(json.dumps(LATENT))


# Models whose samples go on for ever on a canvas. Without a preconditioning: what forward returns is the denoised sample.
class Local(nn.Module):
    """Of any size, in colour, from folded pixels: a value depends on those within 7 pixels, and on its label."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Conv2d(12, 16, 3, padding=1)
        self.second = nn.Conv2d(16, 12, 3, padding=1)
        self.labels = nn.Embedding(3, 16)

    def forward(self, x, noise, label):
        return self.near(x, noise, label)

    def near(self, x, noise, label):
        scaled = x / (noise * noise + 0.25).sqrt()[:, None, None, None]
        y = self.first(nn.functional.pixel_unshuffle(scaled, 2)) + self.labels(label)[:, :, None, None]
        return nn.functional.pixel_shuffle(self.second(nn.functional.silu(y)), 2)


class FarSighted(Local):
    """Claims less than it sees: its halo is one of 7 pixels too."""

    def forward(self, x, noise, label):
        far = (torch.roll(x, 9, 3) + torch.roll(x, 9, 2)) / (noise + 1)[:, None, None, None]
        return self.near(x, noise, label) + 0.1 * far


class Whole(nn.Module):
    """Of one size: every value depends on all others and on its place."""

    def forward(self, x, noise):
        scaled = x / (noise * noise + 0.25).sqrt()[:, None, None, None]
        place = torch.linspace(-1.0, 1.0, x.size(3), device=x.device)
        return 0.5 * torch.tanh(scaled) + 0.3 * scaled.mean([1, 2, 3], keepdim=True) + 0.1 * place


class Blurs(nn.Module):
    """The mean of three neighbours in a row, with the deviation 0.5 / sqrt(3) whatever the noise."""

    def forward(self, x, noise):
        padded = nn.functional.pad(x, [1, 1, 0, 0])
        mean = (padded[:, :, :, :-2] + padded[:, :, :, 1:-1] + padded[:, :, :, 2:]) / 3.0
        return 0.5 * mean / noise[:, None, None, None] + 0.25


class Hums(nn.Module):
    """Sound of one length."""

    def forward(self, x, noise):
        scaled = x / (noise * noise + 0.25).sqrt()[:, None, None]
        return 0.5 * torch.tanh(scaled) + 0.3 * scaled.mean([1, 2], keepdim=True)


def plane_model(name, module, shape, role="consistency", labels=0, **sample):
    metadata = {
        "format": 2, "name": name, "role": role, "sample": {"modality": "image", "shape": shape, "range": [-1, 1], **sample},
        **({"conditions": [{"name": "label", "kind": "class", **({"count": labels} if isinstance(labels, int) else
                                                              {"count": len(labels), "names": labels})}]} if labels else {}),
        "network": {"noise_input": {"kind": "sigma"}, "prediction": {"kind": "denoised"}},
        "noise": {"sigma_min": 0.002, "sigma_max": 80.0},
    }
    torch.jit.save(torch.jit.script(module), str(folder / f"{name}.pt"), _extra_files={"onestep.json": json.dumps(metadata)})


ANY_SIZE = {"multiple": 2, "default": {"H": 16, "W": 16}}
plane_model("local", Local(), [3, "H", "W"], labels=3, halo=7, **ANY_SIZE)
plane_model("local-teacher", Local(), [3, "H", "W"], "diffusion", labels=3, halo=7, **ANY_SIZE)
plane_model("far-sighted", FarSighted(), [3, "H", "W"], labels=3, halo=7, **ANY_SIZE)
plane_model("whole", Whole(), [1, 8, 6])
plane_model("whole-teacher", Whole(), [1, 8, 6], "diffusion")
plane_model("blurs", Blurs(), [1, "H", "W"], halo=1, default={"H": 16, "W": 16})
plane_model("hums", Hums(), [2, 12], modality="audio", sample_rate=100)


class Beeps(nn.Module):
    """A tenth of a second of a tone that dies away: its pitch is the label's, its loudness the noise's."""

    def forward(self, x, noise, label):
        t = torch.arange(800, dtype=torch.float32, device=x.device) / 8000
        loudness = 0.2 + 0.7 * torch.sigmoid(x[:, 0, :1] / (1 + noise[:, None]))
        tone = torch.sin(6.2832 * (200 + 50 * label[:, None]) * t[None])
        return (loudness * torch.exp(-30 * t[None]) * tone)[:, None]


class Blinks(nn.Module):
    """Clips of one colour that changes from frame to frame: which, the label and the noise say."""

    def forward(self, x, noise, label):
        turn = torch.arange(4, dtype=torch.float32, device=x.device)[None, None, :, None, None] / 4
        own = x.mean([1, 2, 3, 4], keepdim=True) / noise[:, None, None, None, None] + label[:, None, None, None, None]
        return torch.sin(6.2832 * (turn + own)) + 0 * x


plane_model("beeps", Beeps(), [1, 800], modality="audio", sample_rate=8000, labels=["kick", "snare", "open hat", "closed hat", "bell"])
plane_model("blinks", Blinks(), [3, 4, 8, 8], modality="video", frame_rate=8, labels=["calm", "wild"])



class Triads(nn.Module):
    """Music of two bars, whatever the noise: the voice sings the tonic of the label's key at every beat, the piano plays its triad
    twice a bar, and holds a note that never begins, 23 semitones above the lowest."""

    def __init__(self):
        super().__init__()
        rolls = torch.zeros(24, 4, 24, 32)
        for key in range(24):
            tonic = key % 12
            rolls[key, 0, tonic, ::4] = 1
            rolls[key, 1, tonic] = 1
            for step in (0, 3 if key >= 12 else 4, 7):
                rolls[key, 2, tonic + step, ::8] = 1
                rolls[key, 3, tonic + step] = 1
            rolls[key, 3, 23] = 1
        self.register_buffer("rolls", rolls)

    def forward(self, x, noise, label):
        return 0.1 + 0.8 * self.rolls[label] + 0.1 * torch.tanh(x)


MUSIC = {
    "format": 2, "name": "triads", "role": "consistency",
    "sample": {"modality": "music", "shape": [4, 24, 32], "range": [0, 1], "tempo": 90, "lowest_pitch": 60, "thresholds": [0.5, 0.5]},
    "conditions": [{"name": "label", "kind": "class", "count": 24,
                    "names": ["C", "Db", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B",
                              "Cm", "C#m", "Dm", "Ebm", "Em", "Fm", "F#m", "Gm", "G#m", "Am", "Bbm", "Bm"]}],
    "network": {"noise_input": {"kind": "sigma"}, "prediction": {"kind": "denoised"}},
    "noise": {"sigma_min": 0.002, "sigma_max": 80.0},
    "sampling": {"levels": {"1": [80.0], "2": [80.0, 0.5]}},
}
torch.jit.save(torch.jit.script(Triads()), str(folder / "triads.pt"), _extra_files={"onestep.json": json.dumps(MUSIC)})


# One network whose labels may be a map: the denoised sample is the label in every channel, of the row or of the pixel.
class Painted(nn.Module):
    def forward(self, x, noise, label):
        if label.dim() == 1:
            return label[:, None, None, None] + 0 * x
        return label[:, None] + 0 * x


PAINTED = {
    "format": 2, "name": "painted", "role": "consistency",
    "sample": {"modality": "image", "shape": [3, "H", "W"], "multiple": 2, "default": {"H": 4, "W": 6}, "range": [-1, 1],
               "halo": 1},
    "conditions": [{"name": "label", "kind": "class", "count": 3, "null": 3, "map": True}],
    "network": {"noise_input": {"kind": "sigma"}, "prediction": {"kind": "denoised"}},
    "noise": {"sigma_min": 0.002, "sigma_max": 80.0},
}
torch.jit.save(torch.jit.script(Painted()), str(folder / "Painted.pt"), _extra_files={"onestep.json": json.dumps(PAINTED)})
