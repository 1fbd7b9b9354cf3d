#!/usr/bin/env python3
"""What the peers need of one network besides its model file: prepare.py NETWORK MODEL FOLDER --batches 1,8,64 --threads N

FOLDER gets model.onnx and, for each batch size, BATCH.npz: noise; the network's inputs in a one-step sampler that starts
from that noise; its result; and the samples. facts.json has what the report needs."""

import argparse
import json
import time
import warnings
from pathlib import Path

import numpy
import torch
from torch.utils.flop_counter import FlopCounterMode

import networks  # finds the exporters too
from exporters import meaning


def load(model: Path) -> tuple[torch.jit.ScriptModule, dict]:
    """A model file, and what it says of itself."""
    files = {"onestep.json": ""}
    network = torch.jit.load(str(model), _extra_files=files).eval()
    return network, json.loads(files["onestep.json"])


def write_onnx(network: torch.nn.Module, inputs: tuple[torch.Tensor, ...], file: Path) -> None:
    """By the exporter that goes through TorchScript: what the other writes, OpenVINO 2026.4.1 dies of."""
    names = ["x", "noise", "label"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(network, inputs, str(file), dynamo=False, opset_version=20, input_names=names,
                          output_names=["result"], dynamic_axes={name: {0: "batch"} for name in (*names, "result")})


def floating_point_operations(network: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> int:
    """Of one image; a multiplication and an addition are two."""
    with FlopCounterMode(display=False) as counter:
        network(*inputs)
    return counter.get_total_flops() // len(inputs[0])


def write_batch(model: torch.jit.ScriptModule, metadata: dict, batch: int, file: Path) -> float:
    """The right answers, by plain TorchScript; returns the seconds of a call."""
    sigma = metadata["noise"]["sigma_max"]
    skip, out, into = meaning.coefficients(metadata, sigma)
    z, noise, label = meaning.inputs(metadata, batch)
    noise = torch.full_like(noise, meaning.encode(metadata, sigma))
    x = into * sigma * z
    model(x, noise, label)
    begin = time.perf_counter()
    result = model(x, noise, label)
    seconds = time.perf_counter() - begin
    samples = skip * sigma * z + out * result
    if metadata.get("sampling", {}).get("clip_denoised"):
        samples = samples.clamp(-1, 1)
    numpy.savez(file, z=z, x=x, noise=noise, label=label, result=result, samples=samples)
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", choices=networks.NAMES)
    parser.add_argument("model", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--batches", type=lambda text: [int(word) for word in text.split(",")], required=True)
    parser.add_argument("--threads", type=int, required=True)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    options.folder.mkdir(parents=True, exist_ok=True)
    network = networks.module(options.model, options.network)
    model, metadata = load(options.model)
    example = meaning.inputs(metadata, 2)
    write_onnx(network, example, options.folder / "model.onnx")
    facts = {"network": options.network, "shape": metadata["sample"]["shape"],
             "parameters": sum(tensor.numel() for tensor in network.parameters()), "seconds": {}}
    with torch.inference_mode():
        facts["operations"] = floating_point_operations(network, example)
        for batch in options.batches:
            facts["seconds"][batch] = write_batch(model, metadata, batch, options.folder / f"{batch}.npz")
    (options.folder / "facts.json").write_text(json.dumps(facts, indent=1))


if __name__ == "__main__":
    main()
