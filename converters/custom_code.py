"""Code of the user's own that a model needs to be loaded: the classes and functions of a Python file."""

from __future__ import annotations

import argparse
import hashlib
import sys
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from stn_rectify.runtime.errors import DataError, first_line

_MODULE = "stn_rectify_custom_objects"


@dataclass(frozen=True)
class CustomCode:
    """A Python file, read but not run.

    Attributes:
        file: its path, for messages; what it imports may lie beside it.
        sha256: of its content.
        source: its text.
    """

    file: str
    sha256: str
    source: str = field(repr=False)

    @classmethod
    def read(cls, file: str) -> CustomCode:
        """Reads a file for the option of that name.

        Raises:
            argparse.ArgumentTypeError: if it cannot be read, or is no Python.
        """
        try:
            data = Path(file).read_bytes()
            compile(data, file, "exec")
            source = data.decode("utf-8-sig")
        except OSError as error:
            raise argparse.ArgumentTypeError(f"{file} cannot be read: {error.strerror or error}") from None
        except (SyntaxError, ValueError) as error:
            raise argparse.ArgumentTypeError(f"{file} is not a Python file: {first_line(error)}") from None
        return cls(file, hashlib.sha256(data).hexdigest(), source)

    def run(self) -> dict[str, Any]:
        """Runs the file, once in a process; gives what it defines or imports, by name.

        Raises:
            DataError: if it raises; the message says in which line.
        """
        module = sys.modules.get(_MODULE)
        if module is not None and vars(module).get("__sha256__") == self.sha256:
            return _objects(module)
        module = ModuleType(_MODULE)
        module.__file__ = self.file
        vars(module)["__sha256__"] = self.sha256
        folder = str(Path(self.file).resolve().parent)
        if folder not in sys.path:
            sys.path.append(folder)
        sys.modules[_MODULE] = module
        try:
            exec(compile(self.source, self.file, "exec"), vars(module))  # nosec B102  # what --custom-objects is for
        except BaseException as error:  # whatever the code raises, SystemExit too
            del sys.modules[_MODULE]
            if isinstance(error, KeyboardInterrupt):
                raise
            lines = [entry.lineno for entry in traceback.extract_tb(error.__traceback__) if entry.filename == self.file]
            place = f", line {lines[-1]}" if lines else ""
            reason = f"{type(error).__name__}: {first_line(error)}"
            raise DataError(f"--custom-objects {self.file}{place} raises {reason}") from error
        return _objects(module)


def _objects(module: ModuleType) -> dict[str, Any]:
    return {name: value for name, value in vars(module).items() if not name.startswith("__")}
