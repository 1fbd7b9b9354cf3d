"""What the server answers is what its description (/api/openapi.json) says: schemathesis, from PyPI, makes requests of it, right
and wrong ones, and holds the answers against it. Usage: openapi_test.py ONESTEP MODELS, a folder that make_models.py has filled"""

import importlib.util
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

from served import Server

ONESTEP, MODELS = sys.argv.pop(1), Path(sys.argv.pop(1))
os.environ["OMP_NUM_THREADS"] = "1"

CONFIGURATION = """
[checks.not_a_server_error]
expected-statuses = ["2xx", "3xx", "4xx", "503"]

# That a request fits its schema is not all: a model must be known, a picture be one.
[checks.positive_data_acceptance]
enabled = false

# A method that httplib does not know is malformed (400); server_test.py tries those that it knows.
[checks.unsupported_method]
enabled = false
"""


@unittest.skipUnless(importlib.util.find_spec("schemathesis"), "schemathesis is not installed")
class Description(unittest.TestCase):
    def test_all_answers_are_as_it_says(self):
        server = Server(ONESTEP, "fashion", str(MODELS / "triads.pt"), "--threads", "1", "--quiet", "--max-count", "100", "--max-pixels", "4096", "--max-seconds", "20")
        try:
            with tempfile.TemporaryDirectory() as folder:
                (Path(folder) / "schemathesis.toml").write_text(CONFIGURATION)
                run = subprocess.run([Path(sys.executable).parent / "schemathesis", "run", server.address + "/api/openapi.json", "--seed", "1",
                                      "--phases", "examples,coverage,fuzzing", "--max-examples", "5", "--no-shrink", "--continue-on-failure",
                                      "--request-timeout", "60", "--no-color"],
                                     cwd=folder, capture_output=True, text=True, timeout=500)
        finally:
            code = server.end()
        self.assertEqual(run.returncode, 0, run.stdout + run.stderr)
        self.assertEqual(code, 0)


if __name__ == "__main__":
    unittest.main()
