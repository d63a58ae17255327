"""Where the sampler's time goes, operator by operator: models of the first 1, 2, 3 … operators, timed in turn.

python tests/benchmarks/sampler/sampler_operators.py DIR --write MODEL.tflite  # where the converter is installed
python tests/benchmarks/sampler/sampler_operators.py DIR                       # in each environment

MODEL is one of sampler_speed.py's. An operator's time is the difference of two models' least times, so single lines may
come out a little below zero; one that writes over its operand does so only when another follows it.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from sampler_speed import POSES, open_model, time_in_turn

LABELS = "operators.json"


def write_prefixes(folder: Path, model: Path) -> None:
    """The models, their operators' names and shapes, and the inputs to run them with."""
    from stn_rectify.converters.tflite.object_tree import DTYPES, operator_name, read_model, write_model

    folder.mkdir(parents=True, exist_ok=True)
    flatbuffer = model.read_bytes()
    count = len(read_model(flatbuffer).subgraphs[0].operators)
    labels = []
    for length in range(1, count + 1):
        prefix = read_model(flatbuffer)
        graph = prefix.subgraphs[0]
        prefix.signatureDefs = []
        graph.operators = graph.operators[:length]
        operator = graph.operators[-1]
        graph.outputs = [int(operator.outputs[0])]
        (folder / f"{length:03}.tflite").write_bytes(write_model(prefix))
        made = graph.tensors[graph.outputs[0]]
        shape = "x".join(str(int(n)) for n in made.shape)
        labels.append(f"{operator_name(prefix.operatorCodes[operator.opcodeIndex]):14} {DTYPES[made.type]} {shape}")
    (folder / LABELS).write_text(json.dumps({"model": model.stem, "operators": labels}))
    with np.load(model.parent / POSES) as poses:
        np.savez(folder / POSES, coefficients=poses[f"{model.stem}/coefficients"])


def print_profile(folder: Path, rounds: int, least: float) -> None:
    """Operators that take more than ``least`` ns a pixel, and what the others take together."""
    listing = json.loads((folder / LABELS).read_text())
    size = tuple(int(n) for n in listing["model"].split("_")[1].split("x"))
    with np.load(folder / POSES) as poses:
        inputs = {"coefficients": poses["coefficients"]}
    inputs["frame"] = np.random.default_rng(0).integers(-128, 128, (1, *size)).astype(np.int8)
    calls = [open_model(file, inputs).invoke for file in sorted(folder.glob("*.tflite"))]
    times = time_in_turn(calls, rounds).min(axis=1) * 1000 / (size[0] * size[1])
    rest = 0.0
    print(f"{listing['model']}: ns a pixel")
    for label, cost in zip(listing["operators"], np.diff(times, prepend=0.0), strict=True):
        if abs(cost) >= least:
            print(f"{cost:8.2f}  {label}")
        else:
            rest += cost
    print(f"{rest:8.2f}  all others\n{times[-1]:8.2f}  together")


def main() -> None:
    """Writes the models, or prints the profile."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path, metavar="DIR")
    parser.add_argument("--write", type=Path, metavar="MODEL.tflite")
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--least", type=float, default=0.2, help="ns a pixel that a line is worth (0.2)")
    arguments = parser.parse_args()
    if arguments.write:
        write_prefixes(arguments.folder, arguments.write)
    else:
        print_profile(arguments.folder, arguments.rounds, arguments.least)


if __name__ == "__main__":
    main()
