"""Do two machines compute the same bits? Prints a hash of each output for the same random inputs.

    python tests/benchmarks/sampler/output_bits.py sampler.tflite head.tflite | tee x86.txt
    ssh pi .../python output_bits.py sampler.tflite head.tflite | diff x86.txt -

Only the first line, which names interpreter and machine, may differ.
"""

from __future__ import annotations

import argparse
import hashlib
import platform
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from stn_rectify.runtime.model.interpreter import open_interpreter

_THETA_SHIFT = 10  # leaves ±2^21 of an int32: θ in ±2 with 20 fractional bits


def random_input(details: dict[str, Any], seed: str) -> npt.NDArray[Any]:
    """Random numbers for an input tensor: all values of an int8, ±2^21 for an int32.

    They come from SHAKE-128, since NumPy's generators may change between versions.

    Raises:
        ValueError: the tensor is neither int8 nor int32.
    """
    dtype, shape = np.dtype(details["dtype"]), tuple(details["shape"])
    if dtype not in (np.int8, np.int32):
        raise ValueError(f"input {details['name']!r} is {dtype}: expected int8 or int32")
    size = int(np.prod(shape)) * dtype.itemsize
    values = np.frombuffer(hashlib.shake_128(seed.encode()).digest(size), dtype.newbyteorder("<"))
    return (values >> (_THETA_SHIFT if dtype == np.int32 else 0)).astype(dtype).reshape(shape)


def hash_outputs(tflite: Any, runs: int, seed: int) -> tuple[str, list[tuple[dict[str, Any], str]]]:
    """Runs the model on random inputs.

    Args:
        tflite: the interpreter's own object, tensors allocated.
        runs: how many inputs.
        seed: of the random numbers.

    Returns:
        SHA-256 of all inputs, and of each output tensor over all runs, beside its details.
    """
    inputs, outputs = tflite.get_input_details(), tflite.get_output_details()
    input_hash, output_hashes = hashlib.sha256(), [hashlib.sha256() for _ in outputs]
    for run in range(runs):
        for position, details in enumerate(inputs):
            values = random_input(details, f"{seed}/{run}/{position}")
            input_hash.update(values.tobytes())
            tflite.set_tensor(details["index"], values)
        tflite.invoke()
        for details, output_hash in zip(outputs, output_hashes, strict=True):
            output_hash.update(tflite.get_tensor(details["index"]).tobytes())
    hashes = [output_hash.hexdigest() for output_hash in output_hashes]
    return input_hash.hexdigest(), list(zip(outputs, hashes, strict=True))


def main() -> None:
    """Prints a line for the machine, and for each model one for its inputs and one per output."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("models", nargs="+", type=Path, metavar="MODEL.tflite")
    parser.add_argument("--runs", type=int, default=20, help="random inputs per model (20)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--package", help="ai-edge-litert or tflite-runtime (the first that is installed)")
    arguments = parser.parse_args()
    for position, model in enumerate(arguments.models):
        interpreter = open_interpreter(model, threads=arguments.threads, package=arguments.package)
        if position == 0:
            numpy = f"numpy {np.__version__}"
            print(f"# {interpreter.package}, {numpy}, {platform.machine()}, {arguments.threads} threads")
        inputs, outputs = hash_outputs(interpreter.tflite, arguments.runs, arguments.seed)
        print(f"{model.name} {arguments.runs} random inputs {inputs}")
        for details, output_hash in outputs:
            dtype, shape = np.dtype(details["dtype"]), list(map(int, details["shape"]))
            print(f"{model.name} {details['name']} {dtype} {shape} {output_hash}")


if __name__ == "__main__":
    main()
