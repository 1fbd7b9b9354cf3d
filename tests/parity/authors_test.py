"""onestep beside the samplers of the papers' own code, on the same networks and noise:

    ONESTEP_OPENAI=DIR ONESTEP_GUIDED=DIR ONESTEP_EDM=DIR ONESTEP_ECT=DIR authors_test.py ONESTEP EXPORT

DIR: checkouts of openai/consistency_models, openai/guided-diffusion, NVlabs/edm and locuslab/ect; what is not given is
skipped. EDM's and ECT's licences are no free ones, so no build fetches or runs them. Needs `pip install einops`.
Small networks of theirs, with random weights, go through models/export.py and `onestep generate`; the rows that this prints
belong in docs/parity.md, where the maintainer pastes them."""

import argparse
import ast
import importlib
import os
import pickle
import subprocess
import sys
import tempfile
import types
import unittest
from pathlib import Path
from unittest import mock

import numpy
import torch

sys.path.insert(0, str(Path(__file__).parent))
from peers import generate, levels, noise  # noqa: E402

ALLOWED = 1e-4  # in a range of 2, [-1, 1]
ROWS: list[tuple[str, str, float]] = []
COUNT, SIZE, LABELS = 3, 32, [3, 7, 1]


class Draws:
    """The generator that karras_sample asks for its noise."""

    def __init__(self, z: torch.Tensor):
        self.rest = iter(z)

    def randn(self, *shape, **unused):
        return next(self.rest)

    def randn_like(self, x):
        return next(self.rest, torch.zeros_like(x)).to(x.dtype)  # some ask once more, and multiply it by 0


class ExactAttention:
    """What flash_attn computes on a GPU in half precision: qkv [N, S, 3, heads, channels]."""

    def __init__(self, **unused):
        pass

    def __call__(self, qkv, **unused):
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        weights = (q @ k.transpose(-1, -2) / q.shape[-1]**0.5).softmax(-1)
        return (weights @ v).transpose(1, 2), None


def randomize(network: torch.nn.Module) -> torch.nn.Module:
    """Fresh networks have layers of zeros, or nearly, which would hide what is before them."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for tensor in network.parameters():
            if tensor.abs().max() < 1e-3:
                tensor.normal_(0, 0.05, generator=generator)
    return network.eval().requires_grad_(False)


def condition(labels) -> str:
    return "class-conditional" if labels else "unconditional"


def asked(labels) -> list[str]:
    return [word for index in LABELS for word in ("--label", str(index))] if labels else []


def function(file: Path, name: str, **names):
    """One function of a script whose other imports this test has no use for."""
    tree = ast.parse(file.read_text())
    tree.body = [part for part in tree.body if isinstance(part, ast.FunctionDef) and part.name == name]
    scope = {"torch": torch, "np": numpy, **names}
    exec(compile(tree, str(file), "exec"), scope)
    return scope[name]


class Authors(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def checkout(self, variable: str, package: str) -> Path:
        if variable not in os.environ:
            self.skipTest(f"{variable} is not set")
        code = Path(os.environ[variable])
        sys.path.insert(0, str(code))
        self.addCleanup(sys.path.remove, str(code))
        for name in [name for name in sys.modules if name.split(".")[0] in (package, "torch_utils", "dnnlib")]:
            del sys.modules[name]  # EDM and ECT have packages of the same names
        return code

    def export(self, kind: str, source: Path, code: Path, *flags: str) -> Path:
        model = source.with_suffix(".onestep.pt")
        result = subprocess.run([sys.executable, EXPORT, kind, str(source), str(model), "--code", str(code), "--onestep",
                                 ONESTEP, *flags], capture_output=True, text=True)
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        return model

    def record(self, what: str, peer: str, ours: torch.Tensor, theirs: torch.Tensor):
        difference = float((ours - theirs).abs().max())
        ROWS.append((what, peer, difference))
        self.assertLessEqual(difference, ALLOWED, what)

    def consistency_models(self) -> tuple[Path, types.ModuleType]:
        code = self.checkout("ONESTEP_OPENAI", "cm")
        # What importing their samplers needs, and sampling does not.
        stubs = {name: types.ModuleType(name) for name in
                 ("piq", "torchvision", "torchvision.transforms", "blobfile", "mpi4py", "flash_attn",
                  "flash_attn.flash_attention")}
        stubs["piq"].LPIPS = stubs["torchvision.transforms"].RandomCrop = stubs["mpi4py"].MPI = None
        stubs["flash_attn.flash_attention"].FlashAttention = ExactAttention
        patched = mock.patch.dict(sys.modules, stubs)
        patched.start()
        self.addCleanup(patched.stop)
        return code, importlib.import_module("cm.karras_diffusion")

    def openai_unet(self, package: str, new: bool, **options):
        torch.manual_seed(0)
        create_model = importlib.import_module(f"{package}.script_util").create_model
        if not new:
            options |= {"learn_sigma": True}
        return randomize(create_model(SIZE, 32, 1, channel_mult="1,2,2", attention_resolutions="16,8", num_head_channels=32,
                                      **options))

    def test_consistency_models(self):
        code, karras = self.consistency_models()
        for labels, shift, updown in ((False, True, True), (True, True, True), (False, False, False), (True, False, False)):
            network = self.openai_unet("cm", True, class_cond=labels, use_scale_shift_norm=shift, resblock_updown=updown)
            checkpoint = self.folder / f"{labels}-{shift}.pt"
            torch.save(network.state_dict(), checkpoint)
            kind = f"{condition(labels)} UNetModel, {'scale-shift' if shift else 'additive'}"
            flags = ["--image-size", str(SIZE), "--num-head-channels", "32"]
            label = asked(labels)

            def theirs(z, distillation, **sampler):
                diffusion = karras.KarrasDenoiser(distillation=distillation, loss_norm="l2")
                return karras.karras_sample(diffusion, network, z.shape[1:], generator=Draws(z), device="cpu",
                                            model_kwargs={"y": torch.tensor(LABELS)} if labels else {}, **sampler)

            model = self.export("openai", checkpoint, code, *flags)
            z = noise(1, (COUNT, 3, SIZE, SIZE))
            self.record(f"consistency, 1 step, {kind}", "karras_sample, onestep", generate(ONESTEP, model, z, *label),
                        theirs(z, True, steps=40, sampler="onestep"))
            z = noise(3, (COUNT, 3, SIZE, SIZE))
            places = (0, 17, 28)
            at = karras.get_sigmas_karras(40, 0.002, 80.0)[list(places)]
            self.record(f"consistency, 3 steps, {kind}", "karras_sample, multistep",
                        generate(ONESTEP, model, z, *levels(at), *label),
                        theirs(z, True, steps=40, sampler="multistep", ts=(*places, 39)))
            model = self.export("openai", checkpoint, code, *flags, "--role", "diffusion")
            z = noise(1, (COUNT, 3, SIZE, SIZE))
            self.record(f"Heun, 10 levels, {kind}", "karras_sample, heun",
                        generate(ONESTEP, model, z, "--sampler", "heun", "--steps", "10", *label),
                        theirs(z, False, steps=10, sampler="heun"))

    def test_guided_diffusion(self):
        code = self.checkout("ONESTEP_GUIDED", "guided_diffusion")
        util = importlib.import_module("guided_diffusion.script_util")
        for schedule, labels, new in (("linear", True, False), ("cosine", False, True)):
            network = self.openai_unet("guided_diffusion", new, class_cond=labels, use_scale_shift_norm=True,
                                       resblock_updown=True, use_new_attention_order=new)
            checkpoint = self.folder / f"{schedule}.pt"
            torch.save(network.state_dict(), checkpoint)
            model = self.export("openai", checkpoint, code, "--image_size", str(SIZE), "--num_head_channels", "32",
                                "--noise_schedule", schedule, "--use_new_attention_order", str(new))
            diffusion = util.create_gaussian_diffusion(noise_schedule=schedule, timestep_respacing="ddim10",
                                                       learn_sigma=not new)
            z = noise(1, (COUNT, 3, SIZE, SIZE))
            theirs = diffusion.ddim_sample_loop(network, z.shape[1:], noise=z[0], device="cpu",
                                                model_kwargs={"y": torch.tensor(LABELS)} if labels else {})
            alphas = diffusion.alphas_cumprod[::-1]
            ours = generate(ONESTEP, model, z, "--sampler", "ddim", *levels(((1 - alphas) / alphas)**0.5),
                            *asked(labels))
            kind = f"{condition(labels)} UNetModel{'' if new else ', learned variance'}"
            self.record(f"DDIM, 10 levels, {schedule} schedule, {kind}", "ddim_sample_loop", ours, theirs)

    def snapshot(self, precondition: str, labels: int, **options):
        """Saved as their training loops do."""
        torch.manual_seed(0)
        denoiser = randomize(getattr(importlib.import_module("training.networks"), precondition)(
            img_resolution=16, img_channels=3, label_dim=labels, model_channels=64, num_blocks=1, attn_resolutions=[8],
            channel_mult=[1, 2], **options))
        file = self.folder / f"{precondition}-{labels}-{options['model_type']}.pkl"
        with open(file, "wb") as opened:
            pickle.dump({"ema": denoiser, "dataset_kwargs": {}}, opened)
        return denoiser, file, torch.nn.functional.one_hot(torch.tensor(LABELS), labels) if labels else None

    def compare_snapshots(self, code: Path, precondition: str, compare):
        for labels in (0, 10):
            for name, options in (("DDPM++", {"model_type": "SongUNet", "augment_dim": 9}),
                                  ("NCSN++", {"model_type": "SongUNet", "embedding_type": "fourier",
                                              "encoder_type": "residual", "channel_mult_noise": 2,
                                              "resample_filter": [1, 3, 3, 1]}),
                                  ("ADM", {"model_type": "DhariwalUNet"})):
                denoiser, file, one_hot = self.snapshot(precondition, labels, **options)
                model = self.export("edm", file, code)
                compare(f"{condition(labels)} {name}", denoiser, model, one_hot, asked(labels))

    def test_edm(self):
        code = self.checkout("ONESTEP_EDM", "training")
        sampler = function(code / "generate.py", "edm_sampler")

        def compare(kind, denoiser, model, one_hot, label):
            z = noise(1, (COUNT, 3, 16, 16))
            self.record(f"Heun, 18 levels, {kind}", "edm_sampler", generate(ONESTEP, model, z, "--sampler", "heun", *label),
                        sampler(denoiser, z[0], one_hot))

        with torch.no_grad():
            self.compare_snapshots(code, "EDMPrecond", compare)

    def test_ect(self):
        code = self.checkout("ONESTEP_ECT", "training")
        sampler = function(code / "ct_eval.py", "generator_fn")

        def compare(kind, denoiser, model, one_hot, label):
            for steps, middle in ((1, []), (2, [0.821])):
                z = noise(steps, (COUNT, 3, 16, 16))
                with mock.patch.object(torch, "randn_like", Draws(z[1:]).randn_like):
                    theirs = sampler(denoiser, z[0], one_hot, mid_t=middle)
                self.record(f"consistency, {steps} step{'s' * (steps > 1)}, {kind}", "generator_fn",
                            generate(ONESTEP, model, z, "--steps", str(steps), *label), theirs)

        self.compare_snapshots(code, "ECMPrecond", compare)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("onestep")
    parser.add_argument("export")
    given, rest = parser.parse_known_args()
    ONESTEP, EXPORT = given.onestep, given.export
    program = unittest.main(argv=[sys.argv[0], *rest], exit=False, warnings="ignore")
    print("\n".join(f"| {what} | {peer} | {difference:.1e} |" for what, peer, difference in sorted(ROWS)))
    sys.exit(not program.result.wasSuccessful())
