#!/usr/bin/env python3
"""Whether sampling waits for files: .venv/bin/python benchmarks/writing.py [ONESTEP], in under a minute on two cores

In turn, a few times: `onestep bench fashion` draws batches of 64 and throws them away; `onestep generate fashion -n 4000 -o FOLDER`
draws as many into a PNG each. Prints images/s of both as a table in Markdown, and the time in which no batch was drawn, of the run's:
that is what sampling waits for encoding and writing, its end included. Ratios are those within a round; medians.
"""

import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROUNDS, COUNT = 5, 4000
onestep = sys.argv[1] if len(sys.argv) > 1 else str(Path(__file__).resolve().parents[1] / "build/src/onestep")


def report_of(*arguments: str) -> dict:
    return json.loads(subprocess.run([onestep, *arguments, "--json"], check=True, stdout=subprocess.PIPE).stdout)


without, written, ratios, waits = [], [], [], []
for _ in range(ROUNDS):
    without.append(report_of("bench", "fashion", "--batch", "64", "--seconds", "3")["results"][0]["images_per_second"])
    with tempfile.TemporaryDirectory() as folder:
        seconds = report_of("generate", "fashion", "-n", str(COUNT), "--batch", "64", "--quiet", "-o", f"{folder}/out/")["seconds"]
    whole = seconds["sample"] + seconds["write"]
    written.append(COUNT / whole)
    ratios.append(written[-1] / without[-1])
    waits.append(seconds["write"] / whole)
    print(f"{len(ratios)} of {ROUNDS}", file=sys.stderr)

print("| | images/s |\n| --- | --- |")
print(f"| drawn and thrown away | {statistics.median(without):.0f} |")
print(f"| drawn into PNG files | {statistics.median(written):.0f} |")
print(f"\nRatio {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}); "
      f"waiting: {100 * statistics.median(waits):.1f} % of the time ({100 * min(waits):.1f} to {100 * max(waits):.1f})")
