"""An interpreter in a process of its own, where TensorFlow was never imported.

With TensorFlow in the process tflite-runtime runs TensorFlow's kernels (see `object_tree.py`), and a model that crashes
the interpreter would take the converter with it. `multiprocessing` would import the main program's file again in a
child, and with it TensorFlow, if that imports it; so the child is a Python that was told what to import.
"""

from __future__ import annotations

import contextlib
import importlib.util
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection, Pipe
from typing import Any

import numpy as np

from stn_rectify.runtime.arrays import Array, FloatArray
from stn_rectify.runtime.closing import Closing
from stn_rectify.runtime.errors import ModelFileError, StnRectifyError
from stn_rectify.runtime.model.interpreter import find_interpreter_package, open_interpreter
from stn_rectify.runtime.model.model_file import SIGNATURE

Arrays = dict[str, Array]

_MODULES = {"tflite-runtime": "tflite_runtime", "ai-edge-litert": "ai_edge_litert"}
#: What the child is told: to look for modules where its parent does, and to serve.
_CHILD = "import sys; sys.path[:] = {path!r}; from {module} import serve; serve({pipe}, {package!r})"
_END_TIMEOUT_S = 5
_WARM_UPS = 3
_MOST_ROUNDS = 400


@dataclass(frozen=True)
class InterpreterNode:
    """A node of the graph that an interpreter made of a file: the file's operators, then those of its delegates.

    Attributes:
        operator: the operator's name, ``DELEGATE`` for a part of the graph that a delegate runs as one node.
        inputs: tensors by number, constants among them.
        outputs: tensors by number.
    """

    operator: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


def installed_packages() -> list[str]:
    """The interpreter packages of this environment."""
    return [package for package, module in _MODULES.items() if importlib.util.find_spec(module)]


#: Processes at rest, by what was asked for, while there is a block of `interpreters_kept`; None outside of it.
_resting: dict[str | None, IsolatedInterpreter] | None = None


@contextmanager
def interpreters_kept() -> Iterator[None]:
    """Keeps the processes of interpreters that are closed in the block, for the next that asks for the same package.

    A start of Python costs more than most of what is asked. One that died of a model, or was left without an answer, is
    not kept.
    """
    global _resting
    outer, _resting = _resting, {}
    try:
        yield
    finally:
        kept, _resting = _resting, outer
        for interpreter in kept.values():
            interpreter.end()


def _chosen(package: str | None) -> str | None:
    """The package that is meant; None where the runtime chooses one of several."""
    installed = installed_packages()
    return installed[0] if package is None and len(installed) == 1 else package


class IsolatedInterpreter(Closing):
    """A child process that holds one interpreter; a context manager.

    Args:
        package: ``"tflite-runtime"``, ``"ai-edge-litert"`` or None for the runtime's own choice.

    Raises:
        StnRectifyError: if the package cannot be imported.
    """

    #: Name and version of the interpreter's package.
    package: str
    _pipe: Connection
    _process: subprocess.Popen[bytes]

    def __init__(self, package: str | None = None) -> None:
        self._wanted, self._is_waiting, self._is_open = _chosen(package), False, True
        rested = None if _resting is None else _resting.pop(self._wanted, None)
        if rested is not None:
            self._pipe, self._process, self.package = rested._pipe, rested._process, rested.package
            return
        self._pipe, theirs = Pipe()
        with theirs:
            code = _CHILD.format(path=sys.path, module=__name__, pipe=theirs.fileno(), package=package)
            words = [sys.executable, "-c", code]
            self._process = subprocess.Popen(words, stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()])
        self.package = self._answer()

    def close(self) -> None:
        """Ends the process, or lets it rest (`interpreters_kept`)."""
        if not self._is_open:
            return
        self._is_open = False
        if _resting is None or self._wanted in _resting or self._is_waiting:
            self.end()
            return
        with contextlib.suppress(ModelFileError):
            self._ask("rest", None)
            _resting[self._wanted] = self
            return
        self.end()

    def end(self) -> None:
        """Ends the process in any case."""
        self._pipe.close()
        if self._status() is None:
            self._process.kill()
            self._process.wait()

    def load(self, flatbuffer: bytes) -> None:
        """Opens a model.

        Raises:
            ModelFileError: if the interpreter refuses it or dies of it.
        """
        self._ask("load", flatbuffer)

    def run(self, inputs: Arrays, signature: str = SIGNATURE) -> Arrays:
        """One inference; inputs and outputs by the names in the signature.

        Args:
            inputs: by name.
            signature: which of the model's, and so which of its networks.

        Raises:
            ModelFileError: if the interpreter reports an error or dies.
        """
        result: Arrays = self._ask("run", (inputs, signature))
        return result

    def nodes(self) -> list[InterpreterNode]:
        """The nodes of the loaded model, as the interpreter runs it.

        Raises:
            ModelFileError: if the interpreter has no list of them.
        """
        nodes: list[InterpreterNode] = self._ask("nodes", None)
        return nodes

    def time(
        self,
        models: Sequence[tuple[bytes, Array]],
        rounds: int = 50,
        budget_s: float = 0.5,
    ) -> FloatArray:
        """Runs models of one input in turns, so that whatever else the machine does meets all of them.

        Processor time of this process, not the clock: while others use the machine a turn's time on the clock is mostly
        theirs (a ratio of medians came out at a third of its value). With one thread both are the same when it is idle.

        Args:
            models: flatbuffer and input of each.
            rounds: at least so many turns.
            budget_s: and more of them until this time is over.

        Returns:
            [rounds, models], seconds of processor time an inference took.

        Raises:
            ModelFileError: if the interpreter refuses a model or dies of it.
        """
        seconds: FloatArray = self._ask("time", (list(models), rounds, budget_s))
        return seconds

    def _ask(self, request: str, argument: Any) -> Any:
        self._is_waiting = True
        with contextlib.suppress(OSError):  # if it is dead no answer comes either, and that is reported
            self._pipe.send((request, argument))
        return self._answer()

    def _answer(self) -> Any:
        try:
            answer = self._pipe.recv()
        except (EOFError, OSError):
            raise ModelFileError(f"the interpreter died (status {self._status()}) on this model") from None
        self._is_waiting = False
        if isinstance(answer, StnRectifyError):
            raise answer
        return answer

    def _status(self) -> int | None:
        """How the process ended, as `subprocess` says it, if it does within some seconds; else None."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self._process.wait(_END_TIMEOUT_S)
        return None


class _Session:
    """The work of the child process; a method for each request."""

    def __init__(self, package: str | None) -> None:
        self._package = package
        self._tflite: Any = None
        self._runners: dict[str, Any] = {}

    def load(self, flatbuffer: bytes) -> None:
        self._tflite = open_interpreter(flatbuffer, threads=1, package=self._package).tflite
        self._runners = {key: self._tflite.get_signature_runner(key) for key in self._tflite.get_signature_list()}

    def run(self, request: tuple[Arrays, str]) -> Arrays:
        inputs, signature = request
        return {name: np.array(value) for name, value in self._runners[signature](**inputs).items()}

    def rest(self, _: None) -> None:
        self._tflite, self._runners = None, {}

    def nodes(self, _: None) -> list[InterpreterNode]:
        # Private, but the only way to see what the delegates took.
        return [
            InterpreterNode(
                str(node["op_name"]), tuple(int(t) for t in node["inputs"]), tuple(int(t) for t in node["outputs"])
            )
            for node in self._tflite._get_ops_details()
        ]

    def time(self, request: tuple[list[tuple[bytes, Array]], int, float]) -> FloatArray:
        models, rounds, budget_s = request
        opened = []
        for flatbuffer, value in models:
            tflite = open_interpreter(flatbuffer, threads=1, package=self._package).tflite
            tflite.set_tensor(tflite.get_input_details()[0]["index"], value)
            for _ in range(_WARM_UPS):
                tflite.invoke()
            opened.append(tflite)
        seconds: list[list[float]] = []
        end = time.perf_counter() + budget_s
        while len(seconds) < rounds or (len(seconds) < _MOST_ROUNDS and time.perf_counter() < end):
            turn = [0.0] * len(opened)
            # Every other round the other way round: none is always the one after the other.
            for k in range(len(opened)) if len(seconds) % 2 else reversed(range(len(opened))):
                start = time.process_time()
                opened[k].invoke()
                turn[k] = time.process_time() - start
            seconds.append(turn)
        return np.array(seconds)


def serve(number: int, package: str | None) -> None:
    """The child process: answers requests until the other end of the pipe closes.

    Args:
        number: file descriptor of its end of the pipe, which it inherited.
        package: the interpreter, see `IsolatedInterpreter`.
    """
    pipe = Connection(number)
    try:
        pipe.send(str(find_interpreter_package(package)))
        session = _Session(package)
        while True:
            request, argument = pipe.recv()
            try:
                pipe.send(getattr(session, request)(argument))
            except StnRectifyError as error:
                pipe.send(error)
            except Exception as error:  # whatever the interpreter raises is about the model
                pipe.send(ModelFileError(f"{type(error).__name__}: {' '.join(str(error).split())}"))
    except StnRectifyError as error:
        pipe.send(error)
    except (EOFError, KeyboardInterrupt):
        pass
