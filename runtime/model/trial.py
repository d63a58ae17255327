"""The first time that a model is opened: in a process of its own, where it can do no harm.

`check_graph` finds most of what makes an interpreter crash, but not all. So a file that did not come with this package
is tried once, on frames of all kinds, before it is opened here; the cache of the user remembers that it went well.
"""

from __future__ import annotations

import hashlib
import logging
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from stn_rectify.runtime.errors import ModelFileError, warn
from stn_rectify.runtime.model import trial_child
from stn_rectify.runtime.model.interpreter import (
    Interpreter,
    InterpreterPackage,
    find_interpreter_package,
    module_name,
    open_interpreter,
)
from stn_rectify.runtime.model.limits import ModelLimits

_LOG = logging.getLogger(__name__)

_PATIENCE_S = 300.0  # a slow computer that runs the largest network five times; a limit, no measure
_SPACE_BYTES = 1 << 29  # that an interpreter takes beside twice its tensors: code, threads, packed weights
#: A trial that looks at more than those before has another number: what was remembered of them counts no longer.
_TRIAL = 1


def open_tried(
    flatbuffer: bytes,
    *,
    noun: str,
    path: Path,
    threads: int,
    limits: ModelLimits | None = None,
    is_trusted: bool = False,
) -> Interpreter:
    """Opens a model in the interpreter, after it has been opened once in another process.

    Args:
        flatbuffer: the model, checked.
        noun: what messages call the file.
        path: of the file.
        threads: that the interpreter computes with.
        limits: what the model may need; None for the default ones.
        is_trusted: whether no trial is needed: the file came with this package.

    Raises:
        ModelFileError: if the interpreter refuses the model or dies of it.
        StnRectifyError: if no interpreter works in this environment.
    """
    package = find_interpreter_package()
    if not is_trusted:
        try:
            _try(flatbuffer, package, limits or ModelLimits())
        except ModelFileError as error:
            raise ModelFileError(f"{noun} file {path}: {error}") from None
    return open_interpreter(flatbuffer, threads=threads, package=package.name)


def cache_folder() -> Path | None:
    """The folder in which this program remembers what it need not find out again; None if the user has none."""
    root = os.environ.get("XDG_CACHE_HOME") or os.environ.get("LOCALAPPDATA")
    if root and os.path.isabs(root):
        return Path(root) / "stn-rectify"
    try:
        return Path.home() / ".cache" / "stn-rectify"
    except RuntimeError:
        return None


def _try(flatbuffer: bytes, package: InterpreterPackage, limits: ModelLimits) -> None:
    """Tries a model, unless it has been tried.

    Raises:
        ModelFileError: if the interpreter refuses it or dies of it.
    """
    folder = cache_folder()
    name = f"{_TRIAL}-{package.name}-{package.version}-{hashlib.sha256(flatbuffer).hexdigest()}"
    remembered = None if folder is None else folder / "tried" / name
    with suppress(OSError):
        if remembered is not None and remembered.exists():
            return
    if not _goes_well(flatbuffer, package, limits) or remembered is None:
        return
    try:
        remembered.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        remembered.touch()
    except OSError as error:
        _LOG.debug("cannot remember that a model has been tried: %s", error)


def _goes_well(flatbuffer: bytes, package: InterpreterPackage, limits: ModelLimits) -> bool:
    """Tries a model; False if no process can be had.

    Raises:
        ModelFileError: if the interpreter refuses it or dies of it.
    """
    if getattr(sys, "frozen", False) or not Path(sys.executable or "").name.lower().startswith(("python", "pypy")):
        # Of an app that is one program, or a server with Python in it: it would start itself once more.
        warn(f"a model is opened without a trial, as {sys.executable!r} is no Python that runs it")
        return False
    space = 2 * limits.tensor_bytes + len(flatbuffer) + _SPACE_BYTES
    command = [sys.executable, trial_child.__file__, module_name(package), str(space)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    try:
        done = subprocess.run(
            command,
            input=flatbuffer,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            timeout=_PATIENCE_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ModelFileError(
            f"{package} was not done with this model after {_PATIENCE_S:g} s: give a smaller one"
        ) from None
    except OSError as error:
        warn(f"a model is opened without a trial, as no process can be started ({error})")
        return False
    lines = done.stdout.decode("utf-8", "replace").splitlines()
    if trial_child.READY not in lines:
        warn(f"a model is opened without a trial: {command[0]} does not start as it is started here")
        return False
    if done.returncode:
        raise ModelFileError(
            f"{package} dies of this model ({_cause(done.returncode)}), as a trial in another process showed: it is "
            "damaged or was made to do harm: give another file"
        )
    if lines[-1] != trial_child.DONE:
        raise ModelFileError(f"{package} cannot run this model ({lines[-1]}): convert it again with stn-convert")
    return True


def _cause(status: int) -> str:
    try:
        return signal.Signals(-status).name
    except ValueError:
        return f"status {status}"
