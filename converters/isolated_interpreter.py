"""An interpreter in a process of its own, where TensorFlow was never imported.

With TensorFlow in the process tflite-runtime runs TensorFlow's kernels (see `schema.py`), and a model that crashes the
interpreter would take the converter with it.
"""

from __future__ import annotations

import contextlib
import multiprocessing
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt

from stn_rectify.runtime.errors import ModelFileError, StnRectifyError
from stn_rectify.runtime.interpreter import find_interpreter_package, open_interpreter

__all__ = ["IsolatedInterpreter"]

Arrays = dict[str, npt.NDArray[Any]]


class IsolatedInterpreter:
    """A child process that holds one interpreter; a context manager.

    Args:
        package: ``"tflite-runtime"``, ``"ai-edge-litert"`` or None for the runtime's own choice.

    Raises:
        StnRectifyError: the package cannot be imported.
    """

    def __init__(self, package: str | None = None) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, package), daemon=True)
        self._process.start()
        theirs.close()
        #: Name and version of the interpreter's package.
        self.package: str = self._answer()

    def __enter__(self) -> IsolatedInterpreter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends the process."""
        self._pipe.close()
        self._process.join(timeout=5)
        self._process.kill()

    def load(self, flatbuffer: bytes) -> None:
        """Opens a model.

        Raises:
            ModelFileError: the interpreter refuses it or dies of it.
        """
        self._ask("load", flatbuffer)

    def run(self, inputs: Arrays) -> Arrays:
        """One inference; inputs and outputs by the names in the signature.

        Raises:
            ModelFileError: the interpreter reports an error or dies.
        """
        result: Arrays = self._ask("run", inputs)
        return result

    def _ask(self, request: str, argument: Any) -> Any:
        with contextlib.suppress(OSError):  # if it is dead no answer comes either, and that is reported
            self._pipe.send((request, argument))
        return self._answer()

    def _answer(self) -> Any:
        try:
            answer = self._pipe.recv()
        except (EOFError, OSError):
            self._process.join(timeout=5)
            raise ModelFileError(f"the interpreter died (status {self._process.exitcode}) on this model") from None
        if isinstance(answer, StnRectifyError):
            raise answer
        return answer


def _serve(pipe: Connection, package: str | None) -> None:
    runner: Any = None
    try:
        pipe.send(str(find_interpreter_package(package)))
        while True:
            request, argument = pipe.recv()
            try:
                if request == "load":
                    interpreter = open_interpreter(argument, threads=1, package=package).tflite
                    runner = interpreter.get_signature_runner("serving_default")
                    pipe.send(None)
                else:
                    pipe.send({name: np.array(value) for name, value in runner(**argument).items()})
            except StnRectifyError as error:
                pipe.send(error)
            except Exception as error:  # whatever the interpreter raises is about the model
                pipe.send(ModelFileError(f"{type(error).__name__}: {' '.join(str(error).split())}"))
    except StnRectifyError as error:
        pipe.send(error)
    except (EOFError, KeyboardInterrupt):
        pass
