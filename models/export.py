#!/usr/bin/env python3
"""Writes model files and has onestep verify them: export.py KIND SOURCE MODEL.pt"""

import argparse
import json
import sys
from pathlib import Path

from exporters import ExportError, edm, model_file, openai


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    kinds = parser.add_subparsers(dest="kind", required=True, metavar="KIND")

    def add(name: str, text: str, source: str) -> argparse.ArgumentParser:
        kind = kinds.add_parser(name, help=text, description=text)
        kind.add_argument("source", type=Path, metavar=source)
        kind.add_argument("output", type=Path, metavar="MODEL")
        kind.add_argument("--name", help="the model's name (default: the output's)")
        kind.add_argument("--license", help="of the model, for the card")
        kind.add_argument("--onestep", help="the program that verifies the file (default: build/src/onestep)")
        return kind

    trained = add("trained", "a checkpoint of models/training", "CHECKPOINT")
    trained.set_defaults(license="MIT")
    trained.add_argument("--levels", action="append", default=[], metavar="80,0.8",
                         help="recommended levels of a consistency model, once for each number of steps")
    trained.add_argument("--metrics", type=json.loads, default={}, metavar="JSON", help="measured quality, for the card")
    add("diffusers", "a pipeline saved by diffusers, with a consistency or a diffusion scheduler: UNet2DModel; or on latents, with "
        "a text, which becomes a folder: StableDiffusionPipeline, LatentConsistencyModelPipeline, without their safety checker",
        "FOLDER")
    weights = add("openai", "a state dict of openai/consistency_models or openai/guided-diffusion; of their scripts' flags, "
                  "those that are not given are told by the tensors", "CHECKPOINT")
    snapshot = add("edm", "a network snapshot of NVlabs/edm or locuslab/ect: a pickle, which is a program, and is run",
                   "PICKLE")
    for kind in (weights, snapshot):
        kind.add_argument("--code", type=Path, required=True, metavar="DIR", help="your checkout of that project")
        kind.add_argument("--role", choices=("consistency", "diffusion"),
                          help="what the network was trained to be (default: consistency for consistency_models and ect)")
    for flag, (value, text) in openai.FLAGS.items():
        # As argparse would have it, and as those scripts spell it.
        weights.add_argument(f"--{flag.replace('_', '-')}", f"--{flag}", type=value, help=text,
                             required=flag == "image_size")
    for kind in kinds.choices.values():
        kind.add_argument("--half", action="store_true", help="keep the weights in half precision, which halves the file; they "
                          "are computed with in float32 as before")
    scripted = add("torchscript", "a traced or scripted module, with its metadata", "FILE")
    scripted.add_argument("--metadata", type=Path, required=True, metavar="JSON", help="what docs/design.md lists")
    for kind in kinds.choices.values():
        kind.add_argument("--traceback", action="store_true", help="show where in the code an unforeseen error came up")
    options = parser.parse_args()

    try:
        if not options.source.exists():
            raise ExportError(f"{options.source}: no such file")
        if not options.output.parent.is_dir():
            raise ExportError(f"{options.output}: make the folder {options.output.parent} first")
        if options.kind == "trained":
            from exporters import trained
            network, metadata = trained.read(
                options.source, [[float(level) for level in given.split(",")] for given in options.levels], options.metrics)
        elif options.kind == "diffusers":
            from exporters import saved_pipeline
            network, metadata = saved_pipeline.read(options.source)
        elif options.kind == "openai":
            network, metadata = openai.read(options.source, options.code, options.role,
                                            {flag: getattr(options, flag) for flag in openai.FLAGS})
        elif options.kind == "edm":
            network, metadata = edm.read(options.source, options.code, options.role)
        else:
            from exporters import scripted
            network, metadata = scripted.read(options.source, options.metadata)
        name = options.output.name if "components" in metadata else options.output.stem
        named = {"format": 1, "name": options.name or name, **metadata}
        if options.license:
            named["license"] = options.license
        model_file.write(network, named, options.output, options.onestep,
                         half=getattr(options, "half", False))
    except ExportError as error:
        sys.exit(f"export.py: {error}")
    except Exception as error:  # of whatever reads the source: anything can be in it
        if options.traceback:
            raise
        first_line = (str(error).strip() or "no message").splitlines()[0]
        sys.exit(f"export.py: {options.source}: {type(error).__name__}: {first_line}; --traceback shows where")


if __name__ == "__main__":
    main()
