"""Writes tiny model files into the folder it is given: networks in the style of each project whose models people have, and
networks that break what such styles have in common. The engine has to run every one as TorchScript does.

Usage: make_networks.py FOLDER [PART_OF_A_NAME]"""

import importlib.util
import json
import sys
import warnings
import zlib
from pathlib import Path

import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).parents[2] / "models"))
from exporters.meaning import inputs  # noqa: E402
from exporters.tracing import trace  # noqa: E402
from networks import edm, odd, openai, scripted, spellings, tokens, unets  # noqa: E402
from networks.common import randomise  # noqa: E402

folder = Path(sys.argv[1])
wanted = sys.argv[2] if len(sys.argv) > 2 else ""
folder.mkdir(parents=True, exist_ok=True)
torch.set_num_threads(1)


def save(name: str, network: nn.Module, metadata: dict, script: bool = False, freeze: bool = False,
         optimize: bool = False) -> None:
    """Random weights for the network, and its file: traced, or compiled by torch.jit.script, perhaps with its weights made
    constants by torch.jit.freeze. optimize: it does not run without torch's optimizer."""
    if wanted not in name:
        return
    randomise(network, zlib.crc32(name.encode()))
    network.eval().requires_grad_(False)
    # torch need not optimize what runs a few times. Freezing needs the optimizer: what it leaves without can't be saved.
    with warnings.catch_warnings(), torch.jit.optimized_execution(freeze or optimize):
        warnings.filterwarnings("ignore", message=".*torch.jit.*deprecated.*")
        module = torch.jit.script(network) if script else trace(network, inputs(metadata, 2), inputs(metadata, 5))
        if freeze:
            module = torch.jit.freeze(module)
        file = folder / f"{name}.pt"
        torch.jit.save(module, str(file), _extra_files={"onestep.json": json.dumps({"name": name, **metadata}, indent=1)})
        check(file, metadata)


def check(file: Path, metadata: dict) -> None:
    """The file is good as a test: small, finite, of order 1, its rows independent, and every input matters."""
    module, given = torch.jit.load(str(file)), inputs(metadata, 2)
    with torch.no_grad():
        together = module(*given)
        alone = torch.cat([module(*(value[row:row + 1] for value in given)) for row in range(2)])
        others = [value.flip(0) + int(value.dtype.is_floating_point) for value in given]
        reactions = [module(*given[:k], others[k], *given[k + 1:]) - together for k in range(len(given))]
    size = float(together.square().mean().sqrt())
    assert file.stat().st_size < 1.5e6, f"{file}: {file.stat().st_size} bytes"
    assert together.shape == given[0].shape and together.dtype == torch.float32, f"{file}: {together.dtype} {together.shape}"
    assert together.isfinite().all() and 0.1 < size < 10, f"{file}: a sample's root mean square is {size}"
    # 1e-4, absolute: kernels sum in another order at another batch size, and the values are of order 1.
    assert (together - alone).abs().max() < 1e-4, f"{file}: rows differ by {(together - alone).abs().max()}"
    for k, reaction in enumerate(reactions):
        assert reaction.abs().max() > 1e-2, f"{file}: input {k} changes nothing"


parts = [openai, edm, unets, tokens, spellings, scripted, odd]
if importlib.util.find_spec("diffusers"):
    from networks import pipelines
    parts.append(pipelines)
else:  # as on a machine with a GPU for an hour
    print("make_networks.py: diffusers is not installed: its networks are left out", file=sys.stderr)
for part in parts:
    part.write(save)
