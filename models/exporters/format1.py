"""Writes a format-1 file, and has onestep itself confirm it."""

import json
import math
import os
import shutil
import subprocess
import tempfile
import warnings
from pathlib import Path

import numpy
import torch
from torch import nn


class ExportError(Exception):
    """Says what is wrong and what to do."""


def trace(network: nn.Module, metadata: dict) -> torch.jit.ScriptModule:
    """The network as TorchScript; a batch size that tracing baked in is an error."""
    network.eval().requires_grad_(False)
    example, other = inputs(metadata, 2), inputs(metadata, 5)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.filterwarnings("ignore", message=".*torch.jit.*deprecated.*")
        warnings.filterwarnings("ignore", category=torch.jit.TracerWarning)  # what they warn of is tested below
        try:
            # torch's own check would run the same example again, and stumble over networks that keep constants.
            module = torch.jit.trace(network, example, check_trace=False)
            follow_device(module)
            difference = float((module(*other) - network(*other)).abs().max())
            size = float(network(*other).abs().max())
        except (RuntimeError, AssertionError) as error:
            raise ExportError(f"the network can't be traced: {str(error).strip().splitlines()[0]}") from error
    if not difference <= 1e-5 * max(size, 1):  # float32 sums in another order
        raise ExportError(f"the traced network differs from the module by {difference:g} at another batch size; its code "
                          "depends on it, and needs torch.jit.script")
    return module


def in_one_piece(module: torch.jit.ScriptModule) -> torch.jit.ScriptModule:
    """The same network with the code of its layers in one method. Else each is a class in a file of its own, and reading
    those takes longer than all the weights. Parameters and buffers keep their names, and can be moved to a device."""
    inlined = torch._C._freeze_module(module._c, preserveParameters=True)  # torch.jit.freeze would make constants of them
    return torch.jit._recursive.wrap_cpp_module(inlined)


def follow_device(module: torch.jit.ScriptModule) -> None:
    """Tracing notes the device that the module was on wherever its code asks for one; let it be the input's instead, so that
    what is drawn up there (frequencies of an embedding, mostly) is on the GPU when the model is."""
    for part in module.modules():
        for name in part._c._method_names():  # a module that is called twice has forward and forward1
            graph = part._c._get_method(name).graph
            tensor = next((given for given in graph.inputs() if given.type().isSubtypeOf(torch._C.TensorType.get())), None)
            noted = [node for node in graph.findAllNodes("prim::Constant") if node.output().type().kind() == "DeviceObjType"]
            if tensor is None or not noted:
                continue
            device = graph.create("prim::device", [tensor], 1)
            device.output().setType(torch._C.DeviceObjType.get())
            graph.prependNode(device)
            for node in noted:
                node.output().replaceAllUsesWith(device.output())


def inputs(metadata: dict, count: int) -> tuple[torch.Tensor, ...]:
    """Arguments of the network: x, the noise input, [target], [label], [guidance]."""
    generator = torch.Generator().manual_seed(count)
    x = torch.randn(count, *metadata["sample"]["shape"], generator=generator)
    sigmas = torch.linspace(math.log(metadata["noise"]["sigma_min"]), math.log(metadata["noise"]["sigma_max"]), count).exp()
    given = [x, torch.tensor([encode(metadata, float(sigma)) for sigma in sigmas])]
    if metadata["role"] == "flow_map":
        given.append(given[1] / 2)
    labels = metadata.get("labels")
    if labels:
        index = torch.arange(count) % labels["count"]
        one_hot = labels.get("encoding") == "one_hot"
        given.append(torch.nn.functional.one_hot(index, labels["count"]).float() if one_hot else index)
    if "guidance_input" in metadata["network"]:
        given.append(torch.full((count,), float(metadata["network"]["guidance_input"]["default"])))
    return tuple(given)


def timestep_sigmas(schedule: dict) -> torch.Tensor:
    count, kind = schedule["count"], schedule["kind"]
    if kind == "cosine":
        def bar(t):
            return math.cos((t + 0.008) / 1.008 * math.pi / 2) ** 2
        betas = torch.tensor([min(1 - bar((i + 1) / count) / bar(i / count), 0.999) for i in range(count)], dtype=torch.float64)
    else:
        power = 0.5 if kind == "scaled_linear" else 1
        betas = torch.linspace(schedule["beta_start"]**power, schedule["beta_end"]**power, count, dtype=torch.float64)
        betas = betas ** (1 / power)
    a = torch.cumprod(1 - betas, 0)
    return ((1 - a) / a).sqrt()


def encode(metadata: dict, sigma: float) -> float:
    noise_input = metadata["network"]["noise_input"]
    kind, scale = noise_input["kind"], noise_input.get("scale", 1)
    if kind == "log_sigma":
        return scale * math.log(sigma)
    if kind == "angle":
        return scale * math.atan(sigma / metadata["network"]["prediction"]["sigma_data"])
    if kind == "flow_time":
        return scale * sigma / (1 + sigma)
    if kind == "timestep":
        return float((timestep_sigmas(noise_input["schedule"]).log() - math.log(sigma)).abs().argmin())
    return sigma


def coefficients(metadata: dict, sigma: float) -> tuple[float, float, float]:
    """skip, out, in: the denoised sample is skip * x + out * F(in * x)."""
    prediction = metadata["network"]["prediction"]
    kind, data = prediction["kind"], prediction.get("sigma_data", 0.5)
    if kind == "edm":
        above, total = sigma - prediction["boundary_sigma"], math.hypot(sigma, data)
        return data**2 / (above**2 + data**2), above * data / total, 1 / total
    if kind == "trigflow":
        t = math.atan(sigma / data)
        return math.cos(t) ** 2, -math.sin(t) * data, math.cos(t) / data
    if kind == "flow":
        return 1 / (1 + sigma), -sigma / (1 + sigma), 1 / (1 + sigma)
    if kind == "denoised":
        return 0, 1, 1
    a = 1 / math.sqrt(1 + sigma**2)
    skip, out = {"epsilon": (1, -sigma), "v": (a * a, -a * sigma), "sample": (0, 1)}[kind]
    if "timestep_scaling" in prediction:
        scaled = prediction["timestep_scaling"] * encode(metadata, sigma)
        c_skip, c_out = data**2 / (scaled**2 + data**2), scaled / math.hypot(scaled, data)
        skip, out = c_skip * a + c_out * skip, c_out * out
    return skip, out, a


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


def verify(onestep: str, file: Path, network: nn.Module, metadata: dict) -> float:
    """The largest difference between one network call by onestep and by Python, on the same noise."""
    # As much noise as data: neither the noisy sample nor the network's part of the result hides errors of the other.
    sigma = min(max(1.0, metadata["noise"]["sigma_min"]), metadata["noise"]["sigma_max"])
    x, noise, *further = inputs(metadata, 3)
    noise = torch.full_like(noise, encode(metadata, sigma))
    skip, out, in_ = coefficients(metadata, sigma)
    starts_at_sigma = metadata["network"]["prediction"]["kind"] in ("edm", "denoised")
    start = x * sigma if starts_at_sigma else x / in_
    if metadata["role"] == "flow_map":
        further[0] = torch.full_like(noise, encode(metadata, 0) if metadata["network"]["noise_input"]["kind"] != "log_sigma"
                                     else encode(metadata, metadata["noise"]["sigma_min"]))
    with tempfile.TemporaryDirectory() as folder:
        given, drawn = Path(folder) / "noise.npy", Path(folder) / "samples.npy"
        numpy.save(given, x.numpy())
        labels = [word for label in range(3) for word in ("--label", str(label % metadata["labels"]["count"]))] \
            if "labels" in metadata else []
        sampler = {"diffusion": "euler", "consistency": "consistency", "flow_map": "gamma"}[metadata["role"]]
        # The file is what is tested here: the engine, which sums in another order, is left out.
        run(onestep, "generate", str(file), "--no-engine", "--noise", str(given), "--sampler", sampler, "--levels",
            repr(sigma), "-o", str(drawn), *labels)
        samples = torch.from_numpy(numpy.load(drawn))
    with torch.no_grad():
        expected = skip * start + out * network(in_ * start, noise, *further)
    if metadata.get("sampling", {}).get("clip_denoised"):
        expected = expected.clamp(*metadata["sample"].get("range", [-1, 1]))
    return float((samples - expected).abs().max() / max(1, float(expected.abs().max())))


def write(network: nn.Module, metadata: dict, output: Path, onestep: str | None = None,
          module: torch.jit.ScriptModule | None = None) -> None:
    """Traces the network (unless it is TorchScript already), writes the file, has onestep run it, and only then gives it
    its name."""
    program = find_onestep(onestep)
    module = module or in_one_piece(trace(network, metadata))
    partial = output.with_name(f".{output.stem}.partial.pt")
    try:
        torch.jit.save(module, str(partial), _extra_files={"onestep.json": json.dumps(metadata, indent=1)})
        run(program, "inspect", str(partial))  # the metadata, before anything here relies on it
        difference = verify(program, partial, network, metadata)
        if not difference <= 1e-5:
            raise ExportError(f"onestep's result differs from the Python module's by {difference:g} of its size, allowed is "
                              "1e-5: the metadata does not describe this network")
        os.replace(partial, output)
    except OSError as error:
        raise ExportError(f"{output}: can't be written: {error.strerror}") from error
    finally:
        partial.unlink(missing_ok=True)
    network_input, prediction = metadata["network"]["noise_input"], metadata["network"]["prediction"]
    print(f"{output}: {metadata['role']}, {output.stat().st_size / 1e6:.1f} MB")
    print(f"  sample      {metadata['sample']['modality']} {metadata['sample']['shape']}")
    print(f"  labels      {metadata['labels']['count'] if 'labels' in metadata else 'none'}")
    print(f"  noise       {json.dumps(metadata['noise'])}, input {json.dumps(network_input)}")
    print(f"  prediction  {json.dumps(prediction)}")
    print(f"  verified    a call by onestep differs from Python's by {difference:.1g} of its size")
