"""The shared library shows the functions of onestep.h and nothing else, and all of those that it ever had.

Usage: symbols_test.py LIBRARY"""

import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
header = (HERE.parents[1] / "include/onestep.h").read_text()
declared = set(re.findall(r"ONESTEP_API [^;]*?(onestep_\w+)\(", header))
listed = subprocess.run(["nm", "-D", "--defined-only", sys.argv[1]], check=True, capture_output=True, text=True).stdout
shown = {line.split()[-1] for line in listed.splitlines()}
promised = set((HERE / "symbols.txt").read_text().split())
for title, names in (("declared, but not in the library", declared - shown), ("in the library, but not declared", shown - declared),
                     ("missing; SOVERSION must change", promised - shown), ("new; add it to symbols.txt", shown - promised)):
    if names:
        print(f"{title}: {', '.join(sorted(names))}")
        sys.exit(1)
print(f"{len(shown)} functions")
