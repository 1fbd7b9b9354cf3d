"""Writes a model file, or a model folder, and has onestep itself confirm it."""

import copy
import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy
import torch
from torch import nn

from . import ExportError
from .meaning import coefficients, conditions, data_size, encode, has_map, inputs, sizes, start, token_ids
from .tracing import in_one_piece, keep_in_half, script, trace


def find_onestep(given: str | None) -> str:
    built = Path(__file__).parents[2] / "build/src/onestep"
    program = given or (str(built) if built.exists() else shutil.which("onestep"))
    if not program:
        raise ExportError("onestep is needed to verify the file, and is neither in build/src nor on the PATH; build it, or "
                          "name it with --onestep")
    return program


def run(onestep: str, *arguments: str) -> None:
    result = subprocess.run([onestep, *arguments], capture_output=True, text=True)
    if result.returncode != 0:
        raise ExportError(result.stderr.strip().removeprefix("onestep: "))


def arguments(component: str, metadata: dict, count: int, elsewhere: bool = False) -> tuple[torch.Tensor, ...]:
    """What a component is called with; as inputs()."""
    if component == "text_encoder":
        return token_ids(next(condition for condition in conditions(metadata) if condition["kind"] == "tokens"), count),
    given = inputs(metadata, count, elsewhere)
    return given[:1] if component == "decoder" else given


def in_torchscript(component: str, network: nn.Module, metadata: dict, half: bool) -> torch.jit.ScriptModule:
    if isinstance(network, torch.jit.ScriptModule):
        return network
    if half:
        network = copy.deepcopy(network.half().float())  # a module shares its weights with the network that it was traced from
    given, others = arguments(component, metadata, 2), arguments(component, metadata, 5, elsewhere=True)
    if component == "denoiser" and has_map(metadata):
        module = in_one_piece(script(network, others, inputs(metadata, 5, elsewhere=True, label_map=True)))
    else:
        module = in_one_piece(trace(network, given, others))
    if half:
        keep_in_half(module)
    return module


def verify(onestep: str, file: Path, networks: dict[str, nn.Module], metadata: dict, elsewhere: bool = False) -> str:
    """One network call by onestep and by Python, on the same noise; says how far they differ. `elsewhere`: of a picture of
    another size than the default one."""
    # As much noise as data: neither the noisy sample nor the network's part of the result hides errors of the other.
    sigma = min(max(1.0, metadata["noise"]["sigma_min"]), metadata["noise"]["sigma_max"])
    z, noise, *further = inputs(metadata, 3)
    if elsewhere:
        z = inputs(metadata, 3, elsewhere=True)[0]
    noise = torch.full_like(noise, encode(metadata, sigma))
    skip, out, in_ = coefficients(metadata, sigma)
    x = start(metadata, z, sigma)
    if metadata["role"] == "flow_map":
        further[0] = torch.full_like(noise, encode(metadata, 0) if metadata["network"]["noise_input"]["kind"] != "log_sigma"
                                     else encode(metadata, metadata["noise"]["sigma_min"]))
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        given, texts, drawn = (Path(folder) / name for name in ("noise.npy", "tokens.txt", "samples.npy"))
        numpy.save(given, z.numpy())
        words = []
        place = metadata["role"] == "flow_map"
        for condition in conditions(metadata):
            if condition["kind"] == "class":
                words += [word for label in range(3) for word in ("--label", str(label % condition["count"]))]
            elif condition["kind"] == "tokens":
                ids = token_ids(condition, 3)
                texts.write_text("".join(" ".join(map(str, row)) + "\n" for row in ids.tolist()))
                words += ["--tokens", str(texts)]
                further[place] = networks["text_encoder"](ids)
            place += 1
        if elsewhere:
            height, width = (data_size(metadata, size, elsewhere) for size in metadata.get("data", metadata["sample"])["shape"][1:])
            words += ["--size", f"{width}x{height}"]
        sampler = {"diffusion": "euler", "consistency": "consistency", "flow_map": "gamma"}[metadata["role"]]
        # The file is what is tested here: the engine, which sums in another order, is left out.
        run(onestep, "generate", str(file), "--no-engine", "--noise", str(given), "--sampler", sampler, "--levels",
            repr(sigma), "-o", str(drawn), *words)
        samples = torch.from_numpy(numpy.load(drawn))
        expected = skip * x + out * networks["denoiser"](in_ * x, noise, *further)
        if metadata.get("sampling", {}).get("clip_denoised"):
            expected = expected.clamp(*metadata["sample"].get("range", [-1, 1]))
        if "decoder" in networks:
            expected = networks["decoder"](expected)
    if samples.shape != expected.shape:
        raise ExportError(f"onestep's result is of shape {list(samples.shape)}, the Python module's {list(expected.shape)}")
    difference = float((samples - expected).abs().max() / max(1, float(expected.abs().max())))
    if not difference <= 1e-5:
        raise ExportError(f"onestep's result differs from the Python module's by {difference:g} of its size, allowed is "
                          "1e-5: the metadata does not describe this network")
    return f"  verified    a call by onestep at {list(z.shape[1:])} differs from Python's by {difference:.1g} of its size"


def write(networks: nn.Module | dict[str, nn.Module], metadata: dict, output: Path, onestep: str | None = None,
          half: bool = False) -> None:
    """Writes one network as a file, or components as a folder, has onestep run it, and only then gives it its name. Networks
    that are TorchScript already are written as they are. `half`: weights are rounded to half precision and kept so."""
    program = find_onestep(onestep)
    folder = isinstance(networks, dict)
    if folder and os.path.lexists(output):
        raise ExportError(f"{output}: exists already; remove it, or give a folder that is not there yet")
    if not folder:
        networks = {"denoiser": networks}
    modules = {name: in_torchscript(name, network, metadata, half) for name, network in networks.items()}
    partial = output.with_name(f".{output.stem}.partial{'' if folder else '.pt'}")
    about = json.dumps(metadata, indent=1)
    try:
        if folder:
            partial.mkdir()
            for name, module in modules.items():
                torch.jit.save(module, str(partial / metadata["components"][name]))
            (partial / "onestep.json").write_text(about)
        else:
            torch.jit.save(modules["denoiser"], str(partial), _extra_files={"onestep.json": about})
        run(program, "inspect", str(partial))  # the metadata, before anything here relies on it
        verified = [verify(program, partial, networks, metadata)]
        sample, data = metadata["sample"], metadata.get("data", metadata["sample"])
        if sizes(metadata) and data["modality"] == "image":
            verified.append(verify(program, partial, networks, metadata, elsewhere=True))
        os.replace(partial, output)
    except OSError as error:
        raise ExportError(f"{output}: can't be written: {error.strerror}") from error
    finally:
        if folder:
            shutil.rmtree(partial, ignore_errors=True)
        else:
            partial.unlink(missing_ok=True)
    written = sum(file.stat().st_size for file in (output.iterdir() if folder else [output]))
    print(f"{output}: {metadata['role']}, {written / 1e6:.1f} MB")
    decoded = f" of {sample['shape']}" if data is not sample else ""
    print(f"  sample      {data['modality']} {data['shape']}{decoded}")
    for condition in conditions(metadata):
        print(f"  {condition['name']:11} {condition['kind']} {condition.get('count', condition.get('shape', ''))}")
    print(f"  noise       {json.dumps(metadata['noise'])}, input {json.dumps(metadata['network']['noise_input'])}")
    print(f"  prediction  {json.dumps(metadata['network']['prediction'])}")
    print("\n".join(verified))
