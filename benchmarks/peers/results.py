"""What has been measured: kept in a file, and as the report wants it."""

import json
import os
import statistics
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

NO_DIFFERENCE = "it is the same as without streams"  # a reason not worth a word in the tables


class Results:
    """Measurements by name, one a round, in a file that is up to date after each of them."""

    def __init__(self, file: Path, settings: str):
        """What was measured with other settings stays in the file, and is not seen."""
        self.file, self.settings = file, settings
        self.all = json.loads(file.read_text()) if file.exists() else {}
        self.rounds: dict[str, list[dict]] = self.all.setdefault(settings, {})

    def add(self, name: str, measured: dict) -> None:
        self.rounds.setdefault(name, []).append(measured)
        partial = self.file.with_suffix(".partial")
        partial.write_text(json.dumps(self.all, indent=1))
        os.replace(partial, self.file)

    def of(self, name: str) -> list[dict]:
        return self.rounds.get(name, [])

    def has(self, name: str, round_: int) -> bool:
        """A failure stands for all rounds."""
        return len(self.of(name)) > round_ or any("failed" in measured for measured in self.of(name))


@dataclass
class Cell:
    """One number of a table, measured once a round."""

    values: list[float]
    peak_bytes: int = 0
    precision: str = ""
    missing: str = ""  # why there are no values

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @staticmethod
    def of(rounds: list[dict], value: Callable[[dict], float]) -> "Cell":
        for measured in rounds:
            if "failed" in measured:
                return Cell([], missing=measured["failed"])
        if not rounds:
            return Cell([], missing="the run is not over")
        return Cell([value(measured) for measured in rounds], max(measured["peak_bytes"] for measured in rounds),
                    rounds[0].get("precision", ""))


@dataclass
class Report:
    """All that is shown."""

    processor: str
    threads: int
    batches: list[int]
    peak: dict[str, dict[str, float]]  # by precision: GFLOP/s of a product and of a convolution
    others: list[float]  # by measurement: the share of the machine that other programs took meanwhile
    facts: dict[str, dict] = field(default_factory=dict)  # by network: what prepare.py wrote
    speeds: dict[tuple[str, int, str], Cell] = field(default_factory=dict)  # by network, batch, peer: images/s
    cold_starts: dict[str, Cell] = field(default_factory=dict)  # by title: seconds

    @property
    def taken_by_others(self) -> dict[str, float]:
        return {"median": statistics.median(self.others or [0]), "most": max(self.others, default=0)}

    def fastest(self, network: str, batch: int, peers: list[str]) -> str | None:
        """The name of the fastest of these peers, where any was measured."""
        measured = [peer for peer in peers if (cell := self.speeds.get((network, batch, peer))) and cell.values]
        return max(measured, key=lambda peer: self.speeds[network, batch, peer].median, default=None)

    def to_json(self) -> dict:
        return {"processor": self.processor, "threads": self.threads, "peak_gflops": self.peak,
                "taken_by_others": self.taken_by_others, "networks": self.facts,
                "images_per_second": [{"network": network, "batch": batch, "peer": peer, **cell.__dict__}
                                      for (network, batch, peer), cell in self.speeds.items()],
                "cold_start_seconds": {title: cell.__dict__ for title, cell in self.cold_starts.items()}}
