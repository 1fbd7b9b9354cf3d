"""`pip wheel .` to its end, and the wheel in a fresh environment. Usage: wheel_test.py [FOLDER]
It compiles the library once more: done where ONESTEP_TEST_WHEEL is set, exit code 77 where it is not. FOLDER: where what was compiled
is kept; without it nothing is. The environment sees this Python's packages, torch among them: nothing is downloaded."""

import os
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

if not os.environ.get("ONESTEP_TEST_WHEEL"):
    print("SKIPPED: no wheel was built and tested; ONESTEP_TEST_WHEEL=1 has it done, which takes as long as the library does")
    sys.exit(77)

USE = """
import numpy, pyonestep
from pathlib import Path
assert Path(pyonestep.__file__).is_relative_to(Path(__import__("sys").prefix)), pyonestep.__file__
model = pyonestep.Model("fashion")
dresses = model.generate(4, labels=["dress"])
assert dresses.shape == (4, 1, 28, 28) and dresses.dtype == numpy.float32
assert (dresses == model.generate(4, labels=["dress"])).all() and numpy.isfinite(dresses).all() and dresses.std() > 0.1
model.save("dresses.png", 4, labels=["dress"])
assert Path("dresses.png").stat().st_size > 500
print("a wheel draws dresses")
"""

with tempfile.TemporaryDirectory() as temporary:
    folder = Path(temporary)
    wheels, environment = folder / "wheels", folder / "venv"
    build = [f"--config-settings=build-dir={sys.argv[1]}"] if len(sys.argv) > 1 else []
    subprocess.run([sys.executable, "-m", "pip", "wheel", ".", "--no-deps", "--no-build-isolation", "-w", wheels, *build],
                   cwd=ROOT, check=True)
    [wheel] = wheels.glob("pyonestep-*.whl")
    venv.create(environment, with_pip=True)
    # What this Python has is seen behind the environment's own, which begin empty.
    [site] = environment.glob("lib/python*/site-packages")
    (site / "behind.pth").write_text(next(path for path in sys.path if path.endswith("site-packages")) + "\n")
    python = environment / "bin/python"
    subprocess.run([python, "-m", "pip", "install", "-q", "--no-deps", "--no-index", wheel], check=True)
    subprocess.run([python, "-c", USE], cwd=folder, check=True)
