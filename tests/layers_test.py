"""Every #include of src and include goes from a layer to one that it may use. The compiler sees to it where a folder's headers
are not on its path; this sees to it everywhere, in the engine's rooms too. The map is that of docs/design.md.

Usage: layers_test.py"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]

# A layer, and those below it that it may use. All may use `words`, the public headers that hold what everybody talks of.
LAYERS = {
    "words": set(),
    "math": set(),
    "sampling": {"math"},
    "network": {"math"},
    "editing": {"math", "sampling"},
    "media": {"math"},
    "metrics": {"math", "network"},
    "engine": {"network", "math"},
    "model": {"engine", "network", "math", "sampling"},
    "pipeline": {"model", "network", "math", "sampling", "editing", "media", "metrics"},
    "c": {"pipeline"},
    "cli": {"pipeline", "media", "math"},
    "server": {"cli", "pipeline", "media", "math"},
}
# Rooms of the engine, in the same way. What all of them may see is its door, `public`.
ROOMS = {
    "public": set(),
    "kernels": set(),
    "trace": {"kernels"},
    "run": {"kernels", "trace"},
    "lower": {"kernels", "trace", "run"},
    "libtorch": set(),
    "cpu": {"kernels", "trace", "run", "lower", "libtorch"},
    "gpu": {"trace", "libtorch"},
    "engine": {"kernels", "trace", "cpu", "gpu"},  # what is behind the door
}
# Public headers of the pipeline.
PIPELINE = {"canvas.hpp", "compose.hpp", "evaluate.hpp", "generator.hpp", "interpolate.hpp", "request_json.hpp", "save.hpp", "tune.hpp"}


def layer_of(header: Path) -> str:
    """Of a file of src or include."""
    parts = header.relative_to(ROOT).parts
    if parts[0] == "include":
        return "pipeline" if "/".join(parts[2:]) in PIPELINE else "words"
    return parts[1]


def room_of(file: Path) -> str:
    parts = file.relative_to(ROOT / "src/engine").parts
    return parts[0] if len(parts) > 1 else "engine"


def found(name: str, includer: Path) -> Path | None:
    """The file of the project that an include names."""
    places = [includer.parent, ROOT / "include", ROOT / "src/engine", ROOT / "src/engine/public",
              *(folder for folder in (ROOT / "src").iterdir() if folder.is_dir())]
    return next((place / name for place in places if (place / name).is_file()), None)


def wrong_arrows(file: Path, text: str):
    """What is wrong with the file's includes, a line each."""
    for name in re.findall(r'^#include "([^"]+)"', text, re.MULTILINE):
        header = found(name, file)
        if header is None:
            yield f"includes {name}, which is not there"
            continue
        here, there = layer_of(file), layer_of(header)
        if there not in {here, "words"} | LAYERS[here]:
            yield f"is of {here} and includes {name} of {there}"
        if here == there == "engine":
            room, other = room_of(file), room_of(header)
            if other not in {room, "public"} | ROOMS[room]:
                yield f"is of the engine's {room} and includes {name} of {other}"


files = [file for folder in ("src", "include") for file in sorted((ROOT / folder).rglob("*.?pp"))]
wrong = [f"{file.relative_to(ROOT)} {line}" for file in files for line in wrong_arrows(file, file.read_text())]
for line in wrong:
    print(line)

# The check is one: it finds what is put there.
assert len(files) > 100, f"{len(files)} files"
assert list(wrong_arrows(ROOT / "src/math/noise.cpp", '#include "sample_file.hpp"\n')), "media is not below math"
assert list(wrong_arrows(ROOT / "src/engine/kernels/bf16.cpp", '#include "trace/trace.hpp"\n')), "trace is not below kernels"
assert list(wrong_arrows(ROOT / "src/model/denoiser.cpp", '#include "onestep/generator.hpp"\n')), "the pipeline is above"
assert not list(wrong_arrows(ROOT / "src/engine/lower/lower.cpp", '#include "trace/trace.hpp"\n'))
sys.exit(bool(wrong))
