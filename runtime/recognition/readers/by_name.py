"""Opens the recognizer that a name means: a file, a bundled one, an engine, a function, another package's."""

from __future__ import annotations

import importlib
import inspect
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import metadata
from os import PathLike
from typing import Any

from stn_rectify.runtime.arrays import Image
from stn_rectify.runtime.checks import check_path
from stn_rectify.runtime.errors import ModelFileError, StnRectifyError, UsageError, first_line
from stn_rectify.runtime.model.limits import ModelLimits
from stn_rectify.runtime.recognition.readers.ocr_engine import TextKind, check_text_kind
from stn_rectify.runtime.recognition.readers.rapidocr import RapidOcrRecognizer
from stn_rectify.runtime.recognition.readers.tesseract import TesseractRecognizer
from stn_rectify.runtime.recognition.recognition import ImageRecognizer, Recognized
from stn_rectify.runtime.recognition.recognizer import Recognizer

#: Where other packages name their recognizers.
ENTRY_POINTS = "stn_rectify.recognizers"
#: OCR engines, by the names that they are called by.
ENGINES: dict[str, Callable[..., ImageRecognizer]] = {
    "rapidocr": RapidOcrRecognizer,
    "tesseract": TesseractRecognizer,
}
_FUNCTION = re.compile(r"[^\W\d][\w.]*:[^\W\d][\w.]*")


def load_recognizer(
    name: str | PathLike[str],
    *,
    threads: int = 1,
    text: TextKind | None = None,
    labels: str | PathLike[str] | Sequence[str] | None = None,
    beam_width: int = 1,
    sha256: str | None = None,
    limits: ModelLimits | None = None,
) -> ImageRecognizer:
    """Opens a recognizer by its name.

    Args:
        name: an engine, ``"rapidocr"`` or ``"tesseract"``, also where a file has that name (``"./rapidocr"`` is the
            file); a .tflite file; ``"package.module:function"``, a function of an image or an object or class with a
            method ``recognize``, looked for in the working directory, too; a name of the entry-point group
            ``stn_rectify.recognizers``, whose object is the same; the name of a bundled file, such as ``"digits"``.
        threads: that networks compute with, 1 or more.
        text: what is written on a target, ``"line"`` (None) or ``"block"``. For engines, and for classes of others
            that take an argument of this name.
        labels: of a .tflite file; see `Recognizer`.
        beam_width: of a .tflite file; see `Recognizer`.
        sha256: of a .tflite file; see `Recognizer`.
        limits: of a .tflite file; see `Recognizer`.

    Returns:
        A `Recognizer`, or an object with a method ``recognize``. What has a method ``close`` wants to be closed.

    Raises:
        ModelFileError: if a file is missing, damaged or no recognizer.
        UsageError: if a function cannot be found or is none, or an argument does not fit the recognizer.
        StnRectifyError: if something that it needs is not installed.

    Example:
        >>> recognizer = load_recognizer("rapidocr", text="block")  # doctest: +SKIP
        >>> Pipeline(rectifier, recognizer=recognizer)  # doctest: +SKIP
    """
    if text is not None:
        text = check_text_kind(text)
    name = check_path("recognizer", name)
    word, found = os.fspath(name), _no_file(name)
    if found is None:
        if text is not None:
            raise UsageError(f"recognizer {word!r} reads what its network was trained on: leave text (--text) out")
        try:
            return Recognizer(name, threads=threads, labels=labels, beam_width=beam_width, sha256=sha256, limits=limits)
        except ModelFileError as error:
            if isinstance(name, str) and name.isidentifier():  # and no path
                brought = sorted(entry.name for entry in metadata.entry_points(group=ENTRY_POINTS))
                raise ModelFileError(f"{error}; engines: {', '.join([*ENGINES, *brought])}") from error
            raise
    for argument, option, is_given in (
        ("labels", "labels", labels is not None),
        ("beam_width", "beam-width", beam_width != 1),
        ("sha256", "recognizer-sha256", sha256 is not None),
    ):
        if is_given:
            raise UsageError(
                f"recognizer {word!r} is no .tflite file, which {argument} (--{option}) is for: leave it out"
            )
    return _made(word, found, threads, text)


def _no_file(name: str | PathLike[str]) -> Any:
    """What a name means that is no file's; None if it may be one's, or a bundled recognizer's."""
    if not isinstance(name, str):
        return None
    if name in ENGINES:
        return ENGINES[name]
    if os.path.isfile(name):
        return None
    return _imported(name) if _FUNCTION.fullmatch(name) else _of_other_packages(name)


def _made(name: str, found: Any, threads: int, text: TextKind | None) -> ImageRecognizer:
    """A recognizer of a class, a function or an object, with those of our arguments that a class takes."""
    wanted = {"threads": threads} | ({} if text is None else {"text": text})
    if not inspect.isclass(found):
        if text is not None:
            raise UsageError(f"recognizer {name!r} is a function and takes no text (--text): leave it out")
        return as_recognizer(found, name)
    try:
        taken = dict(inspect.signature(found).parameters)
    except (TypeError, ValueError):
        taken = {}
    is_open = any(parameter.kind is parameter.VAR_KEYWORD for parameter in taken.values())
    if text is not None and "text" not in taken and not is_open:
        raise UsageError(f"recognizer {name!r} takes no text (--text): leave it out")
    try:
        made = found(**{key: value for key, value in wanted.items() if key in taken or (is_open and key == "text")})
    except StnRectifyError:
        raise
    except Exception as error:
        raise StnRectifyError(
            f"the recognizer {name!r} cannot be made ({type(error).__name__}: {first_line(error)})"
        ) from error
    return as_recognizer(made, name)


class _Function:
    """A function as an object with a method."""

    def __init__(self, read: Callable[[Image], Recognized], name: str) -> None:
        self._read, self.description = read, f"function {name}"
        self.image_size = getattr(read, "image_size", None)

    def recognize(self, image: Image) -> Recognized:
        return self._read(image)


def as_recognizer(found: Any, name: str) -> ImageRecognizer:
    """A function or an object with a method ``recognize`` as the latter.

    Raises:
        UsageError: if it is neither.
    """
    if callable(getattr(found, "recognize", None)):
        recognizer: ImageRecognizer = found
        return recognizer
    if callable(found):
        return _Function(found, name)
    raise UsageError(
        f"{name!r} is {type(found).__name__}, no recognizer: name a function of an image, or an object with recognize()"
    )


def _imported(name: str) -> Any:
    module_name, _, path = name.partition(":")
    with _working_directory_first():
        try:
            found: Any = importlib.import_module(module_name)
        except ModuleNotFoundError as error:
            if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
                needs = f"its module needs {error.name}, which is not installed: pip install it"
                raise UsageError(f"recognizer {name!r}: {needs}") from error
            raise UsageError(
                f"recognizer {name!r}: there is no module {error.name!r} here nor among what is installed: run in its "
                "folder, or install it"
            ) from error
        except Exception as error:  # whatever the module does
            raise UsageError(
                f"recognizer {name!r}: its module cannot be imported ({type(error).__name__}: {first_line(error)})"
            ) from error
    for part in path.split("."):
        if not hasattr(found, part):
            raise UsageError(f"recognizer {name!r}: {module_name} has no {path!r}: name one of its functions")
        found = getattr(found, part)
    return found


@contextmanager
def _working_directory_first() -> Iterator[None]:
    """A script's folder is where its modules are looked for; that of an installed command is where it lies."""
    here = os.getcwd()
    sys.path.insert(0, here)
    try:
        yield
    finally:
        sys.path.remove(here)


def _of_other_packages(name: str) -> Any:
    """What another package has for a name; None if none has."""
    found = metadata.entry_points(group=ENTRY_POINTS, name=name)
    for entry in found:
        try:
            return entry.load()
        except Exception as error:  # whatever the package does
            package = entry.dist.name if entry.dist is not None else entry.value
            raise StnRectifyError(
                f"the recognizer {name!r} of {package} cannot be loaded ({type(error).__name__}: {first_line(error)})"
            ) from error
    return None
