"""The files of stn_files.py beside each other, a row for each way of converting: what is in them, how right, how fast.

    python tests/benchmarks/rivals/rivals_table.py DIR [--size 64] [--seconds 10] [--package ai-edge-litert]

Needs no TensorFlow. One process, one thread; all files are run in turn, in a new random order each round
(`stn_speed.py`), and a ratio is the median of the rounds' own ratios. Processor time, because the machine has other
work. A way that made no file has a row with what it said.
"""

from __future__ import annotations

import platform
import time
from pathlib import Path

import numpy as np
from stn_speed import Model, agreement, read_arguments, time_in_turn

from stn_rectify.runtime.model.interpreter import find_interpreter_package

#: Files, and what made them.
WAYS = {
    "int8": "stn-convert",
    "naive": "TFLiteConverter, full-integer int8",
    "quantizer": "ai-edge-quantizer, static int8",
    "litert_torch_int8": "litert-torch + ai-edge-quantizer",
    "onnx2tf": "onnx2tf, full-integer int8",
    "float_keras": "TFLiteConverter, float32",
    "litert_torch": "litert-torch, float32",
    "onnx2tf_float": "onnx2tf, float32",
    "float": "our float32 twin",
}


def contents(file: Path, package: str) -> tuple[str, str]:
    """How many of the file's tensors are float, and how many of its operators are custom or Flex ones."""
    if package == "ai-edge-litert":
        from ai_edge_litert.interpreter import Interpreter, OpResolverType
    else:
        from tflite_runtime.interpreter import Interpreter, OpResolverType
    plain = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES  # a delegate would add tensors and nodes of its own
    tflite = Interpreter(str(file), num_threads=1, experimental_op_resolver_type=plain)
    tensors = tflite.get_tensor_details()
    floats = sum(np.issubdtype(details["dtype"], np.floating) for details in tensors)
    names = [str(node["op_name"]) for node in tflite._get_ops_details()]
    foreign = sum(name == "CUSTOM" or name != name.upper() for name in names)  # a custom operator has a name of its own
    return f"{floats} of {len(tensors)}", str(foreign)


def print_size(size: str, folder: Path, seconds: float, package: str) -> None:
    """The table of one size, in Markdown."""
    frames = np.load(folder / "frames.npz")["frames"]
    files = {name: folder / f"{name}.tflite" for name in WAYS if (folder / f"{name}.tflite").exists()}
    models, rows, said = {}, {}, {}
    for name, file in files.items():
        try:
            models[name] = Model(file, package)
            corners, levels = agreement(name, models[name], folder, frames, at_own_theta=False)
        except Exception as error:  # an interpreter raises whatever its parts raise; the row says so
            models.pop(name, None)
            said[name] = f"{type(error).__name__}: {' '.join(str(error).split())[:160]}"
            continue
        rows[name] = [*contents(file, package), f"{corners:.2f}", f"{levels:.1f}", f"{file.stat().st_size / 1000:.0f}"]
    for model in models.values():
        model.feed(frames[0])
    times = time_in_turn({name: model.invoke for name, model in models.items()}, seconds, time.thread_time_ns)
    rounds = len(next(iter(times.values())).values)
    print(f"\n{size}, {package}, {platform.machine()}, {rounds} rounds")
    print("| | float tensors | custom, Flex | corners px | levels | KB | µs: least (median) | times ours |")
    print("|---|---|---|---|---|---|---|---|")
    for name, title in WAYS.items():
        if name in rows:
            ratio = np.median(times[name].values / times["int8"].values)
            taken = f"{times[name].least:.0f} ({times[name].median:.0f})"
            print(f"| {title} | {' | '.join(rows[name])} | {taken} | {ratio:.2f} |")
            continue
        failed = folder / f"{name}.failed.txt"
        reason = said.get(name) or (failed.read_text().strip() if failed.exists() else "not made")
        print(f"| {title} | {reason} | | | | | | |")


def main() -> None:
    """Prints a table for each size."""
    arguments, folders = read_arguments(__doc__)
    package = find_interpreter_package(arguments.package).name
    for size, folder in folders.items():
        print_size(size, folder, arguments.seconds, package)


if __name__ == "__main__":
    main()
