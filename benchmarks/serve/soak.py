#!/usr/bin/env python3
"""Whether `onestep serve` stays as it is: clients ask at random for samples, sheets, streams, edits, parts of planes, tiles, things that
are wrong, and some leave before they are answered. Prints, as Markdown, what was answered and the server's memory, threads and open
files after each tenth.

Usage: .venv/bin/python benchmarks/serve/soak.py [ONESTEP] [--seconds 600] [--clients 8]"""

import argparse
import base64
import collections
import http.client
import json
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

parser = argparse.ArgumentParser()
parser.add_argument("onestep", nargs="?", default="build/src/onestep")
parser.add_argument("--seconds", type=float, default=600)
parser.add_argument("--clients", type=int, default=8)
arguments = parser.parse_args()

os.environ["OMP_NUM_THREADS"] = "1"
server = subprocess.Popen([arguments.onestep, "serve", "fashion", "--port", "0", "--threads", "1", "--quiet"], stdout=subprocess.PIPE, text=True)
port = int(re.search(r":(\d+)", server.stdout.readline()).group(1))
ends = time.monotonic() + arguments.seconds
answers = collections.Counter()
lock = threading.Lock()


def ask(connection, method, path, body=None, accept="image/png"):
    connection.request(method, path, json.dumps(body) if body is not None else None, {"Accept": accept})
    answer = connection.getresponse()
    return answer.status, answer.read()


def client(number):
    dice = random.Random(number)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    picture = base64.b64encode(ask(connection, "POST", "/api/generate", {"seeds": [number]})[1]).decode()

    def seed():
        return dice.randrange(1 << 48)

    kinds = {
        "sample": lambda: ask(connection, "POST", "/api/generate", {"seeds": [seed()], "steps": dice.choice([1, 2])}),
        "sheet": lambda: ask(connection, "POST", "/api/generate", {"seeds": [seed() for _ in range(24)]}, "application/json"),
        "stream": lambda: ask(connection, "POST", "/api/generate", {"seeds": [seed() for _ in range(8)]}, "text/event-stream"),
        "edit": lambda: ask(connection, "POST", "/api/edit", {"task": "stroke", "picture": picture, "seeds": [seed()]}),
        "part": lambda: ask(connection, "POST", "/api/canvas", {"size": [60, 40], "at": [dice.randrange(-9999, 9999), 0], "seed": seed()}),
        "tile": lambda: ask(connection, "GET", f"/api/canvas/fashion/{dice.randrange(20)}/-/0/{dice.randrange(99)}/0.png"),
        "wrong": lambda: ask(connection, "POST", "/api/generate", {"seeds": [seed()], "labels": ["a" * dice.randrange(1000)]}),
        "leaves": None,
    }
    weights = [40, 10, 10, 10, 5, 1, 10, 10]
    while time.monotonic() < ends:
        [kind] = dice.choices(list(kinds), weights)
        try:
            if kind == "leaves":
                connection.request("POST", "/api/generate", json.dumps({"count": 1000, "steps": 4}))
                time.sleep(dice.random() / 10)
                connection.close()
                status = 0
            else:
                status, _ = kinds[kind]()
        except (OSError, http.client.HTTPException) as error:
            status = type(error).__name__
            connection.close()
        with lock:
            answers[kind, status] += 1


threads = [threading.Thread(target=client, args=(number,)) for number in range(arguments.clients)]
for thread in threads:
    thread.start()
print("| minutes | answers | MiB | threads | open files |\n| --- | --- | --- | --- | --- |")
for tenth in range(1, 11):
    time.sleep(max(0, ends - arguments.seconds * (10 - tenth) / 10 - time.monotonic()))
    status = Path(f"/proc/{server.pid}/status").read_text()
    found = {name: int(re.search(rf"{name}:\s+(\d+)", status).group(1)) for name in ("VmRSS", "Threads")}
    print(f"| {arguments.seconds * tenth / 600:.1f} | {sum(answers.values())} | {found['VmRSS'] / 1024:.0f} | {found['Threads']} | "
          f"{len(list(Path(f'/proc/{server.pid}/fd').iterdir()))} |", flush=True)
for thread in threads:
    thread.join()
print("\n" + "; ".join(f"{kind} {status}: {count}" for (kind, status), count in sorted(answers.items(), key=str)))
server.send_signal(signal.SIGTERM)
bad = [key for key in answers if isinstance(key[1], str) or key[1] >= 500 and key[1] != 503]
sys.exit(f"{bad}" if server.wait(60) or bad else 0)
