"""The process in which one model is converted: ``python -m stn_rectify.converters.batch.conversion_process``.

It reads a pickled `ConversionRequest` from standard input, which then stays open: when the other end closes, by
whatever death of the process there, this one ends, too. Its answer is a file.
"""

from __future__ import annotations

import faulthandler
import gc
import json
import os
import pickle
import signal
import sys
import threading
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stn_rectify.converters.options import ConversionOptions
from stn_rectify.runtime.errors import StnRectifyError, first_line


@dataclass(frozen=True)
class ConversionRequest:
    """The request that the process reads.

    Attributes:
        source: .keras file or SavedModel folder.
        out: empty folder for the outputs.
        options: how to convert.
        folder: where relative paths start.
        answer: the file for the answer: JSON with the ``reason`` of a failure or null, ``line`` and ``details``.
    """

    source: Path
    out: Path
    options: ConversionOptions
    folder: Path
    answer: Path


def main() -> None:
    """Reads the request, converts, answers."""
    faulthandler.enable()  # a crash shows in the log where it happened
    request: ConversionRequest = pickle.load(sys.stdin.buffer)  # nosec B301  # of the process that started this one
    threading.Thread(target=_end_with_the_other_end, daemon=True).start()
    os.chdir(request.folder)
    answer = json.dumps(_convert(request))
    partial = request.answer.with_suffix(".partial")
    partial.write_text(answer)
    os.replace(partial, request.answer)
    sys.stderr.flush()
    os._exit(0)  # TensorFlow takes a while to tear itself down, and can crash in it


def _end_with_the_other_end() -> None:
    sys.stdin.buffer.read()
    os.killpg(0, signal.SIGKILL)  # with the interpreter's process


def _convert(request: ConversionRequest) -> dict[str, Any]:
    try:
        # What TensorFlow's import makes stays: it is not looked through for garbage, neither now nor later.
        gc.disable()
        try:
            from stn_rectify.converters.conversion import convert
        finally:
            gc.freeze()
            gc.enable()
        conversion = convert(request.source, request.out, request.options)
    except StnRectifyError as error:
        traceback.print_exc()
        return {"reason": str(error)}
    except Exception as error:  # whatever TensorFlow and Keras make of a model
        traceback.print_exc()
        return {"reason": f"unexpected {type(error).__name__}: {first_line(error)} (--debug shows where)"}
    return {"reason": None, "line": str(conversion), "details": conversion.details()}


if __name__ == "__main__":
    main()
