"""State dicts of openai/consistency_models and openai/guided-diffusion: their UNetModel, built by the user's checkout."""

import importlib
import re
import sys
from pathlib import Path

import torch

from . import ExportError
from .meaning import timestep_sigmas


def numbers(text: str) -> tuple[float, ...]:
    return tuple(int(part) if float(part).is_integer() else float(part) for part in text.split(","))


def truth(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ValueError(text)
    return text.lower() == "true"


# The flags of those projects' scripts.
FLAGS = {
    "image_size": (int, "height and width of a sample"),
    "num_head_channels": (int, "channels of an attention head"),
    "num_heads": (int, "attention heads, where their channels are not given"),
    "use_new_attention_order": (truth, "True or False, as in training (default: False)"),
    "num_channels": (int, None),
    "num_res_blocks": (int, None),
    "channel_mult": (numbers, None),
    "attention_resolutions": (numbers, None),
    "class_cond": (truth, None),
    "learn_sigma": (truth, None),
    "use_scale_shift_norm": (truth, None),
    "resblock_updown": (truth, None),
    "diffusion_steps": (int, "of guided-diffusion (default: 1000)"),
    "noise_schedule": (str, "of guided-diffusion: linear or cosine (default: linear)"),
}


class Network(torch.nn.Module):
    def __init__(self, unet, channels: int):
        super().__init__()
        self.unet, self.channels = unet, channels

    def forward(self, x, noise, label=None):
        # Channels beyond the first are the variance of learn_sigma, which no sampler here uses.
        return self.unet(x, noise, label)[:, :self.channels]


def read(checkpoint: Path, code: Path, role: str | None, flags: dict) -> tuple[torch.nn.Module, dict]:
    guided = (code / "guided_diffusion/unet.py").exists()
    if not guided and not (code / "cm/unet.py").exists():
        raise ExportError(f"--code {code}: holds neither cm/unet.py nor guided_diffusion/unet.py; give the folder of a "
                          "checkout of openai/consistency_models or openai/guided-diffusion")
    if guided and role == "consistency":
        raise ExportError("--role consistency: guided-diffusion trains diffusion models; leave --role out")
    state = load(checkpoint)
    arguments = architecture(checkpoint, state)
    channels = arguments["in_channels"]
    check_sizes(arguments, state, flags)
    override(arguments, flags)
    network = build(checkpoint, code, guided, arguments)
    fit(checkpoint, network, state)
    meaning = guided_diffusion(flags) if guided else consistency_models(role or "consistency")
    metadata = {"sample": {"modality": "image", "shape": [channels, flags["image_size"], flags["image_size"]],
                           "range": [-1, 1]}, **meaning}
    if arguments["num_classes"]:
        metadata["labels"] = {"count": arguments["num_classes"], "encoding": "index"}
    return Network(network, channels), metadata


def load(checkpoint: Path) -> dict[str, torch.Tensor]:
    try:
        state = torch.load(checkpoint, map_location="cpu", weights_only=True)
    except OSError as error:
        raise ExportError(f"{checkpoint}: can't be read: {error.strerror}") from error
    except Exception as error:  # torch.load has no type of its own for what it can't read
        raise ExportError(f"{checkpoint}: is no state dict ({str(error).splitlines()[0]}); give the .pt file of weights "
                          "that the project's scripts take as --model_path") from error
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise ExportError(f"{checkpoint}: holds a {type(state).__name__} of other things than tensors; give the .pt file of "
                          "weights, not the optimizer's")
    return state


def architecture(checkpoint: Path, state: dict[str, torch.Tensor]) -> dict:
    """UNetModel's arguments, as far as the names and shapes of its tensors tell them."""
    def places(pattern: str) -> list[int]:
        return sorted({int(found[1]) for found in (re.fullmatch(pattern, name) for name in state) if found})

    try:
        channels = state["time_embed.0.weight"].shape[1]
        blocks = 1 + max(places(r"output_blocks\.(\d+)\.0\.in_layers\.0\.weight"), default=-1)
        # Every level but the full resolution ends with an upsampler, after a residual block and perhaps attention.
        blocks_up = places(r"output_blocks\.(\d+)\.[12]\.in_layers\.0\.weight")
        ends = blocks_up or places(r"output_blocks\.(\d+)\.[12]\.conv\.weight")
        per_level = ends[0] + 1 if ends else blocks  # one more than the residual blocks of the encoder's level
        firsts = range(1, blocks + 1, per_level or 1)
        widths = [state[f"input_blocks.{first}.0.out_layers.3.weight"].shape[0] for first in firsts]
        return {
            "in_channels": state["input_blocks.0.0.weight"].shape[1],
            "out_channels": state["out.2.weight"].shape[0],
            "model_channels": channels,
            "num_res_blocks": per_level - 1,
            "channel_mult": tuple(width / channels if width % channels else width // channels for width in widths),
            "attention_resolutions": tuple(2**level for level, first in enumerate(firsts)
                                           if f"input_blocks.{first}.1.qkv.weight" in state),
            "num_classes": state["label_emb.weight"].shape[0] if "label_emb.weight" in state else None,
            "use_scale_shift_norm": state["input_blocks.1.0.emb_layers.1.weight"].shape[0] == 2 * widths[0],
            "resblock_updown": bool(blocks_up),
        }
    except (KeyError, IndexError) as error:
        names = ", ".join(list(state)[:3]) or "nothing"
        raise ExportError(f"{checkpoint}: is no UNetModel of openai: {error.args[0]} is missing or misshapen; it begins "
                          f"with {names}") from error


def check_sizes(arguments: dict, state: dict, flags: dict) -> None:
    """What the tensors don't tell has to be given, and to suit them."""
    size, halvings = flags["image_size"], len(arguments["channel_mult"]) - 1
    if size < 1 or size % 2**halvings:
        raise ExportError(f"--image-size {size}: must be a multiple of {2**halvings}; the network halves it "
                          f"{halvings} times")
    name, heads = next(((name, flags[name]) for name in ("num_head_channels", "num_heads") if flags[name]), ("", 0))
    if not name:
        raise ExportError("--num-head-channels or --num-heads is missing: no tensor tells the number of attention heads; "
                          "give what the model was trained with (OpenAI's published ones: --num-head-channels 64)")
    widths = sorted({tensor.shape[1] for key, tensor in state.items() if key.endswith("qkv.weight")})
    if heads < 1 or any(width % heads for width in widths):
        raise ExportError(f"--{name.replace('_', '-')} {heads}: must divide the channels of every attention block: "
                          f"{', '.join(map(str, widths))}")


def override(arguments: dict, flags: dict) -> None:
    """A flag that is given goes before what the tensors tell; where the two differ, fit() says so."""
    given = {name: value for name, value in flags.items() if value is not None}
    arguments |= {"image_size": flags["image_size"],
                  "use_new_attention_order": given.get("use_new_attention_order", False),
                  "num_head_channels": given.get("num_head_channels", -1), "num_heads": given.get("num_heads", 1)}
    for name in ("num_res_blocks", "channel_mult", "use_scale_shift_norm", "resblock_updown"):
        arguments[name] = given.get(name, arguments[name])
    arguments["model_channels"] = given.get("num_channels", arguments["model_channels"])
    if "attention_resolutions" in given:
        arguments["attention_resolutions"] = tuple(flags["image_size"] // size for size in given["attention_resolutions"])
    if "class_cond" in given:
        arguments["num_classes"] = (arguments["num_classes"] or 1000) if given["class_cond"] else None
    if "learn_sigma" in given:
        arguments["out_channels"] = arguments["in_channels"] * (2 if given["learn_sigma"] else 1)


def build(checkpoint: Path, code: Path, guided: bool, arguments: dict) -> torch.nn.Module:
    sys.path.insert(0, str(code))
    try:
        module = importlib.import_module("guided_diffusion.unet" if guided else "cm.unet")
        # Their recomputation of activations is for training, and has no TorchScript.
        module.checkpoint = lambda function, inputs, parameters, flag: function(*inputs)
        if hasattr(module, "QKVFlashAttention"):
            # flash_attn runs in half precision on GPUs; QKVAttention is the same file's function of the same layout.
            module.QKVFlashAttention = lambda channels, heads: module.QKVAttention(heads)
        return module.UNetModel(**arguments)
    except ImportError as error:
        raise ExportError(f"--code {code}: can't be imported: {error}") from error
    except (AssertionError, ValueError, IndexError) as error:
        raise ExportError(f"{checkpoint}: UNetModel refuses {arguments}: {error}") from error


def fit(checkpoint: Path, network: torch.nn.Module, state: dict[str, torch.Tensor]) -> None:
    expected = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    got = {name: tuple(tensor.shape) for name, tensor in state.items()}
    wrong = [f"{name}: expected {expected.get(name, 'nothing')}, got {got.get(name, 'nothing')}"
             for name in sorted(expected | got) if expected.get(name) != got.get(name)]
    if wrong:
        more = f"\n  and {len(wrong) - 5} more" if len(wrong) > 5 else ""
        raise ExportError(f"{checkpoint}: doesn't fit the UNetModel of the flags; leave out those that the tensors tell:\n  "
                          + "\n  ".join(wrong[:5]) + more)
    network.load_state_dict(state)


def consistency_models(role: str) -> dict:
    """KarrasDenoiser: `distillation`, which their scripts set for every consistency model, makes f(x, 0.002) = x."""
    consistency = role == "consistency"
    metadata = {"role": role,
                "network": {"noise_input": {"kind": "log_sigma", "scale": 250.0},  # 1000 * 0.25 * ln(sigma)
                            "prediction": {"kind": "edm", "sigma_data": 0.5, "boundary_sigma": 0.002 if consistency else 0}},
                "noise": {"sigma_min": 0.002, "sigma_max": 80.0, "rho": 7.0},
                "sampling": {"clip_denoised": True}}
    if consistency:
        metadata["sampling"] |= {"levels": {"1": [80.0]}, "renoise": "boundary"}
    return metadata


def guided_diffusion(flags: dict) -> dict:
    kind, count = flags["noise_schedule"] or "linear", flags["diffusion_steps"] or 1000
    if kind not in ("linear", "cosine") or count < 21:  # fewer linear betas reach above 1
        raise ExportError(f"--noise-schedule {kind} --diffusion-steps {count}: must be linear or cosine, of 21 "
                          "steps or more")
    schedule = {"kind": kind, "count": count}
    if kind == "linear":
        schedule |= {"beta_start": 0.1 / count, "beta_end": 20 / count}  # 1e-4 and 0.02 at 1000 steps
    sigmas = timestep_sigmas(schedule).tolist()
    return {"role": "diffusion",
            "network": {"noise_input": {"kind": "timestep", "schedule": schedule, "lookup": "nearest"},
                        "prediction": {"kind": "epsilon"}},
            "noise": {"sigma_min": sigmas[0], "sigma_max": sigmas[-1], "rho": 7.0},
            "sampling": {"clip_denoised": True}}
