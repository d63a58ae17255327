"""The program of a trial's process: opens a model, and runs its networks on frames of all kinds.

It is run by its path, in a Python of its own that knows this package not at all, so that it starts quickly. Arguments:
the interpreter's module, and how much more memory than at the start it may take, bytes. The model comes on standard
input. It prints a line `READY` once it can begin, and then `DONE`, or a line of what the interpreter has against the
model. What kills it kills nothing else.
"""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any

READY, DONE = "ready", "done"


def main() -> None:
    """Tries the model."""
    # The names of this folder shall stand for nothing. Python has it by its real path, whatever links lead here; not
    # simply the first one: PYTHONSAFEPATH leaves it out.
    here = os.path.dirname(os.path.realpath(__file__))
    sys.path[:] = [folder for folder in sys.path if folder != here]
    import numpy as np

    module = importlib.import_module(sys.argv[1])
    content = sys.stdin.buffer.read()
    _limit_memory(int(sys.argv[2]))
    print(READY, flush=True)
    try:
        interpreter = module.Interpreter(model_content=content, num_threads=1)
        interpreter.allocate_tensors()
        signatures = interpreter.get_signature_list()
        details = interpreter.get_input_details()
        all_frames = list(zip(*(_frames(np, detail) for detail in details), strict=True))
        for frames in all_frames[-1:] if signatures else all_frames:
            for detail, frame in zip(details, frames, strict=True):
                interpreter.set_tensor(detail["index"], frame)
            interpreter.invoke()
            for detail in interpreter.get_output_details():
                interpreter.get_tensor(detail["index"])
        for key in signatures:
            runner = interpreter.get_signature_runner(key)
            named = runner.get_input_details()
            for frames in zip(*(_frames(np, detail) for detail in named.values()), strict=True):
                runner(**dict(zip(named, frames, strict=True)))
    except (ValueError, RuntimeError, TypeError, MemoryError) as error:
        print(" ".join(str(error).split()) or type(error).__name__)
        return
    print(DONE, flush=True)


def _limit_memory(more: int) -> None:
    try:
        import resource
        from pathlib import Path

        pages = int(Path("/proc/self/statm").read_text().split()[0])
        limit = pages * resource.getpagesize() + more
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        if hard == resource.RLIM_INFINITY or limit < hard:
            resource.setrlimit(resource.RLIMIT_AS, (limit, hard))
        resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    except (ImportError, OSError, ValueError):  # not on this system; the file's own tensors have been counted
        pass


def _frames(np: Any, detail: dict[str, Any]) -> list[Any]:
    """Black, white, in between, and noise."""
    shape, dtype, random = detail["shape"], np.dtype(detail["dtype"]), np.random.default_rng(0)
    if dtype.kind in "iu":
        levels = np.iinfo(dtype)
        noise = random.integers(levels.min, levels.max, shape, dtype, endpoint=True)
        return [*(np.full(shape, value, dtype) for value in (levels.min, levels.max)), noise]
    noise = [random.uniform(low, high, shape).astype(dtype) for low, high in ((-1, 1), (0, 255))]
    return [*(np.full(shape, value, dtype) for value in (0, 255)), *noise]


if __name__ == "__main__":
    main()
