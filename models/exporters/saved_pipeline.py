"""Pipelines saved by diffusers: a UNet2DModel; or a text encoder, a UNet2DConditionModel on latents and their decoder. The
scheduler beside them says what the network's output means."""

import json
import math
import os
import warnings
from pathlib import Path

import torch

from . import ExportError, schedulers

# The guidance scale that each pipeline has unless another is asked for.
LATENT_PIPELINES = {"LatentConsistencyModelPipeline": 8.5, "StableDiffusionPipeline": 7.5}


class UNet(torch.nn.Module):
    def __init__(self, unet):
        super().__init__()
        self.unet = unet

    def forward(self, x, noise, label=None):
        return self.unet(x, noise, class_labels=label, return_dict=False)[0]


class LatentUNet(torch.nn.Module):
    def __init__(self, unet):
        super().__init__()
        self.unet = unet

    def forward(self, x, noise, prompt, guidance=None):
        embedded = None if guidance is None else embed_guidance(guidance, self.unet.config.time_cond_proj_dim)
        return self.unet(x, noise, encoder_hidden_states=prompt, timestep_cond=embedded, return_dict=False)[0]


def embed_guidance(guidance: torch.Tensor, width: int) -> torch.Tensor:
    """Sines and cosines of 1000 (w - 1) at falling frequencies (Luo et al. 2023): [N, width]. Angles are so large that
    float32 rounding shows in them: the operations are in the order of the pipelines'."""
    half = width // 2
    frequencies = torch.exp(torch.arange(half, device=guidance.device, dtype=torch.float32) * -(math.log(10000) / (half - 1)))
    angles = ((guidance - 1) * 1000)[:, None] * frequencies
    return torch.nn.functional.pad(torch.cat([angles.sin(), angles.cos()], 1), (0, width % 2))


class TextEncoder(torch.nn.Module):
    def __init__(self, encoder):
        super().__init__()
        self.encoder = encoder

    def forward(self, ids):
        return self.encoder(ids).last_hidden_state


class Decoder(torch.nn.Module):
    def __init__(self, autoencoder):
        super().__init__()
        self.autoencoder = autoencoder

    def forward(self, z):
        return self.autoencoder.decode(z / self.autoencoder.config.scaling_factor, return_dict=False)[0]


def read(folder: Path) -> tuple[torch.nn.Module | dict[str, torch.nn.Module], dict]:
    index = folder / "model_index.json"
    if not index.exists():
        raise ExportError(f"{index}: no such file; give the folder that save_pretrained wrote")
    os.environ["HF_HUB_OFFLINE"] = "1"  # a part that is missing is an error, not a download
    try:
        import diffusers
    except ImportError as error:
        raise ExportError("diffusers is needed to read its pipelines: pip install diffusers") from error
    diffusers.utils.logging.set_verbosity_error()
    about = json.loads(index.read_text())
    kind = class_of(about, "unet")
    if kind == "UNet2DConditionModel":
        return read_latent(folder, about)
    if kind != "UNet2DModel":
        raise ExportError(f"{index}: unet is a {kind}; known are UNet2DModel and UNet2DConditionModel")
    unet = load(diffusers.UNet2DModel, folder / "unet")
    height, width = size_of(unet)
    metadata = {"sample": {"modality": "image", "shape": [unet.config.in_channels, height, width], "range": [-1, 1]},
                **schedulers.meaning(schedulers.read(folder))}
    if unet.config.num_class_embeds:
        metadata["labels"] = {"count": unet.config.num_class_embeds, "encoding": "index"}
    return UNet(unet), metadata


def read_latent(folder: Path, about: dict) -> tuple[dict[str, torch.nn.Module], dict]:
    import diffusers
    try:
        import transformers
    except ImportError as error:
        raise ExportError("transformers is needed to read text encoders: pip install transformers") from error
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()

    pipeline = about.get("_class_name")
    if pipeline not in LATENT_PIPELINES:
        raise ExportError(f"{folder / 'model_index.json'}: _class_name is {pipeline}; of those with a UNet2DConditionModel, "
                          f"known are {', '.join(LATENT_PIPELINES)}")
    known = {"text_encoder": [transformers.CLIPTextModel],
             "vae": [diffusers.AutoencoderKL, diffusers.AutoencoderTiny]}
    loaded = {"unet": load(diffusers.UNet2DConditionModel, folder / "unet")}
    for part, kinds in known.items():
        kind = next((kind for kind in kinds if kind.__name__ == class_of(about, part)), None)
        if kind is None:
            raise ExportError(f"{folder / 'model_index.json'}: {part} is a {class_of(about, part)}; known are "
                              f"{', '.join(kind.__name__ for kind in kinds)}")
        loaded[part] = load(kind, folder / part)
    unet, text, vae = loaded["unet"].config, loaded["text_encoder"].config, loaded["vae"].config
    require_known_inputs(folder, unet, text, vae)

    scheduler = schedulers.read(folder)
    found = schedulers.meaning(scheduler)
    if found.setdefault("sampling", {}).get("clip_denoised"):
        raise ExportError(f"{folder / 'scheduler'}: clip_sample clips latents, whose range is not the pictures'")
    if schedulers.starts_at_level(scheduler):
        found["sampling"]["start"] = "level"
    length, scale = text.max_position_embeddings, 2 ** (len(vae.block_out_channels) - 1)
    height, width = size_of(loaded["unet"])
    prompt = {"name": "prompt", "kind": "tokens", "shape": [length, text.hidden_size], "count": text.vocab_size}
    if class_of(about, "tokenizer"):
        tokenizer = load(transformers.CLIPTokenizer, folder / "tokenizer")
        prompt["null"] = tokenizer("", padding="max_length", max_length=length).input_ids
        prompt["pad"] = tokenizer.pad_token_id
    metadata = {
        "format": 2,
        "components": {"denoiser": "denoiser.pt", "decoder": "decoder.pt", "text_encoder": "text_encoder.pt"},
        # Each of the network's upsamplers doubles what a downsampler halved.
        "sample": {"shape": [unet.in_channels, "H", "W"], "multiple": 2 ** loaded["unet"].num_upsamplers,
                   "default": {"H": height, "W": width}},
        "data": {"modality": "image", "shape": [vae.out_channels, f"{scale}H", f"{scale}W"], "range": [-1, 1]},
        "conditions": [prompt],
        **found,
    }
    if unet.time_cond_proj_dim:
        metadata["conditions"].append({"name": "guidance", "kind": "scalar", "default": LATENT_PIPELINES[pipeline],
                                       "range": [0, 1000]})
    return {"denoiser": LatentUNet(loaded["unet"]), "decoder": Decoder(loaded["vae"]),
            "text_encoder": TextEncoder(loaded["text_encoder"])}, metadata


def require_known_inputs(folder: Path, unet, text, vae) -> None:
    """Refuses parts that take what onestep can't give, or that don't fit together."""
    for option in ("addition_embed_type", "class_embed_type", "num_class_embeds", "encoder_hid_dim_type"):
        if unet.get(option) is not None:
            raise ExportError(f"{folder / 'unet'}: {option} = {unet[option]}: takes a further input, which onestep can't give")
    if unet.in_channels != vae.latent_channels:
        raise ExportError(f"{folder / 'unet'}: in_channels = {unet.in_channels} must be the autoencoder's latent_channels = "
                          f"{vae.latent_channels}; a network that also takes a mask or a picture is not known")
    if unet.cross_attention_dim != text.hidden_size:
        raise ExportError(f"{folder / 'unet'}: cross_attention_dim = {unet.cross_attention_dim} must be the text encoder's "
                          f"hidden_size = {text.hidden_size}")
    if getattr(text, "use_attention_mask", False):
        raise ExportError(f"{folder / 'text_encoder'}: use_attention_mask: a text encoder with a mask is not known")
    if vae.get("shift_factor"):
        raise ExportError(f"{folder / 'vae'}: shift_factor = {vae.shift_factor} is not what these pipelines decode with; "
                          "known is scaling_factor alone")


def class_of(about: dict, part: str) -> str | None:
    """The class of a part of a pipeline, as model_index.json has it; None: the pipeline does without it."""
    entry = about.get(part)
    return entry[1] if isinstance(entry, list) and len(entry) == 2 else None


def load(kind: type, folder: Path):
    """A part of a pipeline, in float32 whatever it was saved in."""
    if not folder.is_dir():
        raise ExportError(f"{folder}: no such folder; the pipeline's {kind.__name__} is missing")
    try:
        with warnings.catch_warnings(action="ignore"):
            part = kind.from_pretrained(folder, local_files_only=True)
    except Exception as error:  # safetensors, pickles and JSON raise what they like
        raise ExportError(f"{folder}: {kind.__name__} can't be read: {str(error).strip().splitlines()[0]}") from error
    return part.float() if isinstance(part, torch.nn.Module) else part


def size_of(unet) -> tuple[int, int]:
    size = unet.config.sample_size
    return (size, size) if isinstance(size, int) else tuple(size)
