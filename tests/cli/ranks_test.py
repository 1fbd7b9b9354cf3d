"""onestep as ranks of mpirun: the files are those of one process. Usage: ranks_test.py ONESTEP MPI
MPI: whether the program was built with it; exit code 77 where it was not."""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

import numpy
import torch
from torch import nn

import tiny_models
from tiny_models import LABELS, Labelled, Local, NotANumberNowAndThen, content

BUILT_WITH_MPI = sys.argv.pop(2).upper() in ("ON", "1", "TRUE", "YES")
ONESTEP = sys.argv.pop(1)
if not BUILT_WITH_MPI or not shutil.which("mpirun"):
    print("SKIPPED: nothing of mpirun was tested; " +
          ("there is no mpirun" if BUILT_WITH_MPI else "onestep was built without MPI, -DONESTEP_MPI=ON"))
    sys.exit(77)
os.environ |= {"OMP_NUM_THREADS": "1", "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}


class Slow(nn.Module):
    """Makes enough calls to be interrupted in."""

    def forward(self, x, noise):
        y = x
        for _ in range(4000):
            y = y + 0.0 * torch.tanh(y)
        return 0.5 * y


def workers(process: subprocess.Popen) -> list[int]:
    """Those that draw: the processes that have ONESTEP_WORKER in their environment, by rank."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            variables = (entry / "environ").read_bytes().split(b"\0")
            command = (entry / "cmdline").read_bytes()
        except OSError:
            continue
        for variable in variables:
            if variable.startswith(b"ONESTEP_WORKER=") and str(process.folder).encode() in (command + b"".join(variables)):
                found[int(variable[15:].split(b"/")[0])] = int(entry.name)
    return [found[rank] for rank in sorted(found)]


class Ranks(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        tiny_models.write(self.folder / "tiny.pt", Labelled(), **LABELS)

    def mpirun(self, ranks, *arguments):
        return ["mpirun", "--oversubscribe", "-n", str(ranks), ONESTEP, *arguments]

    def run_onestep(self, *arguments, ranks=None, code=0, command="generate"):
        words = [command, *arguments]
        result = subprocess.run([ONESTEP, *words] if ranks is None else self.mpirun(ranks, *words), cwd=self.folder,
                                capture_output=True, text=True, timeout=120)
        self.assertEqual(result.returncode, code, result.stderr)
        return result

    def start(self, ranks, *arguments):
        process = subprocess.Popen(self.mpirun(ranks, "generate", *arguments), cwd=self.folder, stderr=subprocess.PIPE,
                                   stdout=subprocess.PIPE, text=True, env=os.environ | {"TEST_FOLDER": str(self.folder)})
        process.folder = self.folder
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        return process

    def wait_for(self, what, process):
        deadline = time.monotonic() + 60
        while not what() and time.monotonic() < deadline and process.poll() is None:
            time.sleep(0.01)
        self.assertTrue(what(), "nothing came of it")

    def test_a_folder_is_that_of_one_process(self):
        common = ["tiny.pt", "-n", "150", "--batch", "8"]
        self.run_onestep(*common, "-o", "whole/")
        for ranks in (1, 2, 4):
            result = self.run_onestep(*common, "-o", f"out{ranks}/", ranks=ranks)
            self.assertEqual(content(self.folder / f"out{ranks}"), content(self.folder / "whole"))
            self.assertEqual(list((self.folder / f"out{ranks}").glob(".unfinished*")), [])
            self.assertEqual(len(result.stdout.splitlines()), 1 if ranks == 1 else 2, result.stdout)  # rank 0 alone speaks
            if ranks > 1:
                bars = [line for line in result.stderr.splitlines() if line.startswith("[")]
                self.assertRegex(bars[-1], r"\] (\d+)/\1 samples")  # of those that nobody had drawn before the bar began
        # Resumed by any number of ranks: nothing is left to be done, or what is missing is.
        (self.folder / "out4/000017.png").unlink()
        (self.folder / "out4/000090.png").write_bytes(b"damaged")
        self.run_onestep(*common, "-o", "out4/", "--resume", ranks=2)
        self.assertEqual(content(self.folder / "out4"), content(self.folder / "whole"))

    def test_an_archive_is_that_of_one_process(self):
        for option in ([], ["--bytes"]):
            common = ["tiny.pt", "-n", "70", "--batch", "8", *option, "-o"]
            self.run_onestep(*common, "whole.npz")
            for ranks in (1, 2, 4):
                self.run_onestep(*common, "out.npz", ranks=ranks)
                self.assertEqual((self.folder / "out.npz").read_bytes(), (self.folder / "whole.npz").read_bytes())
        self.assertEqual(sorted(os.listdir(self.folder)), ["out.npz", "tiny.pt", "whole.npz"])

    def test_a_picture_is_shared_by_its_bands(self):
        sample = {"shape": [3, "H", "W"], "default": {"H": 32, "W": 32}, "halo": 1, "modality": "image", "range": [-1, 1]}
        tiny_models.write(self.folder / "local.pt", Local(), format=2, sample=sample)
        common = ["local.pt", "--size", "300x2000", "--at", "-50,-30", "--seeds", "3"]
        for file in ("whole.png", "whole.npy"):
            self.run_onestep(*common, "-o", file)
        whole = numpy.load(self.folder / "whole.npy")
        for ranks in (1, 2, 4):
            self.run_onestep(*common, "-o", "out.npy", ranks=ranks)
            self.assertEqual((self.folder / "out.npy").read_bytes(), (self.folder / "whole.npy").read_bytes())
        # A picture says by which command it was made: the pixels are the same.
        from PIL import Image
        self.run_onestep(*common, "-o", "out.png", ranks=2)
        pictures = [numpy.asarray(Image.open(self.folder / name)) for name in ("whole.png", "out.png")]
        self.assertTrue((pictures[0] == pictures[1]).all())
        self.assertEqual(pictures[0].shape, (whole.shape[2], whole.shape[3], 3))
        several = [*common[:-1], "3,4,9"]
        self.run_onestep(*several, "-o", "all/", ranks=2)
        self.assertEqual(sorted(os.listdir(self.folder / "all")), ["000003.png", "000004.png", "000009.png"])
        self.assertTrue((numpy.asarray(Image.open(self.folder / "all/000003.png")) == pictures[0]).all())

    def test_of_a_rank_that_dies_the_others_do_their_part(self):
        tiny_models.write(self.folder / "slow.pt", Slow())
        common = ["slow.pt", "-n", "120", "--batch", "2", "--no-engine", "-o"]
        self.run_onestep(*common, "whole/")
        whole = content(self.folder / "whole")
        for dies in (1, 0):
            out = self.folder / f"out{dies}"
            process = self.start(4, *common, f"{out.name}/")
            manifest = out / f"manifest.{dies}-of-4.jsonl"
            self.wait_for(lambda: manifest.exists() and manifest.stat().st_size > 0 and len(workers(process)) == 4, process)
            os.kill(workers(process)[dies], signal.SIGKILL)
            said = process.communicate(timeout=120)
            self.assertEqual(process.returncode, 7, said)
            self.assertIn(f"rank {dies} was killed by signal 9", said[1])
            self.assertEqual([len((out / f"manifest.{rank}-of-4.jsonl").read_text().splitlines()) for rank in range(4)
                              if rank != dies], [30] * 3)
            self.assertFalse((out / "manifest.jsonl").exists())
            self.assertLess(len(manifest.read_text().splitlines()), 30)
            if dies != 0:
                self.assertIn("1 of 4 ranks did not do their part", said[1])
            self.run_onestep(*common, f"{out.name}/", "--resume", ranks=4)
            self.assertEqual(content(out), whole)

    def test_a_kill_of_all_loses_nothing(self):
        tiny_models.write(self.folder / "slow.pt", Slow())
        common = ["slow.pt", "-n", "120", "--batch", "2", "--no-engine", "-o"]
        self.run_onestep(*common, "whole.npz")
        process = self.start(2, *common, "out.npz")
        manifest = self.folder / "out.npz.unfinished/manifest.1-of-2.jsonl"
        self.wait_for(lambda: manifest.exists() and manifest.stat().st_size > 0, process)
        alive = workers(process)
        process.kill()
        process.wait()
        deadline = time.monotonic() + 30
        while any(Path(f"/proc/{pid}/exe").exists() for pid in alive) and time.monotonic() < deadline:
            time.sleep(0.05)
        self.assertFalse(any(Path(f"/proc/{pid}/exe").exists() for pid in alive))  # no worker outlives its rank
        self.assertFalse((self.folder / "out.npz").exists())
        self.run_onestep(*common, "out.npz", "--resume")  # by one process
        self.assertEqual((self.folder / "out.npz").read_bytes(), (self.folder / "whole.npz").read_bytes())

    def test_a_bad_seed_is_the_affair_of_its_rank(self):
        tiny_models.write(self.folder / "nan.pt", NotANumberNowAndThen())
        common = ["nan.pt", "-n", "100", "--batch", "8", "-o", "out/"]
        result = self.run_onestep(*common, ranks=2, code=5)  # each of the two has such seeds
        self.assertRegex(result.stderr, r"onestep, rank \d: .*NaN or infinity in the sample of seed")
        self.run_onestep(*common, "--resume", "--keep-going", ranks=2)
        self.run_onestep(*common[:-1], "whole/", "--keep-going")
        self.assertEqual(content(self.folder / "out"), content(self.folder / "whole"))

    def test_what_is_for_one_process_is_refused_once(self):
        for arguments, words in ((["-n", "4", "-o", "a.png"], "a.png is written by one process, not by 2"),
                                 (["-n", "4", "-o", "out/", "--shard", "0/2"], "mpirun has dealt the work to its 2 ranks")):
            said = self.run_onestep("tiny.pt", *arguments, ranks=2, code=2).stderr
            self.assertEqual(said.count(words), 1, said)
        self.assertEqual(os.listdir(self.folder), ["tiny.pt"])

    def test_moments_are_summed(self):
        self.run_onestep("tiny.pt", "-n", "500", "-o", "real.npz", "--seeds", "1000-1499")
        common = ["tiny.pt", "-n", "301", "--batch", "16", "--reference", "real.npz", "--moments-only", "--moments"]
        self.run_onestep(*common, "one.npz", "--json", command="evaluate")
        one = json.loads(self.run_onestep(*common, "one.npz", "--json", command="evaluate").stdout)
        for ranks in (2, 4):
            some = json.loads(self.run_onestep(*common, f"{ranks}.npz", "--json", ranks=ranks, command="evaluate").stdout)
            # Sums in another order, in double precision.
            self.assertAlmostEqual(some["measures"]["frechet"]["value"] / one["measures"]["frechet"]["value"], 1, delta=1e-9)
            self.assertEqual(some["samples"]["count"], 301)
            for name in ("mu", "sigma"):
                expected, found = (numpy.load(self.folder / f"{file}.npz")[name] for file in ("one", ranks))
                self.assertLess(numpy.abs(found - expected).max(), 1e-12 * numpy.abs(expected).max() + 1e-13)
        said = self.run_onestep(*common[:-2], ranks=2, code=2, command="evaluate").stderr
        self.assertIn("2 processes add up moments alone", said)

    @unittest.skipUnless(os.geteuid() == 0 and shutil.which("ip"), "network namespaces need the superuser")
    def test_two_hosts_are_two_network_namespaces(self):
        hosts = {f"onestep-{os.getpid()}-{i}": f"10.213.77.{i + 2}" for i in range(2)}
        bridge = f"os{os.getpid() % 100000}b"

        def ip(*arguments, check=True):
            return subprocess.run(["ip", *arguments], check=check, capture_output=True)

        if ip("link", "add", bridge, "type", "bridge", check=False).returncode != 0:
            self.skipTest("no bridge between network namespaces can be made here")
        self.addCleanup(ip, "link", "del", bridge, check=False)
        ip("addr", "add", "10.213.77.1/24", "dev", bridge)
        ip("link", "set", bridge, "up")
        for i, (host, address) in enumerate(hosts.items()):
            ip("netns", "add", host)
            self.addCleanup(ip, "netns", "del", host, check=False)
            ip("link", "add", f"{bridge}{i}", "type", "veth", "peer", "name", "eth0", "netns", host)
            ip("link", "set", f"{bridge}{i}", "master", bridge, "up")
            ip("-n", host, "addr", "add", f"{address}/24", "dev", "eth0")
            ip("-n", host, "link", "set", "eth0", "up")
            ip("-n", host, "link", "set", "lo", "up")
        # What ssh is elsewhere: runs a command at a host, whose name it takes from its address.
        agent = self.folder / "agent"
        agent.write_text("#!/bin/sh\ncase $1 in\n" +
                         "".join(f"{address}) name={host};;\n" for host, address in hosts.items()) +
                         'esac\nshift\nexec ip netns exec $name unshare --uts sh -c "hostname $name; $*"\n')
        agent.chmod(0o755)
        common = ["tiny.pt", "-n", "150", "--batch", "8", "-o"]
        self.run_onestep(*common, "whole/")
        command = ["mpirun", "--mca", "plm_rsh_agent", str(agent), "--mca", "oob_tcp_if_include", "10.213.77.0/24", "--mca",
                   "btl_tcp_if_include", "10.213.77.0/24", "--mca", "btl", "tcp,self", "--host",
                   ",".join(f"{address}:2" for address in hosts.values()), "-n", "4", ONESTEP]
        result = subprocess.run([*command, "generate", *common, "out/"], cwd=self.folder, capture_output=True, text=True,
                                timeout=120)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(content(self.folder / "out"), content(self.folder / "whole"))
        moments = ["evaluate", "tiny.pt", "-n", "300", "--moments"]
        subprocess.run([*command, *moments, "two.npz"], cwd=self.folder, check=True, capture_output=True, timeout=120)
        subprocess.run([ONESTEP, *moments, "one.npz"], cwd=self.folder, check=True, capture_output=True)
        one, two = (numpy.load(self.folder / file)["sigma"] for file in ("one.npz", "two.npz"))
        self.assertLess(numpy.abs(one - two).max(), 1e-12 * numpy.abs(one).max() + 1e-13)

    def test_the_commands_of_the_document_run(self):
        root = Path(__file__).parents[2]
        commands = re.findall(r"^    mpirun (.*)$", (root / "docs/bulk.md").read_text(), re.MULTILINE)
        self.assertGreater(len(commands), 2)
        binaries = self.folder / "bin"
        binaries.mkdir()
        (binaries / "onestep").symlink_to(Path(ONESTEP).resolve())
        self.run_onestep("fashion", "-n", "40", "--moments", "real.npz", command="evaluate")
        for command in commands:
            words = shlex.split(re.sub(r"\b(1000000|50000)\b", "70", command.replace("20000x20000", "400x2000")))
            result = subprocess.run(["mpirun", "--oversubscribe", *words], cwd=self.folder, capture_output=True, text=True,
                                    timeout=120, env=os.environ | {"PATH": f"{binaries}:{os.environ['PATH']}"})
            self.assertEqual(result.returncode, 0, command + result.stderr)


if __name__ == "__main__":
    unittest.main()
