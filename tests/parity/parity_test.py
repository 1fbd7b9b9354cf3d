"""onestep beside diffusers, on the same noise: parity_test.py ONESTEP EXPORT TABLE. Writes the table of largest differences
to the file TABLE; docs/parity.md is a committed copy, whose rows have to be those of the test."""

import json
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path
from unittest import mock

os.environ["HF_HUB_OFFLINE"] = "1"

import diffusers  # noqa: E402
import torch  # noqa: E402

sys.path.insert(0, str(Path(__file__).parent))
from peers import (MU, S, Draws, EpsilonOfGaussian, MeanFlowOfGaussian, TrajectoryOfGaussian, TrigFlowOfGaussian, generate, levels,
                   noise, save, trajectory_end)  # noqa: E402

ONESTEP, EXPORT, TABLE = sys.argv[1:4]
COMMITTED = Path(__file__).parents[2] / "docs/parity.md"
RANGE = 2  # of the data, [-1, 1]
ALLOWED = 1e-4 * RANGE
TABLE_ROWS: list[tuple[str, str, float]] = []
BETAS = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
SHAPE = (1, 16, 16)
# In double precision, as onestep has them; diffusers sums them in float32.
ALPHAS = torch.cumprod(1 - torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2, 0)
SIGMAS = ((1 - ALPHAS) / ALPHAS).sqrt()


def steps(levels) -> str:
    return f"{len(levels)} step{'s' * (len(levels) > 1)}"


def timestep_model(module, folder: Path, role: str, **prediction) -> Path:
    """A format-1 file of a network with timesteps on the schedule of BETAS."""
    metadata = {
        "format": 1, "name": "peer", "role": role, "sample": {"modality": "image", "shape": list(SHAPE)},
        "network": {"noise_input": {"kind": "timestep", "lookup": "nearest",
                                    "schedule": {"kind": "scaled_linear", "beta_start": BETAS["beta_start"],
                                                 "beta_end": BETAS["beta_end"], "count": 1000}},
                    "prediction": {"kind": "epsilon", **prediction}},
        "noise": {"sigma_min": float(SIGMAS[0]), "sigma_max": float(SIGMAS[-1]), "rho": 7.0},
    }
    return save(module, metadata, (torch.zeros(2, *SHAPE), torch.tensor([3.0, 5.0])), folder / f"{role}.pt")


def real_network() -> torch.nn.Module:
    torch.manual_seed(0)
    unet = diffusers.UNet2DModel(sample_size=16, in_channels=1, out_channels=1, block_out_channels=(32, 64),
                                 down_block_types=("DownBlock2D", "AttnDownBlock2D"),
                                 up_block_types=("AttnUpBlock2D", "UpBlock2D"), layers_per_block=1, norm_num_groups=8)

    class Sample(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.unet = unet

        def forward(self, x, t):
            return self.unet(x, t, return_dict=False)[0]

    return Sample().eval()


class Parity(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.temporary = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.temporary.cleanup)
        cls.folder = Path(cls.temporary.name)
        cls.alphas = diffusers.DDPMScheduler(**BETAS).alphas_cumprod
        cls.networks = {"closed-form Gaussian": EpsilonOfGaussian(cls.alphas), "UNet2DModel": real_network()}

    def record(self, what: str, peer: str, ours: torch.Tensor, theirs: torch.Tensor):
        difference = float((ours - theirs).abs().max())
        TABLE_ROWS.append((what, peer, difference))
        self.assertLessEqual(difference, ALLOWED, f"{what} against {peer}")

    def sigma_at(self, timesteps) -> torch.Tensor:
        return SIGMAS[timesteps.long()]

    def run_peer(self, scheduler, network, x, z, **step) -> torch.Tensor:
        draws = Draws(z)
        module = sys.modules[type(scheduler).__module__]
        with torch.no_grad(), mock.patch.object(module, "randn_tensor", draws, create=True):
            for t in scheduler.timesteps:
                output = network(scheduler.scale_model_input(x, t), t.float().expand(x.shape[0]))
                result = scheduler.step(output, t, x, **step)
                x = result.prev_sample
        self.last, self.last_output = result, output
        return x

    def compare_baseline(self, what, scheduler, options, draws=1, sigma_scaled=False, **step):
        """Ten steps of a diffusion sampler. sigma_scaled: the scheduler holds x = data + sigma * noise, and starts from
        sigma * noise; a variance-preserving model starts from x_t = noise, which is sqrt(1 + sigma^2) * noise."""
        scheduler.set_timesteps(10)
        for name, network in self.networks.items():
            with self.subTest(network=name):
                model = timestep_model(network, self.folder, "diffusion")
                z = noise(draws, (3, *SHAPE))
                timesteps = torch.unique_consecutive(scheduler.timesteps)  # Heun's come twice
                sigmas = self.sigma_at(timesteps)
                start = z[0] * (1 + float(sigmas[0]) ** 2) ** 0.5 if sigma_scaled else z[0]
                scheduler.set_timesteps(10)
                theirs = self.run_peer(scheduler, network, start, z, **step)
                ours = generate(ONESTEP, model, z, *options, *levels(sigmas))
                # The last level's error is multiplied by nothing; the first, of about 15, by at most that.
                self.record(f"{what}, {name}", type(scheduler).__name__, ours, theirs)

    def test_euler(self):
        self.compare_baseline("Euler", diffusers.EulerDiscreteScheduler(**BETAS, timestep_spacing="trailing"),
                              ["--sampler", "euler"], sigma_scaled=True)

    def test_heun(self):
        self.compare_baseline("Heun", diffusers.HeunDiscreteScheduler(**BETAS, timestep_spacing="trailing"),
                              ["--sampler", "heun"], sigma_scaled=True)

    def test_euler_ancestral(self):
        self.compare_baseline("Euler ancestral",
                              diffusers.EulerAncestralDiscreteScheduler(**BETAS, timestep_spacing="trailing"),
                              ["--sampler", "euler_ancestral"], draws=10, sigma_scaled=True)

    def test_ddim(self):
        for eta, draws in ((0.0, 1), (0.5, 10)):
            scheduler = diffusers.DDIMScheduler(**BETAS, timestep_spacing="trailing", clip_sample=False)
            self.compare_baseline(f"DDIM, eta {eta:g}", scheduler, ["--sampler", "ddim", "--eta", str(eta)], draws=draws,
                                  eta=eta)

    def test_dpmpp_2m(self):
        scheduler = diffusers.DPMSolverMultistepScheduler(**BETAS, timestep_spacing="trailing", solver_order=2,
                                                          final_sigmas_type="zero")
        self.compare_baseline("DPM-Solver++ 2M", scheduler, ["--sampler", "dpmpp_2m"])

    def test_latent_consistency(self):
        for name, network in self.networks.items():
            model = timestep_model(network, self.folder, "consistency", timestep_scaling=10.0, sigma_data=0.5)
            scheduler = diffusers.LCMScheduler(**BETAS, clip_sample=False)
            for count in (1, 4):
                scheduler.set_timesteps(count, original_inference_steps=50)
                z = noise(count, (3, *SHAPE))
                theirs = self.run_peer(scheduler, network, z[0], z)
                theirs = self.last.denoised
                ours = generate(ONESTEP, model, z, *levels(self.sigma_at(scheduler.timesteps)))
                self.record(f"latent consistency, {steps(range(count))}, {name}", "LCMScheduler", ours, theirs)

    def test_trajectory_consistency(self):
        """Theirs ends at the noise of timestep 0, ours on the denoised sample: the noise that theirs predicts is taken out."""
        for name, network in self.networks.items():
            model = timestep_model(network, self.folder, "consistency")
            scheduler = diffusers.TCDScheduler(**BETAS, clip_sample=False)
            for gamma in (0.0, 0.3):
                scheduler.set_timesteps(4, original_inference_steps=50)
                z = noise(4 if gamma else 1, (3, *SHAPE))
                theirs = self.run_peer(scheduler, network, z[0], z, eta=gamma)
                alpha, deviation = self.alphas[0].sqrt(), (1 - self.alphas[0]).sqrt()
                theirs = (theirs - deviation * self.last_output) / alpha
                ours = generate(ONESTEP, model, z, "--sampler", "gamma", "--gamma", str(gamma),
                                *levels(self.sigma_at(scheduler.timesteps)))
                self.record(f"trajectory consistency, gamma {gamma:g}, 4 steps, {name}", "TCDScheduler", ours,
                            theirs)

    def test_trigflow(self):
        metadata = {"format": 1, "name": "trigflow", "role": "consistency",
                    "sample": {"modality": "image", "shape": list(SHAPE)},
                    "network": {"noise_input": {"kind": "angle", "scale": 1.0},
                                "prediction": {"kind": "trigflow", "sigma_data": S}},
                    "noise": {"sigma_min": 0.002, "sigma_max": 1000.0, "rho": 7.0}}
        network = TrigFlowOfGaussian()
        model = save(network, metadata, (torch.zeros(2, *SHAPE), torch.tensor([0.5, 1.0])), self.folder / "trigflow.pt")
        for angles in ([1.57], [1.57, 1.3]):
            scheduler = diffusers.SCMScheduler(sigma_data=S)
            scheduler.set_timesteps(len(angles), max_timesteps=angles[0], intermediate_timesteps=(angles[1:] or [None])[0])
            z = noise(len(angles), (3, *SHAPE))
            x, draws = z[0] * S, Draws(z)
            module = sys.modules[type(scheduler).__module__]
            with mock.patch.object(module, "randn_tensor", draws):
                for t in scheduler.timesteps[:-1]:
                    output = S * network(x / S, t.float().expand(3))
                    x, denoised = scheduler.step(output, t, x, return_dict=False)
            ours = generate(ONESTEP, model, z, *levels([S * torch.tan(torch.tensor(a).double()) for a in angles]))
            self.record(f"TrigFlow, {steps(angles)}, closed-form Gaussian", "SCMScheduler", ours, denoised)

    def test_flow_maps(self):
        """A perfect flow map is exact in any number of steps: nothing of the answer is lost on the way."""
        x, times = torch.zeros(2, *SHAPE), torch.tensor([0.5, 0.9])
        about = {"format": 1, "name": "flow-map", "role": "flow_map",
                 "sample": {"modality": "image", "shape": list(SHAPE)}}
        mean_flow = save(MeanFlowOfGaussian(), {
            **about, "network": {"noise_input": {"kind": "flow_time"}, "prediction": {"kind": "flow"}},
            "noise": {"sigma_min": 0.002, "sigma_max": 1e6, "rho": 7.0}}, (x, times, times / 2), self.folder / "mean.pt")
        trajectory = save(TrajectoryOfGaussian(), {
            **about, "network": {"noise_input": {"kind": "log_sigma", "scale": 0.25},
                                 "prediction": {"kind": "edm", "sigma_data": S, "boundary_sigma": 0}},
            "noise": {"sigma_min": 0.002, "sigma_max": 80.0, "rho": 7.0}}, (x, times, times / 2), self.folder / "ctm.pt")
        z = noise(1, (3, *SHAPE))
        for count in ("1", "4"):
            asked = ["--sampler", "gamma", "--steps", count]
            self.record(f"MeanFlow, {steps(range(int(count)))}, closed-form Gaussian", "the closed form",
                        generate(ONESTEP, mean_flow, z, *asked), MU + S * z[0])
            self.record(f"consistency trajectory, {steps(range(int(count)))}, closed-form Gaussian", "the closed form",
                        generate(ONESTEP, trajectory, z, *asked), trajectory_end(z[0], 80.0))

    def test_flow_matching(self):
        """The schedule in the model's own time, moved by `shift`; noise of another deviation than the data's; and the two
        ways to begin below pure noise, at tau = 0.5: with as much noise as that, or with all of it."""
        network = real_network()
        for shift, scale, start in ((3.0, 1.0, "level"), (3.0, 1.0, "unit"), (1.0, 2.0, "level"), (1.0, 2.0, "unit")):
            scheduler = diffusers.FlowMatchEulerDiscreteScheduler(shift=shift)
            scheduler.set_timesteps(sigmas=[0.5 * (1 - i / 8) for i in range(8)])
            taus = scheduler.sigmas[:-1].double()
            sigmas = scale * taus / (1 - taus)
            metadata = {"format": 2, "name": "flow", "role": "diffusion", "sample": {"modality": "image", "shape": list(SHAPE)},
                        "network": {"noise_input": {"kind": "flow_time", "scale": 1000, "shift": shift, "noise_scale": scale},
                                    "prediction": {"kind": "flow"}},
                        "noise": {"sigma_min": 0.002, "sigma_max": float(sigmas[0]), "rho": 7.0}, "sampling": {"start": start}}
            model = save(network, metadata, (torch.zeros(2, *SHAPE), torch.tensor([3.0, 5.0])), self.folder / "flow.pt")
            z = noise(1, (3, *SHAPE))
            x = scale * z[0] * (float(taus[0]) if start == "level" else 1)
            with torch.no_grad():
                for t in scheduler.timesteps:
                    x = scheduler.step(network(x, t.expand(3)), t, x).prev_sample
            self.record(f"flow matching, Euler, 8 steps, shift {shift:g}, noise scale {scale:g}, start at {start}, UNet2DModel",
                        "FlowMatchEulerDiscreteScheduler", generate(ONESTEP, model, z, "--sampler", "euler", "--steps", "8"), x)
            report = subprocess.run([ONESTEP, "generate", str(model), "-o", str(self.folder / "flow.npy"), "--json", "--sampler",
                                     "euler", "--steps", "8"], capture_output=True, text=True).stdout
            # The peer's are float32.
            torch.testing.assert_close(torch.tensor(json.loads(report)["levels"], dtype=torch.float64), sigmas, rtol=1e-5, atol=0)

    def test_consistency_pipeline(self):
        """The whole way: a saved pipeline, models/export.py, onestep generate."""
        for labels in (None, 10):
            torch.manual_seed(1)
            unet = diffusers.UNet2DModel(sample_size=16, in_channels=3, out_channels=3, block_out_channels=(32, 64),
                                         down_block_types=("ResnetDownsampleBlock2D", "AttnDownBlock2D"),
                                         up_block_types=("AttnUpBlock2D", "ResnetUpsampleBlock2D"), layers_per_block=1,
                                         norm_num_groups=8, resnet_time_scale_shift="scale_shift",
                                         num_class_embeds=labels)
            pipeline = diffusers.ConsistencyModelPipeline(unet.eval(), diffusers.CMStochasticIterativeScheduler())
            pipeline.set_progress_bar_config(disable=True)
            saved, model = self.folder / f"pipeline-{labels}", self.folder / f"pipeline-{labels}.pt"
            pipeline.save_pretrained(saved)
            result = subprocess.run([sys.executable, EXPORT, "diffusers", str(saved), str(model), "--onestep", ONESTEP],
                                    capture_output=True, text=True)
            self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
            for timesteps in ([0], [22, 0], [34, 17, 0]):
                z = noise(len(timesteps), (2, 3, 16, 16))
                module = sys.modules[diffusers.CMStochasticIterativeScheduler.__module__]
                with mock.patch.object(module, "randn_tensor", Draws(z)):
                    asked = {"num_inference_steps": 1} if len(timesteps) == 1 else {"num_inference_steps": None, "timesteps": timesteps}
                    theirs = pipeline(batch_size=2, latents=z[0], class_labels=[3, 7] if labels else None,
                                      output_type="pt", **asked).images
                sigmas = pipeline.scheduler.sigmas[:-1]
                label = ["--label", "3", "--label", "7"] if labels else []
                ours = generate(ONESTEP, model, z, *levels(sigmas), *label)
                kind = "class-conditional" if labels else "unconditional"
                self.record(f"consistency, {steps(timesteps)}, {kind} UNet2DModel", "ConsistencyModelPipeline",
                            ours.clamp(-1, 1), theirs * 2 - 1)

    def test_exported_baselines(self):
        """A saved diffusion pipeline, models/export.py, onestep generate."""
        torch.manual_seed(2)
        unet = real_network().unet
        for scheduler in (diffusers.DDPMScheduler(beta_schedule="squaredcos_cap_v2", prediction_type="v_prediction"),
                          diffusers.DDIMScheduler(**BETAS, prediction_type="sample", clip_sample=False),
                          diffusers.EDMEulerScheduler()):
            name = type(scheduler).__name__
            saved, model = self.folder / name, self.folder / f"{name}.pt"
            diffusers.DDPMPipeline(unet, scheduler).save_pretrained(saved)
            result = subprocess.run([sys.executable, EXPORT, "diffusers", str(saved), str(model), "--onestep", ONESTEP],
                                    capture_output=True, text=True)
            self.assertEqual(result.returncode, 0, f"{name}: {result.stdout}{result.stderr}")
            self.assertIn("diffusion", result.stdout)

    def test_a_broken_pipeline_is_refused_with_the_reason(self):
        empty = self.folder / "empty"
        empty.mkdir()
        result = subprocess.run([sys.executable, EXPORT, "diffusers", str(empty), str(self.folder / "no.pt")],
                                capture_output=True, text=True)
        self.assertNotEqual(result.returncode, 0)
        self.assertIn("model_index.json", result.stderr)
        self.assertNotIn("Traceback", result.stderr)
        self.assertFalse((self.folder / "no.pt").exists())


def table() -> str:
    lines = ["# Parity", "",
             "The same network and the same noise in onestep and in the project named, float32 on a CPU; the largest "
             "difference in a", f"range of 2, of which {ALLOWED:g} is allowed. `ctest --test-dir build -R Parity` writes "
             "it anew into `build/tests/parity.md`.", "",
             f"diffusers {diffusers.__version__}, torch {torch.__version__.split('+')[0]}.", "",
             "| what | against | largest difference |", "| --- | --- | --- |"]
    lines += [f"| {what} | {peer} | {difference:.1e} |" for what, peer, difference in sorted(TABLE_ROWS)]
    lines += ["", "Where the peer differs on purpose: its Euler, Heun and Euler ancestral start a variance-preserving "
              "model at sigma * noise", "with this spacing of timesteps; onestep starts it at the noise that it was trained "
              "with, sqrt(1 + sigma^2) * noise, and the", "test hands the peer that. Its TCD ends at the noise of timestep "
              "0; onestep ends on the denoised sample, and the test", "takes the noise that the peer predicts out of its result."]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    program = unittest.main(argv=[sys.argv[0]], exit=False, warnings="ignore")
    Path(TABLE).write_text(table())

    def first_columns(text):
        generated = text.split("\n## ")[0]  # what follows is authors_test.py's
        return [line.split("|")[1:3] for line in generated.splitlines() if line.startswith("| ")]

    if not program.result.wasSuccessful():
        sys.exit(1)
    if not COMMITTED.exists() or first_columns(COMMITTED.read_text()) != first_columns(Path(TABLE).read_text()):
        sys.exit(f"{COMMITTED} has other rows than this test; copy {TABLE} there")
