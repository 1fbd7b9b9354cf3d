#!/usr/bin/env python3
"""onestep beside what else runs the same networks on this processor, or on a GPU. Installs the peers, makes the networks,
measures, and prints tables in Markdown. What has been measured is kept: a run that was interrupted goes on where it
stopped."""

import argparse
import json
import math
import re
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import chart
import processor
import tables
from bench import HERE, ROOT, Bench, digest, install, say
from peers import PEERS
from results import NO_DIFFERENCE, Cell, Report, Results

NETWORKS = ["small", "fashion", "medium", "large", "openai64", "transformer"]  # those of networks.py, which needs torch

MEASURING = ("requirements.txt", "peers.py", "measure.py", "machine.py", "cold_start_diffusers.py",
             "cold_start_torchscript.py")


def one_of(allowed: list[str]) -> Callable[[str], list[str]]:
    def parse(text: str) -> list[str]:
        for word in text.split(","):
            if word not in allowed:
                raise argparse.ArgumentTypeError(f"{word} is none of {', '.join(allowed)}")
        return text.split(",")

    return parse


def sizes(text: str) -> list[int]:
    values = [int(word) for word in text.split(",")]
    if min(values) < 1:
        raise argparse.ArgumentTypeError(f"{min(values)} is below 1")
    return values


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)

    def add(flag: str, kind: Callable, default, text: str, **more) -> None:
        parser.add_argument(flag, type=kind, default=default, help=text, **more)

    add("--onestep", Path, ROOT / "build/src/onestep", "the program (default: build/src/onestep)")
    add("--networks", one_of(NETWORKS), NETWORKS, f"of {','.join(NETWORKS)} (default: all)", metavar="A,B")
    add("--device", str, "cpu", "cpu, cuda or cuda:1 (default: %(default)s)")
    add("--peers", one_of(list(PEERS)), list(PEERS), f"of {','.join(PEERS)} (default: those of the device)", metavar="A,B")
    add("--batches", sizes, [1, 8, 64], "images a call (default: 1,8,64)", metavar="1,8,64")
    add("--rounds", int, 3, "each measures every peer once; medians are taken over them (default: %(default)s)")
    add("--seconds", float, 2, "of timed calls in one measurement (default: %(default)s)")
    add("--threads", int, len(processor.cores()), "of each peer (default: one a core, %(default)s)")
    add("--longest", float, 10, "on a processor, batches are left out whose call takes TorchScript more seconds (default: "
        "%(default)s)")
    add("--work", Path, ROOT / "build/peers", "folder for networks and results (default: build/peers)")
    add("--venv", Path, ROOT / ".venv-peers", "folder for the peers (default: .venv-peers)")
    add("--python", Path, None, "a Python that has peers; nothing is installed, and those that it lacks have no numbers")
    add("--minutes", float, math.inf, "then no more is measured; tables have what there is (default: no limit)")
    add("--json", Path, None, "everything in the tables", metavar="FILE")
    add("--plot", Path, None, "the tables as bars", metavar="FILE.svg")
    options = parser.parse_args()
    if options.device != "cpu":
        options.longest = math.inf
    if options.threads < 1 or options.rounds < 1 or not options.seconds > 0:
        parser.error("--threads, --rounds and --seconds must be above 0")
    if not re.fullmatch(r"cpu|cuda(:\d+)?", options.device):
        parser.error(f"--device {options.device}: none of cpu, cuda, cuda:1")
    options.peers = [peer for peer in options.peers if PEERS[peer].runs_on(options.device)]
    if not options.peers:
        parser.error(f"--peers: none of them runs on {options.device}")
    if not options.onestep.exists():
        parser.error(f"--onestep {options.onestep}: no such program; scripts/test builds it")
    for name in ("onestep", "work", "venv"):
        setattr(options, name, getattr(options, name).resolve())
    return options


def why_not(peer: str, batch: int, facts: dict, longest: float, device: dict) -> str:
    """Why this is not measured, if it is not."""
    if facts["seconds"][str(batch)] > longest:
        return f"a call takes {facts['seconds'][str(batch)]:.0f} s"
    if PEERS[peer].precision == "bf16" and not device["bf16"]:
        return f"{device['name']} has no bf16"
    if batch < PEERS[peer].smallest_batch:
        return NO_DIFFERENCE
    return ""


class Run:
    """What is to be measured, under which name, and what came out."""

    def __init__(self, options: argparse.Namespace, bench: Bench, results: Results):
        self.options, self.bench, self.results = options, bench, results
        self.device = bench.machine("--only-name")
        self.prepared = {network: bench.prepare(network, options.batches) for network in options.networks}
        self.cold_starts = bench.cold_starts()

    def cells(self) -> Iterator[tuple[str, int, str, str, str]]:
        """Network, batch, peer, the measurement's name, and why it is left out."""
        for network, (folder, facts) in self.prepared.items():
            for batch in self.options.batches:
                for peer in self.options.peers:
                    missing = why_not(peer, batch, facts, self.options.longest, self.device)
                    yield network, batch, peer, f"{folder.name}/{batch}/{peer}", missing

    def steps(self) -> Iterator[tuple[str, Callable[[], dict]]]:
        """One round."""
        yield "machine", self.bench.machine
        for title, command in self.cold_starts.items():
            yield f"cold start/{title}", partial(self.bench.measure_cold_start, command)
        for network, batch, peer, name, missing in self.cells():
            if not missing:
                folder = self.prepared[network][0]
                yield name, partial(self.bench.measure, peer, network, batch, folder, self.options.seconds)

    def measure(self) -> None:
        """Round by round: what slows the machine for a while, slows all of a round a little and none of them much."""
        deadline = time.monotonic() + 60 * self.options.minutes
        todo = [(turn, name, call) for turn in range(self.options.rounds) for name, call in self.steps()
                if not self.results.has(name, turn)]
        for count, (turn, name, call) in enumerate(todo, 1):
            if self.results.has(name, turn):
                continue  # it failed in the round before
            if time.monotonic() > deadline:
                return say(f"--minutes {self.options.minutes:g}: {len(todo) - count + 1} of {len(todo)} are left")
            begin, neighbours = time.perf_counter(), processor.Neighbours()
            measured = call()
            measured["others"] = neighbours.share()
            self.results.add(name, measured)
            took = f"{time.perf_counter() - begin:.0f} s, others took {100 * measured['others']:.0f} % of the machine"
            say(f"{count} of {len(todo)}  round {turn + 1}  {name}  {measured.get('failed', took)}")

    def report(self) -> Report:
        peak: dict[str, dict[str, float]] = {}
        for measured in self.results.of("machine"):
            for precision, kinds in measured["gflops"].items():
                best = peak.setdefault(precision, dict(kinds))
                best |= {kind: max(best[kind], value) for kind, value in kinds.items()}
        others = [measured["others"] for *_, name, _ in self.cells() for measured in self.results.of(name)]
        report = Report(self.device["name"], self.options.threads, self.options.batches, peak, others,
                        {network: facts for network, (_, facts) in self.prepared.items()})
        for network, batch, peer, name, missing in self.cells():
            cell = Cell.of(self.results.of(name), lambda measured, batch=batch: batch / measured["median_seconds"])
            report.speeds[network, batch, peer] = Cell([], missing=missing) if missing else cell
        for title in self.cold_starts:
            report.cold_starts[title] = Cell.of(self.results.of(f"cold start/{title}"), lambda measured: measured["seconds"])
        return report


def main() -> None:
    options = parse_arguments()
    python = options.python.absolute() if options.python else install(options.venv)
    bench = Bench(options.onestep, python, options.work, options.threads, options.device)
    options.work.mkdir(parents=True, exist_ok=True)
    settings = digest(options.onestep, *[HERE / name for name in MEASURING], processor.name(), options.device, options.threads,
                      options.seconds)
    run = Run(options, bench, Results(options.work / "results.json", settings))
    try:
        run.measure()
    except KeyboardInterrupt:
        sys.exit("run.py: stopped; the same command goes on from here")
    report = run.report()
    print(tables.markdown(report))
    if options.json:
        options.json.write_text(json.dumps(report.to_json(), indent=1) + "\n")
    if options.plot:
        options.plot.write_text(chart.svg(report))


if __name__ == "__main__":
    main()
