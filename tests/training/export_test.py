"""models/export.py: what it tells from tensors, what it refuses and leaves behind. Usage: export_test.py ONESTEP

The projects whose checkpoints it reads can't come with this test; stand-ins have their files, names and signatures.
tests/parity/authors_test.py runs the real ones."""

import contextlib
import importlib
import io
import json
import pickle
import subprocess
import sys
import tempfile
import unittest
import warnings
from pathlib import Path

import torch

EXPORT = Path(__file__).parents[2] / "models/export.py"
sys.path.insert(0, str(EXPORT.parent))
sys.path.insert(0, str(EXPORT.parent / "training"))
from checkpoint import describe, load, save_average  # noqa: E402
from equivariant import EquivariantConfig  # noqa: E402
from exporters import ExportError, edm, openai, scripted  # noqa: E402
from exporters.meaning import inputs  # noqa: E402
from exporters.model_file import write as write_model  # noqa: E402
from exporters.tracing import in_one_piece, trace  # noqa: E402

ONESTEP = sys.argv.pop(1)

UNET = """
import torch
from torch import nn

class Block(nn.Module):
    def __init__(self, width, rows):
        super().__init__()
        self.in_layers = nn.Sequential(nn.Conv2d(width, width, 1))
        self.emb_layers = nn.Sequential(nn.SiLU(), nn.Linear(4 * width, rows))
        self.out_layers = nn.Sequential(nn.Identity(), nn.SiLU(), nn.Identity(), nn.Conv2d(width, width, 1))

    def forward(self, h, emb):
        scale, shift = self.emb_layers(emb)[..., None, None].chunk(2, 1)
        return self.out_layers(self.in_layers(h) * (1 + scale) + shift)

class UNetModel(nn.Module):
    def __init__(self, in_channels, model_channels, out_channels, num_classes, use_scale_shift_norm, **unused):
        super().__init__()
        assert model_channels % 2 == 0, "odd"
        width, rows = model_channels, model_channels * (2 if use_scale_shift_norm else 1)
        self.time_embed = nn.Sequential(nn.Linear(width, 4 * width))
        self.input_blocks = nn.ModuleList([nn.ModuleList([nn.Conv2d(in_channels, width, 3, padding=1)]),
                                           nn.ModuleList([Block(width, rows)])])
        self.output_blocks = nn.ModuleList([nn.ModuleList([Block(width, rows)]) for _ in range(2)])
        self.out = nn.Sequential(nn.Identity(), nn.SiLU(), nn.Conv2d(width, out_channels, 3, padding=1))
        self.label_emb = nn.Embedding(num_classes, 4 * width) if num_classes else None

    def forward(self, x, timesteps, y=None):
        emb = self.time_embed(torch.cos(timesteps[:, None] / torch.arange(1, 1 + self.time_embed[0].in_features)))
        if self.label_emb is not None:
            emb = emb + self.label_emb(y)
        h = self.input_blocks[0][0](x)
        for blocks in [self.input_blocks[1], *self.output_blocks]:
            h = blocks[0](h, emb)
        return self.out(h)
"""
UNET_ARGUMENTS = {"in_channels": 3, "model_channels": 8, "out_channels": 3, "num_classes": None,
                  "use_scale_shift_norm": True}

PERSISTENCE = """
import torch

class Model(torch.nn.Module):
    def __init__(self, labels):
        super().__init__()
        self.noise = torch.nn.Linear(1, 3)
        self.map_label = torch.nn.Linear(labels, 3) if labels else None

    def forward(self, x, noise_labels, class_labels, augment_labels=None):
        emb = self.noise(noise_labels[:, None])
        if self.map_label is not None:
            emb = emb + self.map_label(class_labels)
        return x * emb[:, :, None, None]

class EDMPrecond(torch.nn.Module):
    def __init__(self, label_dim, sigma_min=0):
        super().__init__()
        self.img_resolution, self.img_channels, self.label_dim = 8, 3, label_dim
        self.sigma_min, self.sigma_max, self.sigma_data = sigma_min, float("inf"), 0.5
        self.model = Model(label_dim)

class ECMPrecond(EDMPrecond):
    pass

class VPPrecond(EDMPrecond):
    pass
"""

METADATA = {
    "role": "consistency", "sample": {"modality": "image", "shape": [1, 4, 4]},
    "network": {"noise_input": {"kind": "log_sigma", "scale": 0.25},
                "prediction": {"kind": "edm", "sigma_data": 0.5, "boundary_sigma": 0.002}},
    "noise": {"sigma_min": 0.002, "sigma_max": 80.0, "rho": 7.0},
}


def openai_tensors(mult, blocks, attention, updown=False, shift=True, labels=0, out=3, channels=64):
    """Names and shapes of the tensors of a UNetModel that tell its architecture."""
    found = {"time_embed.0.weight": (4 * channels, channels), "input_blocks.0.0.weight": (int(mult[0] * channels), 3, 3, 3),
             "out.2.weight": (out, int(mult[0] * channels), 3, 3)}
    if labels:
        found["label_emb.weight"] = (labels, 4 * channels)

    def residual(place, width):
        found[f"{place}.in_layers.0.weight"] = (width,)
        found[f"{place}.emb_layers.1.weight"] = ((2 if shift else 1) * width, 4 * channels)
        found[f"{place}.out_layers.3.weight"] = (width, width, 3, 3)

    place = 0
    for level, factor in enumerate(mult):
        for _ in range(blocks):
            place += 1
            residual(f"input_blocks.{place}.0", int(factor * channels))
            if 2**level in attention:
                found[f"input_blocks.{place}.1.qkv.weight"] = (3 * int(factor * channels), int(factor * channels), 1)
        if level < len(mult) - 1:
            place += 1
            if updown:
                residual(f"input_blocks.{place}.0", int(factor * channels))
            else:
                found[f"input_blocks.{place}.0.op.weight"] = (int(factor * channels),) * 2 + (3, 3)
    place = 0
    for level, factor in reversed(list(enumerate(mult))):
        for block in range(blocks + 1):
            residual(f"output_blocks.{place}.0", int(factor * channels))
            after = 1 + (2**level in attention)
            if 2**level in attention:
                found[f"output_blocks.{place}.1.qkv.weight"] = (3 * int(factor * channels), int(factor * channels), 1)
            if level and block == blocks:
                if updown:
                    residual(f"output_blocks.{place}.{after}", int(factor * channels))
                else:
                    found[f"output_blocks.{place}.{after}.conv.weight"] = (int(factor * channels),) * 2 + (3, 3)
            place += 1
    return {name: torch.empty(shape, device="meta") for name, shape in found.items()}


class Export(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.code = self.folder / "code"
        for name, text in (("cm/__init__.py", ""), ("cm/unet.py", UNET), ("dnnlib/__init__.py", ""),
                           ("torch_utils/__init__.py", ""), ("torch_utils/persistence.py", PERSISTENCE)):
            (self.code / name).parent.mkdir(parents=True, exist_ok=True)
            (self.code / name).write_text(text)
        sys.path.insert(0, str(self.code))
        self.addCleanup(sys.path.remove, str(self.code))
        for name in [name for name in sys.modules if name.split(".")[0] in ("cm", "torch_utils", "dnnlib")]:
            del sys.modules[name]

    def run_export(self, *arguments):
        return subprocess.run([sys.executable, EXPORT, *map(str, arguments), "--onestep", ONESTEP], capture_output=True,
                              text=True)

    def metadata(self, model: Path) -> dict:
        files = {"onestep.json": ""}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.jit.load(str(model), _extra_files=files)
        return json.loads(files["onestep.json"])

    def refused(self, call, *parts: str):
        with self.assertRaises(ExportError) as caught, contextlib.redirect_stderr(io.StringIO()):
            call()
        for part in parts:
            self.assertIn(part, str(caught.exception))

    def unet(self, **changed) -> Path:
        network = importlib.import_module("cm.unet").UNetModel(**UNET_ARGUMENTS | changed)
        file = self.folder / "unet.pt"
        torch.save(network.state_dict(), file)
        return file

    def read_openai(self, file: Path, **flags):
        nothing = dict.fromkeys(openai.FLAGS)
        return openai.read(file, self.code, None, nothing | {"image_size": 8, "num_heads": 1} | flags)

    def snapshot(self, kind: str, labels: int, **arguments) -> Path:
        network = getattr(importlib.import_module("torch_utils.persistence"), kind)(labels, **arguments)
        file = self.folder / f"{kind}.pkl"
        file.write_bytes(pickle.dumps({"ema": network}))
        return file

    def test_architecture_is_told_by_the_tensors(self):
        for given in ({"mult": (1, 2, 3, 4), "blocks": 3, "attention": (2, 4, 8), "updown": True, "labels": 1000},
                      {"mult": (1, 1, 2, 2, 4, 4), "blocks": 2, "attention": (8, 16, 32), "updown": True, "shift": False},
                      {"mult": (0.5, 1, 1), "blocks": 1, "attention": (), "out": 6},
                      {"mult": (1,), "blocks": 2, "attention": (1,), "labels": 10}):
            found = openai.architecture(Path("x.pt"), openai_tensors(**given))
            self.assertEqual(found, {
                "in_channels": 3, "out_channels": given.get("out", 3), "model_channels": 64,
                "num_res_blocks": given["blocks"],
                "channel_mult": given["mult"], "attention_resolutions": given["attention"],
                "num_classes": given.get("labels"), "use_scale_shift_norm": given.get("shift", True),
                "resblock_updown": given.get("updown", False)})

    def test_openai_is_exported(self):
        file, model = self.unet(num_classes=10), self.folder / "model.pt"
        result = self.run_export("openai", file, model, "--code", self.code, "--image_size", 8, "--num_heads", 1)
        self.assertEqual(result.returncode, 0, result.stderr)
        about = self.metadata(model)
        self.assertEqual(about["role"], "consistency")
        self.assertEqual(about["labels"], {"count": 10, "encoding": "index"})
        self.assertEqual(about["network"]["prediction"]["boundary_sigma"], 0.002)

    def test_learned_variance_is_left_out(self):
        network, metadata = self.read_openai(self.unet(out_channels=6))
        self.assertEqual(network(*inputs(metadata, 2)).shape, (2, 3, 8, 8))

    def test_openai_refuses(self):
        file = self.unet()
        self.refused(lambda: self.read_openai(self.folder / "no.pt"), "no.pt", "No such file")
        broken = self.folder / "broken.pt"
        broken.write_bytes(b"no archive")
        self.refused(lambda: self.read_openai(broken), "is no state dict")
        torch.save({"step": 3}, broken)
        self.refused(lambda: self.read_openai(broken), "other things than tensors")
        torch.save({"weight": torch.zeros(2)}, broken)
        self.refused(lambda: self.read_openai(broken), "is no UNetModel", "weight")
        self.refused(lambda: self.read_openai(file, num_heads=None), "--num-head-channels or --num-heads is missing")
        self.refused(lambda: self.read_openai(file, image_size=0), "--image-size 0")
        self.refused(lambda: self.read_openai(file, num_channels=16),
                     "input_blocks.0.0.weight: expected (16, 3, 3, 3), got (8, 3, 3, 3)", "and 18 more")
        self.refused(lambda: self.read_openai(file, class_cond=True), "label_emb.weight: expected (1000, 32), got nothing")
        self.refused(lambda: self.read_openai(file, num_channels=7), "UNetModel refuses", "odd")
        deep = self.folder / "deep.pt"
        torch.save({name: torch.zeros(tensor.shape) for name, tensor in openai_tensors((1, 2), 1, (2,)).items()}, deep)
        self.refused(lambda: self.read_openai(deep, image_size=9), "--image-size 9: must be a multiple of 2")
        self.refused(lambda: self.read_openai(deep, num_heads=3), "--num-heads 3: must divide", "128")
        self.code = self.folder
        self.refused(lambda: self.read_openai(file), "--code", "openai/guided-diffusion")

    def test_edm_is_exported(self):
        for kind, minimum, role, boundary in (("EDMPrecond", 0, "diffusion", 0),
                                              ("ECMPrecond", 0.003, "consistency", 0.003)):
            file, model = self.snapshot(kind, 4, sigma_min=minimum), self.folder / "model.pt"
            result = self.run_export("edm", file, model, "--code", self.code)
            self.assertEqual(result.returncode, 0, result.stderr)
            self.assertIn("is a pickle, which is a program", result.stderr)
            about = self.metadata(model)
            self.assertEqual((about["role"], about["network"]["prediction"]["boundary_sigma"]), (role, boundary))
            self.assertEqual(about["labels"], {"count": 4, "encoding": "one_hot", "null": 4})

    def test_edm_refuses(self):
        def read(file, code=self.code):
            return lambda: edm.read(file, code, None)

        self.refused(read(self.snapshot("VPPrecond", 0)), "VPPrecond", "EDMPrecond")
        self.refused(read(self.folder / "no.pkl"), "no.pkl", "No such file")
        broken = self.folder / "broken.pkl"
        broken.write_bytes(b"no pickle")
        self.refused(read(broken), "can't be unpickled")
        broken.write_bytes(pickle.dumps({"net": 1}))
        self.refused(read(broken), "no network named ema")
        broken.write_bytes(b"cmissing_module\nName\n.")
        self.refused(read(broken), "missing_module")
        self.refused(read(broken, self.folder), "--code", "NVlabs/edm")

    def test_a_refusal_is_one_message_and_leaves_nothing(self):
        pipeline, noise = self.folder / "pipeline", self.folder / "noise.checkpoint"
        pipeline.mkdir()
        (pipeline / "model_index.json").write_text("{")
        noise.write_bytes(b"noise")
        before = sorted(self.folder.iterdir())
        for kind, source, output, words, *further in (
                ("openai", "no.pt", "model.pt", "no.pt: no such file", "--code", self.code, "--image-size", 8),
                ("edm", "no.pkl", "model.pt", "no.pkl: no such file", "--code", self.code),
                ("trained", noise, "nowhere/model.pt", "make the folder"),
                ("trained", noise, "model.pt", f"{noise}: is no checkpoint of models/training (UnpicklingError)"),
                # What the code that reads it does not foresee.
                ("diffusers", pipeline, "model.pt", f"{pipeline}: JSONDecodeError: ")):
            result = self.run_export(kind, source, self.folder / output, *further)
            self.assertEqual(result.returncode, 1)
            self.assertIn(words, result.stderr)
            self.assertEqual(result.stderr.count("\n"), 1, result.stderr)
            self.assertTrue(result.stderr.startswith("export.py: "))
            self.assertEqual(sorted(self.folder.iterdir()), before)

    def test_a_traced_network_runs_on_another_device(self):
        class Embedding(torch.nn.Module):
            def forward(self, noise):
                return torch.cos(noise[:, None] * torch.arange(16.0, device=noise.device))

        class Embedded(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.embedding, self.linear = Embedding(), torch.nn.Linear(16, 1)

            def forward(self, x, noise):
                return x * self.linear(self.embedding(noise))[:, :, None, None] + torch.zeros(x.shape, device=x.device)

        file, network = self.folder / "traced.pt", Embedded()
        module = in_one_piece(trace(network, inputs(METADATA, 2), inputs(METADATA, 5)))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            module.save(str(file))
            moved = torch.jit.load(str(file), map_location="meta")
        self.assertEqual({name for name, _ in moved.named_parameters()}, {name for name, _ in network.named_parameters()})
        self.assertFalse(hasattr(moved.linear, "code"))
        self.assertEqual(moved(torch.ones(3, 1, 4, 4, device="meta"), torch.ones(3, device="meta")).shape, (3, 1, 4, 4))

    def test_materials_are_exported(self):
        config = EquivariantConfig(channels=3, labels=2, widths=(8, 8), looks=(2, 2), embedding=8, period=16)
        file, model = self.folder / "teacher.average", self.folder / "model.pt"
        weights = config.build().requires_grad_(False)
        for parameter in weights.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))  # none is zero any more
        weights.regular[0] = 1
        save_average({"network": describe(config), "shape": [3, 16, 32], "names": ["moss", "rust"], "sigma_data": 0.5,
                      "boundary": 0.0, "data": "none", "images": 1}, weights, file)
        result = self.run_export("trained", file, model, "--half")
        self.assertEqual(result.returncode, 0, result.stderr)
        about = self.metadata(model)
        self.assertEqual(about["sample"] | {"range": None}, {
            "modality": "image", "shape": [3, "H", "W"], "range": None, "multiple": 16, "default": {"H": 16, "W": 32},
            "halo": config.halo()})
        self.assertEqual(about["conditions"], [{"name": "label", "kind": "class", "count": 2, "names": ["moss", "rust"],
                                                "encoding": "index", "null": 2, "map": True}])
        # With a map too the file is the network, but for its weights' rounding: the module that was written is another one.
        network = config.build(wrap=False).eval()
        network.load_state_dict(load(file)[1])
        module = torch.jit.load(str(model))
        for label_map in (False, True):
            given = inputs(about, 3, elsewhere=True, label_map=label_map)
            with torch.no_grad():
                self.assertLess(float((module(*given) - network(*given)).abs().max()), 1e-6)

    def test_weights_in_half_precision(self):
        class Twice(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.inner = torch.nn.ModuleList([torch.nn.Conv2d(1, 1, 3, padding=1)])
                self.gain = torch.nn.Parameter(torch.tensor(1 + 2**-20))  # not a half
                self.register_buffer("frequency", torch.tensor(1 + 2**-20))

            def forward(self, x, noise):
                return self.inner[0](self.inner[0](x)) * self.gain * (self.frequency * noise)[:, None, None, None]

        network, model = Twice(), self.folder / "half.pt"
        x, noise = inputs(METADATA, 3)
        with contextlib.redirect_stdout(io.StringIO()):
            write_model(network, {"format": 1, "name": "half", **METADATA}, model, ONESTEP, half=True)
        kept = torch.jit.load(str(model))
        self.assertEqual({p.dtype for p in kept.parameters()}, {torch.float16})
        self.assertEqual([b.dtype for b in kept.buffers()], [torch.float32])
        # The network itself is rounded and float32 again: the same products in the same order.
        self.assertEqual(network.gain.item(), 1)
        self.assertEqual(float((kept(x, noise) - network(x, noise)).abs().max()), 0)

    def test_a_size_that_tracing_bakes_in_is_refused(self):
        class DividedByWidth(torch.nn.Module):
            def forward(self, x, noise):
                return x / int(x.shape[-1]) + noise[:, None, None, None]

        free = METADATA | {"format": 2, "sample": {"modality": "image", "shape": [1, "H", "W"], "multiple": 2,
                                                   "default": {"H": 4, "W": 4}}}
        trace(DividedByWidth(), inputs(METADATA, 2), inputs(METADATA, 5, elsewhere=True))
        self.refused(lambda: trace(DividedByWidth(), inputs(free, 2), inputs(free, 5, elsewhere=True)), "DividedByWidth",
                     "[5, 1, 6, 8]")

    def test_torchscript(self):
        class Good(torch.nn.Module):
            def forward(self, x, noise):
                return 0.5 * x + noise[:, None, None, None]

        source, about, model = self.folder / "good.pt", self.folder / "about.json", self.folder / "model.pt"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.jit.script(Good()).save(str(source))

        def write(metadata):
            about.write_text(json.dumps(metadata))
            network, read = scripted.read(source, about)
            write_model(network, {"format": 1, "name": "good", **read}, model, ONESTEP)

        for changed, message in (({"noise": {"sigma_min": 0.002, "rho": 7}}, "noise.sigma_max is missing"),
                                 ({"role": "wizard"}, "role"), ({"sample": {"modality": "image", "shape": [4, 4]}}, "shape"),
                                 ({"labels": {"count": 3}}, "arguments"), ({"samples": 1}, "unknown field")):
            self.refused(lambda: write(METADATA | changed), message)
            self.assertEqual(sorted(self.folder.glob("**/*model*")), [])
        self.refused(lambda: write({"role": "diffusion"}), "sample, network, noise is missing")
        self.refused(lambda: scripted.read(source, self.folder / "no.json"), "is no JSON file")
        about.write_text(json.dumps(METADATA))
        self.refused(lambda: scripted.read(about, about), "is no TorchScript file")
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            write(METADATA)
        self.assertIn("verified", printed.getvalue())
        self.assertEqual(self.metadata(model)["name"], "good")


if __name__ == "__main__":
    unittest.main(warnings="ignore")
