"""What the scripts begin with that run a document's commands and draw its figures: SCRIPT [FOLDER [ONESTEP]]. Without a folder,
docs; without a program, build/src/onestep."""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
folder = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs"
onestep = Path(sys.argv[2] if len(sys.argv) > 2 else ROOT / "build/src/onestep").resolve()


def commands_of(document: str, least: int, pattern: str = r"^    onestep (.*?)(?:\s+#.*)?$") -> list:
    """What a file of docs/ shows indented, as re.findall has it; fewer than `least` end the script."""
    found = re.findall(pattern, (ROOT / "docs" / document).read_text(), re.MULTILINE)
    if len(found) < least:
        sys.exit(f"docs/{document} has lost its commands")
    return found
