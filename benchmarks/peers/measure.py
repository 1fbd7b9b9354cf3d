#!/usr/bin/env python3
"""One measurement, in a process of its own: measure.py PEER NETWORK MODEL FOLDER --batch N --threads N --device D
--seconds S

FOLDER is what prepare.py wrote. A peer is timed only if its result is right. Prints JSON: seconds a call, and the memory
that the process took at most."""

import argparse
import json
import os
import resource
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import numpy

from peers import PEERS, Call, Job

# fp32: the same sums in another order. bf16: two of the 255 steps of a picture in [-1, 1], on the average.
LARGEST_DIFFERENCE, MEAN_DIFFERENCE_BF16 = 1e-3, 2 * 2 / 255


class Wrong(Exception):
    """The peer computes something else."""


def check(result: numpy.ndarray, expected: numpy.ndarray, precision: str) -> None:
    if result.shape != expected.shape:
        raise Wrong(f"gives {list(result.shape)} for {list(expected.shape)}")
    difference = numpy.abs(result.astype(numpy.float64) - expected)
    if precision == "fp32" and not difference.max() <= LARGEST_DIFFERENCE:
        raise Wrong(f"differs from TorchScript by {difference.max():.2g}, allowed is {LARGEST_DIFFERENCE:g}")
    if not difference.mean() <= MEAN_DIFFERENCE_BF16:
        raise Wrong(f"differs from TorchScript by {difference.mean():.2g} on the average, allowed is "
                    f"{MEAN_DIFFERENCE_BF16:.2g}")


def measure_call(call: Call, expected: numpy.ndarray, precision: str, seconds: float) -> dict:
    """As `onestep bench` does it: the median of at least 3 calls after those in which a compiler may still be at work."""
    check(numpy.asarray(call()), expected, precision)
    for _ in range(2):
        call()
    times: list[float] = []
    while sum(times) < seconds or len(times) < 3:
        begin = time.perf_counter()
        call()
        times.append(time.perf_counter() - begin)
    times.sort()
    percentile = lambda fraction: times[round(fraction * (len(times) - 1))]
    return {"images_per_second": len(expected) * len(times) / sum(times), "median_seconds": statistics.median(times),
            "p95_seconds": percentile(0.95), "p99_seconds": percentile(0.99), "fastest_seconds": times[0],
            "slowest_seconds": times[-1], "runs": len(times), "precision": precision, "peak_bytes": 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}


def run_onestep(*command: str) -> tuple[str, int]:
    """What it printed, and the bytes that it took at most."""
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True)
        printed = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            errors.seek(0)
            raise RuntimeError(errors.read().strip() or f"onestep ended with {process.returncode}")
    return printed, 1024 * usage.ru_maxrss


def measure_onestep(program: str, precision: str, batch: dict[str, numpy.ndarray], model: Path, threads: int,
                    device: str, seconds: float) -> dict:
    """Its time is that of the sampler, which draws noise, and hands samples over: more than the peers are asked for."""
    machine = ["--precision", precision, "--threads", str(threads), "--device", device, "--batch", str(len(batch["x"]))]
    with tempfile.TemporaryDirectory() as folder:
        noise, samples = Path(folder) / "noise.npy", Path(folder) / "samples.npy"
        numpy.save(noise, batch["z"])
        labels = [word for label in batch["label"] for word in ("--label", str(label))]
        run_onestep(program, "generate", str(model), "--noise", str(noise), "-o", str(samples), *labels, *machine)
        generated = numpy.load(samples)
    printed, peak = run_onestep(program, "bench", str(model), "--seconds", str(seconds), "--json", *machine)
    report = json.loads(printed)
    check(generated, batch["samples"], report["precision"])
    row = report["results"][0]
    return {**row, "precision": report["precision"], "peak_bytes": peak}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("peer", choices=PEERS)
    parser.add_argument("network")
    parser.add_argument("model", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--batch", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--device", required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--onestep", required=True)
    options = parser.parse_args()
    batch = dict(numpy.load(options.folder / f"{options.batch}.npz"))
    peer = PEERS[options.peer]
    try:
        if peer.start is None:
            found = measure_onestep(options.onestep, peer.precision, batch, options.model, options.threads, options.device,
                                    options.seconds)
        else:
            job = Job(options.network, options.model, options.folder / "model.onnx",
                      {name: batch[name] for name in ("x", "noise", "label")}, options.threads, options.device)
            found = measure_call(peer.start(job), batch["result"], peer.precision, options.seconds)
    except Exception as error:  # whatever a peer throws: that it can't run this network is a result
        found = {"failed": f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error) else 'no message'}"}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
