#!/usr/bin/env python3
"""onestep and its peers on a machine that is not alone: images a second and the latency of a call, beside programs that
want a core each. Prints tables in Markdown. The peers and the networks are those of benchmarks/peers."""

import argparse
import contextlib
import json
import signal
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "peers"))
import processor
from bench import ROOT, Bench, install, say

# What is measured: a title, the peer, and its threads (none: as many as there are cores).
ROWS = [("onestep", "onestep-fp32", None), ("onestep, 1 thread", "onestep-fp32", 1), ("ONNX Runtime", "onnxruntime", None),
        ("OpenVINO", "openvino", None)]


@contextlib.contextmanager
def busy_programs(count: int, cores: int) -> Iterator[None]:
    """Programs that do nothing but compute, on the same cores."""
    programs = [subprocess.Popen(["sh", "-c", "while :; do :; done"], preexec_fn=lambda: processor.keep_to(cores))
                for _ in range(count)]
    try:
        yield
    finally:
        for program in programs:
            program.kill()
            program.wait()


def table(head: list[str], rows: list[list[str]]) -> str:
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *rows])


def report(network: str, measured: dict[tuple[int, str], list[dict]], busy: list[int]) -> str:
    """Of the rounds' medians; ratios are those within a round, as rounds differ by more than what is compared."""
    titles = [title for title, *_ in ROWS]

    def numbers(count: int, title: str, key: str) -> list[float]:
        return [found[key] for found in measured[count, title] if key in found]

    def speeds(count: int) -> list[str]:
        return [f"{statistics.median(found):.3g}" if (found := numbers(count, title, "images_per_second")) else "-"
                for title in titles]

    def ratio(count: int) -> str:
        """To the best of the others."""
        ratios = []
        for turn, own in enumerate(measured[count, titles[0]]):
            others = [measured[count, title][turn].get("images_per_second", 0) for title in titles[1:]]
            if "images_per_second" in own and max(others) > 0:
                ratios.append(own["images_per_second"] / max(others))
        return f"{statistics.median(ratios):.2f}" if ratios else "-"

    def milliseconds(count: int, title: str) -> list[str]:
        keys = ("median_seconds", "p95_seconds", "p99_seconds", "slowest_seconds")
        return [f"{1e3 * statistics.median(found):.3g}" if (found := numbers(count, title, key)) else "-" for key in keys]

    throughput = table(["busy programs", *titles, "onestep to the best other"],
                       [[str(count), *speeds(count), ratio(count)] for count in busy])
    latency = table(["busy programs", "", "p50", "p95", "p99", "slowest"],
                    [[str(count), title, *milliseconds(count, title)] for count in busy for title in titles])
    return f"{network}, batch 1, images/s:\n\n{throughput}\n\nMilliseconds a call:\n\n{latency}\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--onestep", type=Path, default=ROOT / "build/src/onestep", help="the program (default: %(default)s)")
    parser.add_argument("--networks", default="medium,fashion", help="of benchmarks/peers (default: %(default)s)")
    parser.add_argument("--busy", default="0,1,2,3", help="busy programs (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=len(processor.cores()), help="cores (default: all, %(default)s)")
    parser.add_argument("--seconds", type=float, default=5, help="of timed calls in one measurement (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="each measures everything once (default: %(default)s)")
    parser.add_argument("--work", type=Path, default=ROOT / "build/peers", help="folder for networks (default: %(default)s)")
    parser.add_argument("--venv", type=Path, default=ROOT / ".venv-peers", help="folder for the peers (default: %(default)s)")
    parser.add_argument("--python", type=Path, help="a Python that has the peers; nothing is installed")
    parser.add_argument("--json", type=Path, help="everything that was measured", metavar="FILE")
    options = parser.parse_args()
    busy = [int(word) for word in options.busy.split(",")]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))  # so that no busy program is left behind
    python = options.python.absolute() if options.python else install(options.venv.resolve())
    options.work.mkdir(parents=True, exist_ok=True)
    benches = {threads: Bench(options.onestep.resolve(), python, options.work.resolve(), threads or options.threads, "cpu",
                              cores=options.threads) for threads in (None, 1)}
    everything = {}
    for network in options.networks.split(","):
        folder, _ = benches[None].prepare(network, [1])
        measured: dict[tuple[int, str], list[dict]] = {(count, title): [] for count in busy for title, *_ in ROWS}
        for turn in range(options.rounds):
            for count in busy:
                for title, peer, threads in ROWS:
                    with busy_programs(count, options.threads):
                        found = benches[threads].measure(peer, network, 1, folder, options.seconds)
                    measured[count, title].append(found)
                    say(f"round {turn + 1}  {network}  {count} busy  {title}  "
                        f"{found.get('failed') or format(found['images_per_second'], '.3g')}")
        print(report(network, measured, busy))
        everything[network] = [{"busy": count, "row": title, "rounds": found} for (count, title), found in measured.items()]
    if options.json:
        options.json.write_text(json.dumps(everything, indent=1) + "\n")


if __name__ == "__main__":
    main()
