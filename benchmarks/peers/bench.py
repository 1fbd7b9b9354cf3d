"""The steps of a run: each starts a process that does one thing, with the same cores and the same environment."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import processor

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
LONGEST_MEASUREMENT = 1800  # seconds, with what a compiler takes; beyond it, it hangs


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def digest(*parts: object) -> str:
    """Of the contents of files, and of the text of anything else."""
    total = hashlib.sha256()
    for part in parts:
        total.update((part.read_bytes() if isinstance(part, Path) else str(part).encode()) + b"\0")
    return total.hexdigest()[:12]


def install(venv: Path) -> Path:
    """The peers have an environment of their own, so that what they need can't change the one that onestep is built with."""
    python, wanted, installed = venv / "bin/python", HERE / "requirements.txt", venv / "installed.txt"
    if not installed.exists() or installed.read_text() != wanted.read_text():
        say(f"installing the peers into {venv}")
        subprocess.run([sys.executable, "-m", "venv", venv], check=True)
        (venv / ".gitignore").write_text("*\n")
        subprocess.run([python, "-m", "pip", "install", "-q", "-r", wanted], check=True, stdout=sys.stderr)
        installed.write_text(wanted.read_text())
    return python


class Bench:
    def __init__(self, onestep: Path, python: Path, work: Path, threads: int, device: str, cores: int | None = None):
        """cores: on which the threads are (none: one each)."""
        self.cores = cores or threads
        self.onestep, self.python, self.work, self.threads, self.device = onestep, python, work, threads, device
        self.environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "HF_HUB_OFFLINE": "1",
                            "TORCHINDUCTOR_CACHE_DIR": str(work / "inductor")}

    def start(self, *command: object, **options) -> subprocess.Popen:
        return subprocess.Popen([str(word) for word in command], env=self.environment, text=True,
                                preexec_fn=partial(processor.keep_to, self.cores), **options)

    def script(self, name: str, *arguments: object) -> str:
        """One of the scripts beside this one; what it printed."""
        process = self.start(self.python, HERE / name, *arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        try:
            printed, errors = process.communicate(timeout=LONGEST_MEASUREMENT)
        except BaseException:
            process.kill()
            process.wait()
            raise
        if process.returncode != 0:
            say(errors)
            raise subprocess.CalledProcessError(process.returncode, name)
        return printed

    def model(self, network: str) -> Path:
        """The file of a network, which is made if there is none."""
        folder = self.work / f"networks-{digest(HERE / 'networks.py', ROOT / 'models/fashion.pt')}"
        if not (folder / f"{network}.pt").exists():
            say(f"making {network}")
            self.script("networks.py", folder, network, "--onestep", self.onestep)
        return folder / f"{network}.pt"

    def prepare(self, network: str, batches: list[int]) -> tuple[Path, dict]:
        """A folder with what the peers need besides the model file, and what is known about the network."""
        folder = self.work / f"{network}-{digest(self.model(network), HERE / 'networks.py', HERE / 'prepare.py')}"
        facts = folder / "facts.json"
        if not facts.exists() or any(str(batch) not in json.loads(facts.read_text())["seconds"] for batch in batches):
            say(f"preparing {network}")
            self.script("prepare.py", network, self.model(network), folder, "--batches", ",".join(map(str, batches)),
                        "--threads", self.threads)
        return folder, json.loads(facts.read_text())

    def measure(self, peer: str, network: str, batch: int, folder: Path, seconds: float) -> dict:
        try:
            printed = self.script("measure.py", peer, network, self.model(network), folder, "--batch", batch, "--threads",
                                  self.threads, "--device", self.device, "--seconds", seconds, "--onestep", self.onestep)
        except subprocess.TimeoutExpired:
            return {"failed": f"took more than {LONGEST_MEASUREMENT} s"}
        except subprocess.CalledProcessError as error:  # not a Python exception: those are in what it prints
            crashed = error.returncode < 0
            return {"failed": signal.Signals(-error.returncode).name if crashed else f"ended with {error.returncode}"}
        return json.loads(printed.splitlines()[-1])  # Inductor prints too

    def machine(self, *options: str) -> dict:
        return json.loads(self.script("machine.py", "--threads", self.threads, "--device", self.device, *options))

    def cold_starts(self) -> dict[str, list[object]]:
        """What a user would start to get one picture; its file comes last. The network is one of diffusers', exported: without
        them there are none."""
        folder, model = self.work / "diffusers", self.work / "diffusers.pt"
        if self.start(self.python, "-c", "import diffusers", stderr=subprocess.DEVNULL).wait() != 0:
            return {}
        if not model.exists():
            say("making a pipeline of diffusers")
            self.script("cold_start_diffusers.py", folder, "cpu", "--write")
            self.script("../../models/export.py", "diffusers", folder, model, "--onestep", self.onestep)
        return {"onestep generate": [self.onestep, "generate", model, "--device", self.device, "--count", 1, "-o"],
                "Python, torch.jit": [self.python, HERE / "cold_start_torchscript.py", model, self.device],
                "Python, diffusers": [self.python, HERE / "cold_start_diffusers.py", folder, self.device]}

    def measure_cold_start(self, command: list[object]) -> dict:
        """The second start in a row, as the first may read the program from the disk."""
        picture = self.work / "cold.png"
        for _ in range(2):
            picture.unlink(missing_ok=True)
            begin = time.perf_counter()
            process = self.start(*command, picture, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            _, status, usage = os.wait4(process.pid, 0)
            seconds = time.perf_counter() - begin
            process.returncode = os.waitstatus_to_exitcode(status)
            if process.returncode != 0 or not picture.read_bytes().startswith(b"\x89PNG"):
                return {"failed": "no picture"}
        return {"seconds": seconds, "peak_bytes": 1024 * usage.ru_maxrss}
