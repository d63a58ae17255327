"""The process that converts: ``python -m stn_rectify.converters.batch.conversion_process FILE_DESCRIPTOR``.

It loads TensorFlow and Keras once and then forks itself for each `ConversionRequest` that comes through the pipe: a
model has a process of its own, as fresh as if Python had just been started for it, and the next one starts within
milliseconds. When the other end of the pipe closes, by whatever death of the process there, all of it ends.
"""

from __future__ import annotations

import faulthandler
import gc
import importlib
import json
import os
import select
import signal
import sys
import tempfile
import threading
import traceback
import warnings
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NoReturn

from stn_rectify.converters.options import ConversionOptions
from stn_rectify.runtime.errors import StnRectifyError, first_line

_CONVERSION = "stn_rectify.converters.conversion"


@dataclass(frozen=True)
class ConversionRequest:
    """The request that the process gets for each model; its answer is a file, its reply the status of the fork.

    Attributes:
        source: .keras file or SavedModel folder.
        out: empty folder for the outputs.
        options: how to convert.
        folder: where relative paths start.
        answer: the file for the answer: JSON with the ``reason`` of a failure or null, ``line`` and ``details``.
        log: the file for whatever is printed, TensorFlow's last words included.
        temporary: folder for temporary files.
    """

    source: Path
    out: Path
    options: ConversionOptions
    folder: Path
    answer: Path
    log: Path
    temporary: Path


def main() -> None:
    """Serves requests, one at a time, until the other end closes."""
    pipe = Connection(int(sys.argv[1]))
    faulthandler.enable()  # a crash shows in the log where it happened
    with suppress(EOFError, ConnectionError):
        while True:
            request: ConversionRequest = pipe.recv()
            _turn_to(request)
            _load()
            child = _fork()
            if child == 0:
                _convert_and_end(request, pipe)
            pipe.send(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    os._exit(0)  # TensorFlow takes a while to tear itself down, and can crash in it


def _turn_to(request: ConversionRequest) -> None:
    """What is printed and put down in passing belongs to this model from now on."""
    log = os.open(request.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    for number in (1, 2):
        os.dup2(log, number)
    os.close(log)
    os.environ["TMPDIR"] = str(request.temporary)  # TensorFlow's own code reads it, too
    tempfile.tempdir = None


def _load() -> None:
    """Imports what all conversions need. What fails here fails in the fork again, which answers with it."""
    if _CONVERSION in sys.modules:
        return
    # What TensorFlow's import makes stays: it is not looked through for garbage, neither now nor later.
    gc.disable()
    try:
        with suppress(Exception):
            importlib.import_module(_CONVERSION)
    finally:
        gc.freeze()
        gc.enable()


def _fork() -> int:
    with warnings.catch_warnings():
        # Python 3.12 warns of threads. There are those of OpenBLAS, which ends them for a fork; TensorFlow starts its
        # own with the first operation, and this process runs none.
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()


def _convert_and_end(request: ConversionRequest, pipe: Connection) -> NoReturn:
    """The fork: converts, answers, ends."""
    status = 1
    try:
        threading.Thread(target=_end_with_the_other_end, args=(os.dup(pipe.fileno()),), daemon=True).start()
        os.chdir(request.folder)
        answer = json.dumps(_convert(request))
        partial = request.answer.with_suffix(".partial")
        partial.write_text(answer)
        os.replace(partial, request.answer)
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _end_with_the_other_end(pipe: int) -> None:
    wait_until_closed(pipe)
    os.killpg(0, signal.SIGKILL)  # with the parent and the interpreter's process


def wait_until_closed(pipe: int, timeout_s: float | None = None) -> None:
    """Waits until no process holds the other end of a pipe any more; reads nothing."""
    poll = select.poll()
    poll.register(pipe, 0)
    poll.poll(None if timeout_s is None else 1000 * timeout_s)


def _convert(request: ConversionRequest) -> dict[str, Any]:
    try:
        from stn_rectify.converters.conversion import convert

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
