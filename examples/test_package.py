"""The Debian package: what it depends on, what it holds, and whether its program finds the user's libtorch. Usage:
test_package.py ONESTEP.deb PREFIX TORCH"""

import importlib.util
import json
import os
import re
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

PACKAGE, PREFIX, TORCH = (Path(argument) for argument in sys.argv[1:4])
del sys.argv[1:]
PROGRAM, LIBRARY = PREFIX / "libexec/onestep/onestep", next(PREFIX.glob("lib/**/libonestep_c.so"))
MODULE = Path(__file__).resolve().parents[1] / "python"
OF_THE_USER = {"libtorch.so", "libtorch_cpu.so", "libtorch_cuda.so", "libc10.so", "libc10_cuda.so"}
NO_TORCH = {"PATH": "/usr/bin:/bin", "PYTHONNOUSERSITE": "1"}  # Debian's python3 alone


def output(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def onestep(*arguments, **environment):
    return subprocess.run([PREFIX / "bin/onestep", *arguments], capture_output=True, text=True, env=NO_TORCH | environment)


class Package(unittest.TestCase):
    def test_depends_on_what_holds_each_library_that_it_names(self):
        depends = {name.split()[0] for name in output("dpkg-deb", "-f", PACKAGE, "Depends").split(",")}
        for file in PROGRAM, LIBRARY:
            needed = set(re.findall(r"NEEDED.*\[(.*)\]", output("readelf", "-d", file))) - OF_THE_USER
            self.assertGreater(len(needed), 5)
            found = dict(re.findall(r"(\S+) => (/\S+)", output("ldd", file)))
            for name in needed:
                if name.startswith("ld-linux"):  # of libc6
                    continue
                with self.subTest(name=name):
                    # A file of /lib is one of /usr/lib, and dpkg may know it by either.
                    of = re.findall(r"^([^:,\n]+):", output("dpkg", "-S", "*" + found[name]), re.MULTILINE)
                    self.assertTrue(depends & set(of), f"{name} of {of}, depends on {depends}")

    def test_names_no_place_of_this_machine(self):
        for file in PROGRAM, LIBRARY:
            self.assertNotRegex(output("readelf", "-d", file), "RUNPATH|RPATH")

    def test_holds_what_a_user_looks_for(self):
        for file in ("bin/onestep", "include/onestep.h", "share/onestep/models/fashion.pt", "share/doc/onestep/copyright",
                     "share/bash-completion/completions/onestep", "share/zsh/vendor-completions/_onestep",
                     "share/fish/vendor_completions.d/onestep.fish"):
            self.assertTrue((PREFIX / file).exists(), file)
        pages = {page.name for page in PREFIX.glob("share/man/man1/*")}
        if pages:  # where there was help2man
            self.assertGreaterEqual(pages, {"onestep.1.gz", "onestep-generate.1.gz", "onestep-edit-inpaint.1.gz"})

    def test_runs_on_the_libtorch_that_it_is_told_of(self):
        for folder in TORCH, TORCH / "lib":
            told = onestep("inspect", "fashion", "--json", ONESTEP_TORCH=str(folder))
            self.assertEqual(told.returncode, 0, told.stderr)
            self.assertEqual(json.loads(told.stdout)["file"], str(PREFIX / "share/onestep/models/fashion.pt"))

    def test_runs_on_the_libtorch_that_the_loader_finds(self):
        found = onestep("--version", LD_LIBRARY_PATH=str(TORCH / "lib"))
        self.assertEqual((found.returncode, found.stderr), (0, ""))

    def test_runs_on_the_libtorch_of_python(self):
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "torch").symlink_to(TORCH)
            found = onestep("--version", PYTHONPATH=folder)
            self.assertEqual((found.returncode, found.stderr), (0, ""))

    @unittest.skipUnless(importlib.util.find_spec("torch") and importlib.util.find_spec("cffi"), "a python without torch and cffi")
    def test_its_library_loads_into_a_python_that_has_torch(self):
        environment = os.environ | {"PYTHONPATH": str(MODULE), "ONESTEP_LIBRARY": str(LIBRARY), "ONESTEP_MODELS": ""}
        loaded = subprocess.run([sys.executable, "-c", "import pyonestep; print(pyonestep.Model('fashion').generate(2).shape)"],
                                capture_output=True, text=True, env=environment)
        self.assertEqual(loaded.stdout.strip(), "(2, 1, 28, 28)", loaded.stderr)

    def test_says_what_to_do_where_there_is_none(self):
        for environment, words in (({}, "there is no libtorch"), ({"ONESTEP_TORCH": "/nowhere"}, "/nowhere: has no lib/libtorch_cpu.so")):
            refused = onestep("--version", **environment)
            self.assertEqual(refused.returncode, 4)
            self.assertIn(words, refused.stderr)
            self.assertIn("pip install torch==", refused.stderr)
            self.assertEqual(len(refused.stderr.splitlines()), 1)

    def test_says_which_libtorch_is_another_one(self):
        with tempfile.TemporaryDirectory() as folder:
            header = Path(folder) / "include/torch/headeronly/version.h"
            header.parent.mkdir(parents=True)
            header.write_text('#define TORCH_VERSION "1.0.0"\n')
            (Path(folder) / "lib").mkdir()
            (Path(folder) / "lib/libtorch_cpu.so").touch()
            refused = onestep("--version", ONESTEP_TORCH=folder)
            self.assertEqual(refused.returncode, 4)
            self.assertIn(f"{folder}: is not libtorch 2", refused.stderr)


if __name__ == "__main__":
    os.environ.pop("LD_LIBRARY_PATH", None)
    unittest.main()
