#!/usr/bin/env python3
"""What one step saves: time per image of the student and of its teacher by number of network calls."""

import argparse
import json
import subprocess
import sys

RUNS = [("fashion", "consistency", 1), ("fashion", "consistency", 2), ("fashion", "consistency", 4),
        ("fashion-teacher", "heun", 5), ("fashion-teacher", "euler", 18), ("fashion-teacher", "heun", 18),
        ("fashion-teacher", "heun", 40)]


def measure(program: str, model: str, sampler: str, steps: int, seconds: float) -> list[dict]:
    command = [program, "bench", model, "--sampler", sampler, "--steps", str(steps), "--batch", "1,64", "--seconds",
               str(seconds), "--json"]
    result = subprocess.run(command, check=True, stdout=subprocess.PIPE)
    return [{"model": model, **row} for row in json.loads(result.stdout)["results"]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--onestep", default="build/src/onestep", help="the program (default %(default)s)")
    parser.add_argument("--seconds", type=float, default=1, help="spent on each row at least (default %(default)s)")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows = []
    for run in RUNS:
        rows += measure(options.onestep, *run, options.seconds)
        print(f"{len(rows) // 2} of {len(RUNS)}", file=sys.stderr)
    slowest = {row["batch"]: row["median_seconds"] for row in rows}  # the last row of each batch size stays
    for row in rows:
        row["milliseconds_per_image"] = 1e3 * row["median_seconds"] / row["batch"]
        row["speed_up"] = slowest[row["batch"]] / row["median_seconds"]
    if options.json:
        print(json.dumps(rows, indent=1))
        return
    print("| model | sampler | NFE | batch | ms/image | speed-up |\n| --- | --- | --- | --- | --- | --- |")
    for row in sorted(rows, key=lambda row: row["batch"]):
        print(f"| {row['model']} | {row['sampler']} | {row['nfe']} | {row['batch']} "
              f"| {row['milliseconds_per_image']:.2f} | {row['speed_up']:.1f} x |")


if __name__ == "__main__":
    main()
