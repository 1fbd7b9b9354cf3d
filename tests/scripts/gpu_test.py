"""What scripts/gpu promises of its steps and of the folder that it packs, on commands and files made here."""

import importlib.machinery
import importlib.util
import json
import os
import sys
import tempfile
import time
import unittest
from pathlib import Path

scripts = Path(__file__).resolve().parents[2] / "scripts"
sys.path.insert(0, str(scripts))
sys.dont_write_bytecode = True
loader = importlib.machinery.SourceFileLoader("gpu", str(scripts / "gpu"))
gpu = importlib.util.module_from_spec(importlib.util.spec_from_loader("gpu", loader))
loader.exec_module(gpu)
import gpu_packages  # noqa: E402


class Steps(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = gpu.WORK = Path(temporary.name)
        gpu.STARTED = time.monotonic()
        gpu.say = lambda text: None
        self.run_ = gpu.Run(self.folder / "out", 1)

    def states(self) -> dict[str, str]:
        """As they are written down."""
        return {step["name"]: step["state"] for step in json.loads((self.folder / "out/gpu.json").read_text())["steps"]}

    def test_one_that_fails_does_not_stop_the_others(self):
        self.assertFalse(self.run_.step("fails", sys.executable, "-c", "print('why'); raise SystemExit(3)"))
        self.assertFalse(self.run_.step("is missing", self.folder / "nothing"))
        self.assertFalse(self.run_.step("waits for it", "true", needs=self.folder / "nothing"))
        self.assertTrue(self.run_.step("goes well", "true"))
        states = self.states()
        self.assertEqual(states["fails"], "ended with 3")
        self.assertIn("No such file", states["is missing"])
        self.assertEqual(states["waits for it"], "left out: there is no nothing")
        self.assertEqual(states["goes well"], "ok")
        self.assertIn("    why\n", (self.folder / "out/gpu.md").read_text())

    def test_one_that_takes_too_long_is_stopped_with_all_that_it_started(self):
        child = "trap '' INT; echo \\$\\$; exec sleep 100"  # it holds on at SIGINT
        begin = time.monotonic()
        self.run_.step("hangs", "sh", "-c", f'sh -c "{child}"; true', at_most=5)
        self.assertLess(time.monotonic() - begin, 90)
        self.assertIn("stopped after", self.states()["hangs"])
        pid = int(self.run_.log("hangs").split()[0])
        self.assertTrue(self.ends(pid))

    def ends(self, pid: int) -> bool:
        """Soon. A zombie has: its parent has not looked yet."""
        stat = Path(f"/proc/{pid}/stat")
        for _ in range(100):
            try:
                if stat.read_text().rsplit(")")[-1].split()[0] in "ZX":
                    return True
            except OSError:
                return True
            time.sleep(0.1)
        return False

    def test_no_more_of_them_start_when_the_time_is_over(self):
        self.run_.end = time.monotonic()
        self.run_.step("late", "touch", self.folder / "touched")
        self.assertEqual(self.states()["late"], "left out: the time is over")
        self.assertFalse((self.folder / "touched").exists())

    def test_training_leaves_what_is_small_enough(self):
        gpu.LARGEST = 1000
        self.run_.training = self.folder / "training-materials"
        self.run_.training.mkdir()
        for name, size in (("teacher.checkpoint", 3000), ("teacher.average", 900), ("perceptual.checkpoint", 800),
                           ("perceptual.average", 400)):
            (self.run_.training / name).write_bytes(bytes(size))
        for stage in ("teacher", "perceptual"):
            (self.run_.training / f"{stage}.log").write_text('{"images": 1}\n{"images": 2, "loss": 0.5}\n')
        self.run_.step("train", "true")
        left = {file.name for file in (self.folder / "out").iterdir()}
        self.assertEqual(left, {"gpu.md", "gpu.json", "logs.tar.gz", "teacher.average", "perceptual.checkpoint"})
        self.assertIn("Training, teacher: images 2, loss 0.5.", (self.folder / "out/gpu.md").read_text())

    def test_tests_that_fail_are_in_the_summary(self):
        cases = [{"classname": "Gpu", "name": "Holds", "result": "COMPLETED"},
                 {"classname": "Gpu", "name": "Breaks", "result": "COMPLETED", "failures": [{"failure": "1 is not 2"}]},
                 {"classname": "Gpu", "name": "Waits", "result": "SKIPPED"}]
        (self.run_.logs / "tests.json").write_text(json.dumps({"testsuites": [{"testsuite": cases}]}))
        self.run_.step("tests", "false")
        text = (self.folder / "out/gpu.md").read_text()
        self.assertIn("3 tests, 1 skipped, 1 failed.", text)
        self.assertIn("Gpu.Breaks\n\n    1 is not 2", text)


class Packages(unittest.TestCase):
    def test_a_folder_of_theirs_can_lie_anywhere(self):
        """Its links stay within it, of a library that lies in /lib too; its headers are found by any compiler."""
        with tempfile.TemporaryDirectory() as folder:
            root, triple = Path(folder) / "root", "x86_64-linux-gnu"
            for name in (f"lib/{triple}/libz.so.1", f"usr/lib/{triple}/libpng.a", f"usr/lib/{triple}/libgtest.a",
                         f"usr/include/{triple}/zconf.h", "usr/include/zlib.h", "usr/share/doc/zlib1g/copyright"):
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                (root / name).write_text(name)
            link = root / f"usr/lib/{triple}/libz.so"
            link.symlink_to(f"/lib/{triple}/libz.so.1")
            gpu_packages.settle(root, triple)
            root = root.rename(Path(folder) / "elsewhere")
            link = root / f"usr/lib/{triple}/libz.so"
            self.assertEqual(link.resolve(), (root / f"usr/lib/{triple}/libz.so.1").resolve())
            self.assertEqual(link.read_text(), f"lib/{triple}/libz.so.1")
            for header in ("usr/include/zconf.h", f"usr/include/{triple}/zconf.h", "usr/include/zlib.h"):
                self.assertTrue((root / header).is_file(), header)
            self.assertFalse((root / f"usr/lib/{triple}/libpng.a").exists())
            self.assertTrue((root / f"usr/lib/{triple}/libgtest.a").exists())
            self.assertTrue(os.access(root / "pkg-config", os.X_OK))


if __name__ == "__main__":
    unittest.main()
