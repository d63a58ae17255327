"""What image libraries print by themselves, as lines that can be told with the name of the image."""

from __future__ import annotations

import ctypes
import logging
import os
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import cv2
from PIL import Image

_heard = threading.local()
_LONGEST = 300  # characters of a message of libtiff
_PILLOW = os.path.dirname(Image.__file__)


@contextmanager
def library_messages() -> Iterator[list[str]]:
    """Gives a list that what Pillow logs and warns of and libtiff prints in this thread goes to, within the block.

    libtiff writes to file descriptor 2 by itself, hundreds of lines for a damaged fax. Elsewhere and in other threads
    all three go on as they were.
    """
    _listen()
    _hear_warnings()
    outer, messages = getattr(_heard, "messages", None), list[str]()
    _heard.messages = messages
    try:
        yield messages
    finally:
        _heard.messages = outer


@contextmanager
def quiet_opencv() -> Iterator[None]:
    """Keeps what OpenCV logs of damaged images to itself within the block: its callers say it in one line."""
    level = _opencv_logging().getLogLevel()
    silence_opencv()
    try:
        yield
    finally:
        _opencv_logging().setLogLevel(level)


def silence_opencv() -> None:
    """Keeps what OpenCV logs to itself from now on, in the whole process."""
    _opencv_logging().setLogLevel(0)


def _opencv_logging() -> Any:
    opencv: Any = cv2
    return opencv if hasattr(opencv, "setLogLevel") else opencv.utils.logging  # 4.14 has it elsewhere


def summed_up(messages: list[str]) -> str:
    """The first of some messages, and how many more there are."""
    more = f" (and {len(messages) - 1} more)" if len(messages) > 1 else ""
    return f"{messages[0]}{more}" if messages else ""


@cache
def _listen() -> None:
    """Sets the handlers, once in a process."""
    logging.getLogger("PIL").addHandler(_Handler(logging.WARNING))
    pillow: Any = Image
    try:
        set_handler = ctypes.CDLL(pillow.core.__file__).TIFFSetErrorHandler
    except (AttributeError, OSError, TypeError):  # a Pillow without libtiff, or one that hides it
        return
    set_handler.argtypes, set_handler.restype = [ctypes.c_void_p], ctypes.c_void_p
    set_handler(ctypes.cast(_ON_TIFF_ERROR, ctypes.c_void_p))


def _hear_warnings() -> None:
    """Looks at Python's warnings first, from now on; again after a `warnings.catch_warnings`, which undoes it."""
    show: Any = warnings.showwarning
    if isinstance(show, _ShowWarning):
        return
    warnings.filterwarnings("always", module=r"PIL\.", append=True)  # else the second file would not be named
    warnings.showwarning = _ShowWarning(show)


class _ShowWarning:
    """Takes the warnings of Pillow; without a listener, and those of others, go where they would."""

    def __init__(self, show: Any) -> None:
        self._show = show

    def __call__(
        self, message: Warning | str, category: type[Warning], filename: str, *more: Any, **named: Any
    ) -> None:
        messages = getattr(_heard, "messages", None)
        if messages is not None and os.path.dirname(filename) == _PILLOW:
            messages.append(" ".join(str(message).split()))
        else:
            self._show(message, category, filename, *more, **named)


class _Handler(logging.Handler):
    """Pillow's log records; without a listener they go where they would without this handler."""

    def emit(self, record: logging.LogRecord) -> None:
        messages = getattr(_heard, "messages", None)
        if messages is not None:
            messages.append(record.getMessage())
        elif not logging.getLogger().handlers and logging.lastResort is not None:
            logging.lastResort.handle(record)


def _on_tiff_error(module: Any, form: Any, arguments: Any) -> None:
    text = ctypes.create_string_buffer(_LONGEST)
    ctypes.CDLL(None).vsnprintf(text, ctypes.c_size_t(_LONGEST), ctypes.c_void_p(form), ctypes.c_void_p(arguments))
    message = text.value.decode(errors="replace").strip()
    messages = getattr(_heard, "messages", None)
    if messages is not None:
        messages.append(message)
    else:
        print(f"{(module or b'TIFF').decode(errors='replace')}: {message}", file=sys.stderr)


# A va_list is handed on as a pointer by the ABIs of x86 and ARM, 32 and 64 bits.
_ON_TIFF_ERROR = ctypes.CFUNCTYPE(None, ctypes.c_char_p, ctypes.c_void_p, ctypes.c_void_p)(_on_tiff_error)
