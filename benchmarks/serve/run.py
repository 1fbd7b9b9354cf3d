#!/usr/bin/env python3
"""How many pictures `onestep serve` hands out: requests a second and latency for 1, 8 and 64 clients that each ask for one picture
after the other, with samples that wait run together and one at a time (--batch 1), in turn.

Usage: .venv/bin/python benchmarks/serve/run.py [ONESTEP] [--model fashion] [--seconds 5] [--rounds 3]
Needs Debian's wrk. Prints Markdown."""

import argparse
import atexit
import re
import signal
import statistics
import subprocess
import tempfile
import urllib.request

parser = argparse.ArgumentParser()
parser.add_argument("onestep", nargs="?", default="build/src/onestep")
parser.add_argument("--model", default="fashion")
parser.add_argument("--seconds", type=float, default=5)
parser.add_argument("--rounds", type=int, default=3)
arguments = parser.parse_args()

# Every request another seed, as clients would.
SCRIPT = """
local seed = 0
request = function()
  seed = seed + 1
  return wrk.format("POST", "/api/generate", {["Accept"] = "image/png"}, string.format('{"seeds": [%d]}', seed))
end
done = function(summary, latency, requests)
  io.write(string.format("RESULT %f %f %f %f %d\\n", summary.requests / summary.duration * 1e6, latency:percentile(50) / 1e3,
           latency:percentile(99) / 1e3, latency.max / 1e3, summary.errors.status + summary.errors.connect + summary.errors.read
           + summary.errors.timeout))
end
"""


def start(*more):
    process = subprocess.Popen([arguments.onestep, "serve", arguments.model, "--port", "0", "--quiet", *more], stdout=subprocess.PIPE, text=True)
    atexit.register(process.kill)
    return process, re.search(r"http://\S+", process.stdout.readline()).group()


def load(address, clients, seconds, script):
    out = subprocess.run(["wrk", "-t1", f"-c{clients}", f"-d{round(seconds)}s", "--timeout", "60s", "-s", script, address],
                         capture_output=True, text=True, check=True).stdout
    return [float(word) for word in out.split("RESULT ")[1].split()]


def batch_seconds(address):
    text = urllib.request.urlopen(address + "/metrics").read().decode()
    value = {name: float(re.search(rf"^{name} (\S+)", text, re.M).group(1))
             for name in ("onestep_batch_seconds_total", "onestep_batches_total", "onestep_samples_total")}
    return value


with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
    script.write(SCRIPT)
    script.flush()
    servers = {"together": start(), "one at a time": start("--batch", "1", "--batch-delay", "0")}
    found = {}
    for _ in range(arguments.rounds):
        for clients in (1, 8, 64):
            for way, (process, address) in servers.items():
                before = batch_seconds(address)
                result = load(address, clients, arguments.seconds, script.name)
                after = batch_seconds(address)
                batches = max(after["onestep_batches_total"] - before["onestep_batches_total"], 1)
                result.append((after["onestep_batch_seconds_total"] - before["onestep_batch_seconds_total"]) / batches * 1e3)
                result.append((after["onestep_samples_total"] - before["onestep_samples_total"]) / batches)
                found.setdefault((clients, way), []).append(result)
    print("| clients | way | requests/s | p50, ms | p99, ms | samples a batch | ms a batch | errors | together / one at a time |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for (clients, way), rounds in found.items():
        rate, p50, p99, _, errors, batch, size = (statistics.median(column) for column in zip(*rounds))
        ratio = statistics.median(a[0] / b[0] for a, b in zip(found[clients, "together"], found[clients, "one at a time"]))
        print(f"| {clients} | {way} | {rate:.0f} | {p50:.1f} | {p99:.1f} | {size:.1f} | {batch:.1f} | {errors:.0f} | "
              + (f"{ratio:.2f}" if way == "together" else "") + " |")
    for process, _ in servers.values():
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
