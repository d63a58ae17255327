"""Checks of arguments: each takes what plainly means the right thing, and names the argument where it is another.

NumPy's numbers and arrays are as good as Python's. A bool is no number, and a float no whole number, not even 2.0:
where one stands, something else was meant.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from os import PathLike
from types import UnionType
from typing import TypeGuard, TypeVar

import numpy as np

from stn_rectify.runtime.errors import UsageError, shown

_Word = TypeVar("_Word", bound=str)


def is_whole(value: object) -> TypeGuard[int]:
    """Tells whether a value is a whole number, Python's or NumPy's; a bool is none."""
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def is_real(value: object) -> TypeGuard[float]:
    """Tells whether a value is a number, Python's or NumPy's, infinite ones and NaN included; a bool is none."""
    return is_whole(value) or isinstance(value, float | np.floating)


def check_whole(name: str, value: object, least: int, most: int | None = None) -> int:
    """Checks an argument that is a whole number.

    Args:
        name: of the argument.
        value: of it.
        least: that it may be.
        most: that it may be; None for any.

    Raises:
        UsageError: if it is something else.
    """
    if not is_whole(value) or value < least or (most is not None and value > most):
        wanted = f"a whole number, {least} or more" if most is None else f"a whole number from {least} to {most}"
        raise UsageError(f"{name} is {shown(value)}: must be {wanted}")
    return int(value)


def check_real(name: str, value: object, wanted: str, *, least: float = -math.inf, most: float = math.inf) -> float:
    """Checks an argument that is a number; NaN is none.

    Args:
        name: of the argument.
        value: of it.
        wanted: what it must be, for the message: ``"a number from 0 to 1"``.
        least: that it may be.
        most: that it may be.

    Raises:
        UsageError: if it is something else.
    """
    if not is_real(value) or not least <= value <= most:
        raise UsageError(f"{name} is {shown(value)}: must be {wanted}")
    return float(value)


def check_positive(name: str, value: object, *, infinite: bool = False) -> float:
    """Checks an argument that is a number above 0.

    Args:
        name: of the argument.
        value: of it.
        infinite: whether infinity is one.

    Raises:
        UsageError: if it is something else.
    """
    if not is_real(value) or not value > 0 or (math.isinf(value) and not infinite):
        raise UsageError(f"{name} is {shown(value)}: must be a number above 0")
    return float(value)


def check_flag(name: str, value: object) -> bool:
    """Checks an argument that is True or False, Python's or NumPy's.

    Raises:
        UsageError: if it is something else.
    """
    if not isinstance(value, bool | np.bool_):
        raise UsageError(f"{name} is {shown(value)}: must be True or False")
    return bool(value)


def check_choice(name: str, value: object, words: Iterable[_Word]) -> _Word:
    """Checks an argument that is one of some words.

    Raises:
        UsageError: if it is something else.
    """
    choices = tuple(words)
    for word in choices:
        if isinstance(value, str) and value == word:
            return word
    raise UsageError(f"{name} is {shown(value)}: choose {_listed([repr(str(word)) for word in choices])}")


def check_path(name: str, value: object, *, is_address: bool = False) -> str | PathLike[str]:
    """Checks an argument that is a path. Bytes, as `os.listdir` gives them, become the name that they stand for.

    Args:
        name: of the argument.
        value: of it.
        is_address: whether it may be an address as well, which is checked where it is opened.

    Raises:
        UsageError: if it is something else, or holds a zero, which no path has.
    """
    if isinstance(value, bytes):
        value = os.fsdecode(value)
    if isinstance(value, PathLike) and isinstance(value.__fspath__(), bytes):
        value = os.fsdecode(value.__fspath__())
    if not isinstance(value, str | PathLike):
        raise UsageError(f"{name} is {shown(value)}: must be a path, as text or a pathlib.Path")
    if not is_address and "\0" in os.fspath(value):
        raise UsageError(f"{name} is {shown(os.fspath(value))}: has a zero in it, which no path has")
    return value


def check_text(name: str, value: object) -> str:
    """Checks an argument that is a text.

    Raises:
        UsageError: if it is something else.
    """
    if not isinstance(value, str):
        raise UsageError(f"{name} is {shown(value)}: must be a text (str)")
    return value


def check_instance(name: str, value: object, kind: type | UnionType, wanted: str) -> None:
    """Checks an argument that is an object of a class.

    Args:
        name: of the argument.
        value: of it.
        kind: the class, or several.
        wanted: what it must be, for the message: ``"a MissRule"``.

    Raises:
        UsageError: if it is something else.
    """
    if not isinstance(value, kind):
        raise UsageError(f"{name} is {shown(value)}: must be {wanted}")


def _listed(words: list[str]) -> str:
    return " or ".join(words) if len(words) == 2 else ", ".join(words)
