"""The one door to a TensorFlow Lite interpreter: ai-edge-litert where installed, else tflite-runtime."""

from __future__ import annotations

import ctypes
import importlib
import importlib.metadata
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from stn_rectify.runtime.arrays import Array
from stn_rectify.runtime.errors import ModelFileError, StnRectifyError, UsageError
from stn_rectify.runtime.model.metadata import ImageSpec
from stn_rectify.runtime.process.cores import usable_threads
from stn_rectify.runtime.process.installation import pip_command
from stn_rectify.runtime.process.sharing import ForkAware, NotCopied
from stn_rectify.runtime.process.standard_streams import stderr_without

# In order of preference: litert runs INT8 convolutions about twice as fast on ARM.
_MODULES = {"ai-edge-litert": "ai_edge_litert.interpreter", "tflite-runtime": "tflite_runtime.interpreter"}
_PREFERRED = next(iter(_MODULES))

# What ai-edge-litert writes to standard error when it allocates tensors for the first time in a process. Neither an
# environment variable nor a function of its own turns that off.
_GREETING = b"INFO: Created TensorFlow Lite XNNPACK delegate for CPU."
_to_leave_out: list[bytes] = []  # the line, while it is still to come; of several threads one takes it


@dataclass(frozen=True)
class InterpreterPackage:
    """An installed package with a TensorFlow Lite interpreter; `str` gives ``tflite-runtime 2.14.0``."""

    name: str
    version: str
    module: Any = field(repr=False, compare=False)

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


class Interpreter(ForkAware, NotCopied):
    """An interpreter that holds one model, its tensors allocated. Use one from one thread at a time.

    In a forked child the threads that it computes with are missing, and it would wait for them for ever: there it
    makes itself anew, at the first use.

    Args:
        package: where it comes from.
        content: the model.
        threads: how many threads it computes with, 1 or more.

    Attributes:
        package: where it comes from.
        threads: how many threads it computes with.

    Raises:
        ModelFileError: if the interpreter refuses the model.
        StnRectifyError: if the package does not go with the installed NumPy.
    """

    def __init__(self, package: InterpreterPackage, content: bytes, threads: int) -> None:
        self.package, self.threads, self._content = package, threads, content
        self._tflite: Any = self._opened()
        super().__init__()

    @property
    def tflite(self) -> Any:
        """The package's own interpreter object. Both packages give it the same methods."""
        if self._tflite is None:
            self._tflite = self._opened()
        return self._tflite

    def forked(self) -> None:
        """Leaves the parent's interpreter alone: even to delete it would wait for its threads."""
        if self._tflite is not None:
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._tflite))
            self._tflite = None

    def _opened(self) -> Any:
        try:
            tflite = self.package.module.Interpreter(model_content=self._content, num_threads=self.threads)
            with _without_greeting(self.package):
                tflite.allocate_tensors()
        except SystemError as error:
            # tflite-runtime was built against NumPy 1: under NumPy 2 it imports, and fails only here.
            raise StnRectifyError(
                f"{self.package} does not work with the installed NumPy {importlib.metadata.version('numpy')}: "
                f"{pip_command('install', 'numpy<2')}, or the other interpreter: {pip_command('install', _PREFERRED)}"
            ) from error
        except (ValueError, RuntimeError) as error:
            raise _refused(self.package, error) from error
        return tflite

    def invoke(self) -> None:
        """One inference of the first network, on the tensors that have been set.

        Raises:
            ModelFileError: if the interpreter refuses what the network computes.
        """
        try:
            self.tflite.invoke()
        except (ValueError, RuntimeError) as error:
            raise _refused(self.package, error) from error

    def prepare_signature(self, signature: str, frame: ImageSpec) -> None:
        """Runs the network that a signature names once, which allocates its tensors: no frame shall wait for that.

        Args:
            signature: its key in the file.
            frame: the image that it takes.

        Raises:
            ModelFileError: if the interpreter refuses this network.
        """
        self.run_signature(signature, np.zeros((1, frame.height, frame.width, frame.channels), np.int8))

    def run_signature(self, signature: str, frame: npt.NDArray[np.int8]) -> dict[str, Array]:
        """One inference of the network that a signature names.

        Args:
            signature: its key in the file.
            frame: int8 [1, H, W, C].

        Returns:
            The outputs by name, as arrays of their own.

        Raises:
            ModelFileError: if the interpreter refuses this network.
        """
        try:
            # A new runner each time, which takes 3 µs: as long as one is kept, `tflite.invoke` refuses to run.
            runner = self.tflite.get_signature_runner(signature)
            outputs: dict[str, Array] = runner(frame=frame)
            return outputs
        except (ValueError, RuntimeError) as error:
            raise _refused(self.package, error) from error


def find_interpreter_package(package: str | None = None) -> InterpreterPackage:
    """Imports the interpreter package to use.

    Args:
        package: ``"ai-edge-litert"`` or ``"tflite-runtime"``; None takes the first of them that imports.

    Raises:
        StnRectifyError: if no interpreter can be imported.
        UsageError: if the name is another one.
    """
    if package is not None and package not in _MODULES:
        raise UsageError(f"no interpreter package {package!r}: choose from {', '.join(_MODULES)}")
    reasons = []
    for name in [package] if package else list(_MODULES):
        try:
            module = importlib.import_module(_MODULES[name])
            return InterpreterPackage(name, importlib.metadata.version(name), module)
        except ImportError as error:
            reasons.append(f"{name}: {error}")
    mend = pip_command("install", _PREFERRED)
    raise StnRectifyError(f"no TensorFlow Lite interpreter works here ({'; '.join(reasons)}): install one with: {mend}")


def silence_greeting() -> None:
    """Keeps back the line by which ai-edge-litert tells in each process that it computes on the CPU; for commands."""
    _to_leave_out[:] = [_GREETING]


def _without_greeting(package: InterpreterPackage) -> AbstractContextManager[None]:
    """Holds it back where that was asked for, the first time only: it comes once."""
    if package.name == _PREFERRED:
        with suppress(IndexError):
            return stderr_without(_to_leave_out.pop())
    return nullcontext()


def module_name(package: InterpreterPackage) -> str:
    """The module that holds a package's interpreter."""
    return _MODULES[package.name]


def open_interpreter(
    flatbuffer: bytes | str | PathLike[str], *, threads: int = 1, package: str | None = None
) -> Interpreter:
    """Opens a model in the interpreter and allocates its tensors.

    Args:
        flatbuffer: the model's bytes or its path. It is *not* checked here: `ModelFile.open` does that.
        threads: how many threads the interpreter computes with, 1 or more; at most one for each core, see
            `usable_threads`.
        package: which package to use, see `find_interpreter_package`.

    Raises:
        ModelFileError: if the file cannot be read or the interpreter refuses it.
        StnRectifyError: if no interpreter works in this environment.
        UsageError: if ``threads`` is below 1, or there is no such package.
    """
    if threads < 1:
        raise UsageError(f"threads is {threads}: must be 1 or more")
    threads = usable_threads(threads)
    content = flatbuffer if isinstance(flatbuffer, bytes) else _read(Path(flatbuffer))
    return Interpreter(find_interpreter_package(package), content, threads)


def _refused(package: InterpreterPackage, error: Exception) -> ModelFileError:
    reason = " ".join(str(error).split())
    return ModelFileError(f"{package} cannot run this model ({reason}): convert it again with stn-convert")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ModelFileError(f"cannot read the model file {path}: {error.strerror}") from error
