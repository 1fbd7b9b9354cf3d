"""Text-conditioned latent pipelines of diffusers, small and with random weights: saved, exported by models/export.py, drawn by
onestep and by the pipeline itself from the same noise. Usage: latent_test.py ONESTEP EXPORT. The rows are those of docs/parity.md."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path
from unittest import mock

os.environ["HF_HUB_OFFLINE"] = "1"

import diffusers  # noqa: E402
import torch  # noqa: E402
import transformers  # noqa: E402

ONESTEP, EXPORT = sys.argv[1:3]
sys.path[:0] = [str(Path(__file__).parent), str(Path(EXPORT).parent)]
from exporters import ExportError, saved_pipeline  # noqa: E402
from peers import Draws, generate, levels, noise  # noqa: E402

COMMITTED = Path(__file__).parents[2] / "docs/parity.md"
# float32 sums in another order; at the highest level, 14.6, the network's rounding counts fifteen times.
ALLOWED = 1e-4
TABLE_ROWS: list[str] = []
LENGTH, WORDS = 77, 54  # of a text; in the vocabulary
LETTERS = [chr(code) for code in range(ord("a"), ord("z") + 1)]
BETAS = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
SIZES = ((8, 8), (16, 12))  # of latents: the one that is saved as the default, and another


def text_encoder():
    return transformers.CLIPTextModel(transformers.CLIPTextConfig(
        vocab_size=WORDS, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
        max_position_embeddings=LENGTH, bos_token_id=52, eos_token_id=53, pad_token_id=53)).eval()


def tokenizer():
    words = [*LETTERS, *(letter + "</w>" for letter in LETTERS), "<|startoftext|>", "<|endoftext|>"]
    return transformers.CLIPTokenizer(vocab={word: place for place, word in enumerate(words)}, merges=[], model_max_length=LENGTH)


def unet(**further):
    return diffusers.UNet2DConditionModel(
        sample_size=8, in_channels=4, out_channels=4, block_out_channels=(32, 64), layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"), up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=32, attention_head_dim=8, norm_num_groups=8, **further).eval()


def latent_consistency():
    torch.manual_seed(1)
    autoencoder = diffusers.AutoencoderKL(
        block_out_channels=(16, 32, 32), down_block_types=("DownEncoderBlock2D",) * 3, up_block_types=("UpDecoderBlock2D",) * 3,
        latent_channels=4, norm_num_groups=8).eval()
    return diffusers.LatentConsistencyModelPipeline(
        vae=autoencoder, text_encoder=text_encoder(), tokenizer=None, unet=unet(time_cond_proj_dim=32),
        scheduler=diffusers.LCMScheduler(**BETAS), safety_checker=None, feature_extractor=None, requires_safety_checker=False)


def turbo():
    torch.manual_seed(2)
    autoencoder = diffusers.AutoencoderTiny(
        encoder_block_out_channels=(16, 16), decoder_block_out_channels=(16, 16), num_encoder_blocks=(1, 1),
        num_decoder_blocks=(1, 1)).eval()
    return diffusers.StableDiffusionPipeline(
        vae=autoencoder, text_encoder=text_encoder(), tokenizer=tokenizer(), unet=unet(), safety_checker=None, feature_extractor=None,
        scheduler=diffusers.EulerAncestralDiscreteScheduler(**BETAS, timestep_spacing="trailing"), requires_safety_checker=False)


def export(pipeline: Path, model: Path) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, EXPORT, "diffusers", pipeline, model, "--onestep", ONESTEP], capture_output=True,
                          text=True)


class Latent(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        temporary = tempfile.TemporaryDirectory()
        cls.addClassCleanup(temporary.cleanup)
        cls.folder = Path(temporary.name)
        diffusers.utils.logging.disable_progress_bar()
        cls.pipelines = {"lcm": latent_consistency(), "turbo": turbo()}
        for name, pipeline in cls.pipelines.items():
            pipeline.set_progress_bar_config(disable=True)
            pipeline.save_pretrained(cls.folder / f"{name}-saved")
            result = export(cls.folder / f"{name}-saved", cls.folder / name)
            if result.returncode != 0:
                raise AssertionError(result.stderr)
            if result.stderr:
                raise AssertionError(f"export.py warns: {result.stderr}")

    def texts(self, seed: int = 0) -> torch.Tensor:
        return torch.randint(WORDS, (2, LENGTH), generator=torch.Generator().manual_seed(seed))

    def tokens(self, ids) -> list[str]:
        file = self.folder / "tokens.txt"
        file.write_text("".join(" ".join(map(str, row)) + "\n" for row in ids))
        return ["--tokens", str(file)]

    def theirs(self, name: str, z: torch.Tensor, ids: torch.Tensor, **asked) -> torch.Tensor:
        """Pictures in [-1, 1] of the pipeline, given the draws that onestep gets."""
        pipeline = self.pipelines[name]
        module = sys.modules[type(pipeline.scheduler).__module__]
        scale = pipeline.vae_scale_factor
        with torch.no_grad(), mock.patch.object(module, "randn_tensor", Draws(z)):
            pictures = pipeline(prompt_embeds=pipeline.text_encoder(ids)[0], latents=z[0].clone(), height=scale * z.shape[-2],
                                width=scale * z.shape[-1], output_type="pt", **asked).images
        return pictures * 2 - 1

    def ours(self, name: str, z: torch.Tensor, ids: torch.Tensor, *options: str) -> torch.Tensor:
        height, width = (self.pipelines[name].vae_scale_factor * size for size in z.shape[-2:])
        size = ["--size", f"{width}x{height}"] if (z.shape[-2], z.shape[-1]) != SIZES[0] else []
        return generate(ONESTEP, self.folder / name, z, *size, *self.tokens(ids.tolist()), *options).clamp(-1, 1)

    def compare(self, what: str, name: str, ours: torch.Tensor, theirs: torch.Tensor):
        difference = float((ours - theirs).abs().max())
        TABLE_ROWS.append(f"| {what} | {type(self.pipelines[name]).__name__} | {difference:.1e} |")
        self.assertEqual(ours.shape, theirs.shape)
        self.assertGreater(float(theirs.std()), 0.05, "a picture of one colour shows no differences")
        self.assertLessEqual(difference, ALLOWED, what)

    def test_latent_consistency(self):
        for (height, width), count in ((size, count) for size in SIZES for count in (1, 4)):
            z, ids = noise(count, (2, 4, height, width)), self.texts()
            self.compare(f"latent consistency, {count} step{'s' * (count > 1)}, latents {height}x{width}", "lcm",
                         self.ours("lcm", z, ids, "--steps", str(count)),
                         self.theirs("lcm", z, ids, num_inference_steps=count))

    def test_latent_consistency_with_guidance(self):
        z, ids = noise(4, (2, 4, *SIZES[0])), self.texts()
        ours = self.ours("lcm", z, ids, "--steps", "4", "--guidance", "3")
        self.compare("latent consistency, 4 steps, guidance 3", "lcm", ours,
                     self.theirs("lcm", z, ids, num_inference_steps=4, guidance_scale=3.0))
        self.assertGreater(float((ours - self.ours("lcm", z, ids, "--steps", "4")).abs().max()), 100 * ALLOWED)

    def test_turbo(self):
        for height, width in SIZES:
            z, ids = noise(1, (2, 4, height, width)), self.texts()
            self.compare(f"SD-Turbo's form, 1 step, latents {height}x{width}", "turbo",
                         self.ours("turbo", z, ids, "--sampler", "euler_ancestral", "--steps", "1"),
                         self.theirs("turbo", z, ids, num_inference_steps=1, guidance_scale=0.0))

    def test_turbo_in_more_steps(self):
        scheduler = self.pipelines["turbo"].scheduler
        scheduler.set_timesteps(4)
        alphas = torch.cumprod(1 - torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2, 0)
        sigmas = ((1 - alphas) / alphas).sqrt()[scheduler.timesteps.long()]
        z, ids = noise(4, (2, 4, *SIZES[0])), self.texts()
        self.compare("SD-Turbo's form, 4 steps", "turbo",
                     self.ours("turbo", z, ids, "--sampler", "euler_ancestral", *levels(sigmas)),
                     self.theirs("turbo", z, ids, num_inference_steps=4, guidance_scale=0.0))

    def test_guidance_away_from_no_text(self):
        z, ids = noise(1, (2, 4, *SIZES[0])), self.texts()
        pipeline = self.pipelines["turbo"]
        nothing = torch.tensor(2 * [pipeline.tokenizer("", padding="max_length").input_ids])
        with torch.no_grad():
            without = pipeline.text_encoder(nothing)[0]
        self.compare("SD-Turbo's form, 1 step, guidance 4 without an input for it", "turbo",
                     self.ours("turbo", z, ids, "--sampler", "euler_ancestral", "--steps", "1", "--guidance", "4"),
                     self.theirs("turbo", z, ids, num_inference_steps=1, guidance_scale=4.0, negative_prompt_embeds=without))

    def test_a_text_matters(self):
        z = noise(1, (2, 4, *SIZES[0]))
        for name, options in (("lcm", ["--steps", "1"]), ("turbo", ["--sampler", "euler_ancestral", "--steps", "1"])):
            one, other = (self.ours(name, z, self.texts(seed), *options) for seed in (0, 1))
            self.assertGreater(float((one - other).abs().max()), 100 * ALLOWED, name)

    def test_short_texts_are_filled_up(self):
        z = noise(1, (2, 4, *SIZES[0]))
        pipeline = self.pipelines["turbo"]
        texts = [[52, 3, 28, 53], [52, 30, 53]]
        full = torch.tensor([text + [pipeline.tokenizer.pad_token_id] * (LENGTH - len(text)) for text in texts])
        short = generate(ONESTEP, self.folder / "turbo", z, *self.tokens(texts), "--sampler", "euler_ancestral", "--steps", "1")
        self.assertTrue(torch.equal(short.clamp(-1, 1), self.ours("turbo", z, full, "--sampler", "euler_ancestral", "--steps", "1")))

    def run_onestep(self, model, *options: str) -> str:
        """The message of a command that must fail."""
        before = sorted(self.folder.glob("**/*"))
        result = subprocess.run([ONESTEP, "generate", model, "-o", self.folder / "refused.npy", *options], capture_output=True,
                                text=True)
        self.assertIn(result.returncode, (2, 3, 4), result.stdout + result.stderr)
        self.assertEqual(sorted(self.folder.glob("**/*")), before)
        return result.stderr

    def test_inspect_says_what_is_drawn_of_what(self):
        told = subprocess.run([ONESTEP, "inspect", self.folder / "lcm"], capture_output=True, text=True).stdout
        rows = [" ".join(row.split()) for row in told.splitlines()]
        for row in ("sample image [3, 4H, 4W] in [-1, 1]", "by default H = 8, W = 8", "decoded of [4, H, W]",
                    f"text {LENGTH} tokens, each in [0, {WORDS - 1}]", "guidance an input of the network, by default 8.5"):
            self.assertIn(row, rows)

    def test_wrong_texts_are_refused(self):
        (self.folder / "tokens.txt").write_text("1 2\n3 four 5\n")
        message = self.run_onestep(self.folder / "turbo", "--tokens", str(self.folder / "tokens.txt"))
        self.assertIn("tokens.txt: line 2: 'four'", message)
        self.assertIn("needs tokens", self.run_onestep(self.folder / "lcm"))
        self.assertIn("takes no tokens", self.run_onestep("fashion", *self.tokens([[1]])))
        self.assertIn(f"{LENGTH - 1}", self.run_onestep(self.folder / "lcm", *self.tokens([[1] * (LENGTH - 1)])))
        self.assertIn(f"{LENGTH + 1}", self.run_onestep(self.folder / "turbo", *self.tokens([[1] * (LENGTH + 1)])))
        message = self.run_onestep(self.folder / "lcm", *self.tokens([[1] * (LENGTH - 1) + [WORDS]]))
        self.assertIn(f"tokens[0][{LENGTH - 1}] = {WORDS} must lie in [0, {WORDS - 1}]", message)
        self.assertIn("'-1'", self.run_onestep(self.folder / "lcm", *self.tokens([[-1] * LENGTH])))

    def test_a_damaged_folder_is_refused(self):
        for part in ("decoder.pt", "denoiser.pt", "text_encoder.pt", "onestep.json"):
            model = self.folder / f"without-{part}"
            shutil.copytree(self.folder / "lcm", model)
            (model / part).unlink()
            self.assertIn(part, self.run_onestep(model, *self.tokens(self.texts().tolist())))

    def test_what_is_no_such_pipeline_is_refused(self):
        def changed(part: str, file: str, **settings) -> Path:
            copy = self.folder / "changed-saved"
            shutil.rmtree(copy, ignore_errors=True)
            shutil.copytree(self.folder / "lcm-saved", copy)
            about = json.loads((copy / part / file).read_text())
            (copy / part / file).write_text(json.dumps(about | settings))
            return copy

        index = "model_index.json"
        for make, *words in (
                (lambda: changed("", index, _class_name="StableDiffusionXLPipeline"), "StableDiffusionXLPipeline", "known are"),
                (lambda: changed("", index, vae=["diffusers", "VQModel"]), "vae is a VQModel", "AutoencoderKL"),
                (lambda: changed("", index, text_encoder=["transformers", "T5EncoderModel"]), "text_encoder is a T5EncoderModel"),
                (lambda: changed("vae", "config.json", shift_factor=0.1), "shift_factor = 0.1"),
                (lambda: changed("unet", "config.json", num_class_embeds=4), "num_class_embeds = 4"),
                (lambda: changed("vae", "config.json", latent_channels=8), "vae", "AutoencoderKL can't be read"),
                (lambda: changed("scheduler", "scheduler_config.json", clip_sample=True), "clip_sample"),
                (lambda: changed("scheduler", "scheduler_config.json", _class_name="Heun"), "Heun: not a scheduler")):
            with self.assertRaises(ExportError) as caught:
                saved_pipeline.read(make())
            for word in words:
                self.assertIn(word, str(caught.exception))
        for missing in ("vae", "unet", "text_encoder", "scheduler"):
            pipeline = changed("", index)
            shutil.rmtree(pipeline / missing)
            with self.assertRaises(ExportError) as caught:
                saved_pipeline.read(pipeline)
            self.assertIn(str(pipeline / missing), str(caught.exception))

    def test_a_refusal_is_one_line_and_leaves_nothing(self):
        pipeline = self.folder / "short-saved"
        shutil.copytree(self.folder / "lcm-saved", pipeline)
        file = next((pipeline / "vae").glob("*.safetensors"))
        file.write_bytes(file.read_bytes()[:1000])
        before = sorted(self.folder.glob("**/*"))
        result = export(pipeline, self.folder / "refused")
        self.assertEqual(result.returncode, 1)
        self.assertRegex(result.stderr, r"^export\.py: .*/vae: AutoencoderKL can't be read: .*\n$")
        self.assertEqual(sorted(self.folder.glob("**/*")), before)

    def test_a_folder_that_is_there_is_kept(self):
        before = {file: file.read_bytes() for file in (self.folder / "turbo").iterdir()}
        result = export(self.folder / "turbo-saved", self.folder / "turbo")
        self.assertEqual(result.returncode, 1)
        self.assertIn("exists already", result.stderr)
        self.assertEqual({file: file.read_bytes() for file in (self.folder / "turbo").iterdir()}, before)


if __name__ == "__main__":
    program = unittest.main(argv=[sys.argv[0]], exit=False, warnings="ignore")

    def without_figures(rows):
        return sorted(row.rsplit("|", 2)[0] for row in rows)

    print("\n".join(sorted(TABLE_ROWS)))
    if not program.result.wasSuccessful():
        sys.exit(1)
    section = COMMITTED.read_text().partition("\n## Latent pipelines")[2].split("\n## ")[0]
    if without_figures(row for row in section.splitlines() if row.count(" | ") == 2 and "---" not in row and "against" not in row) \
            != without_figures(TABLE_ROWS):
        sys.exit(f"{COMMITTED} has other rows than these of this test")
