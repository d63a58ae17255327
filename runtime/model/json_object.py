"""A JSON object whose values are taken out with their type, or refused by name."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from stn_rectify.runtime.errors import DataError

__all__ = ["JsonObject"]


class JsonObject:
    """Takes values out with their type; raises a DataError that names file, key and value where there is another.

    Args:
        values: the object as `json.loads` gives it.
        file: where it stands, for messages, such as ``"metadata.json"``.
        where: the keys that lead to it, each with a dot behind it; empty for the whole file.
    """

    def __init__(self, values: Mapping[str, Any], file: str, where: str = "") -> None:
        self._values, self._file, self._where = values, file, where

    def child(self, key: str) -> JsonObject:
        """An object in this one."""
        value = self._get(key)
        if not isinstance(value, dict):
            raise self._wrong(key, "an object")
        return JsonObject(value, self._file, f"{self._where}{key}.")

    def text(self, key: str, *choices: str) -> str:
        """A text; one of the choices, if there are any."""
        value = self._get(key)
        if not isinstance(value, str) or (choices and value not in choices):
            raise self._wrong(key, " or ".join(choices) or "a text")
        return value

    def texts(self) -> dict[str, str]:
        """All values, which must be texts."""
        return {key: self.text(key) for key in self._values}

    def integer(self, key: str, minimum: int = 0, maximum: int = 2**53) -> int:
        """A whole number, ends included."""
        value = self._get(key)
        if not isinstance(value, int) or isinstance(value, bool) or not minimum <= value <= maximum:
            raise self._wrong(key, f"a whole number from {minimum} to {maximum}")
        return value

    def number(self, key: str, minimum: float, maximum: float) -> float:
        """A number, ends included."""
        value = self._get(key)
        if not _is_number(value) or not minimum <= value <= maximum:
            raise self._wrong(key, f"a number from {minimum:g} to {maximum:g}")
        return float(value)

    def positive(self, key: str) -> float:
        """A number above 0."""
        value = self._get(key)
        if not _is_number(value) or value <= 0:
            raise self._wrong(key, "a number above 0")
        return float(value)

    def pair(self, key: str) -> tuple[float, float]:
        """A list of two numbers."""
        value = self._get(key)
        if not isinstance(value, list) or len(value) != 2 or not all(map(_is_number, value)):
            raise self._wrong(key, "two numbers")
        return float(value[0]), float(value[1])

    def is_null(self, key: str, *, missing: bool = False) -> bool:
        """Whether the value is null; with ``missing`` also whether it is not there."""
        return (missing and key not in self._values) or self._get(key) is None

    def expect_null(self, key: str, where: str) -> None:
        """Refuses any value but null; ``where`` says when only null is right."""
        if not self.is_null(key):
            raise self._wrong(key, f"null {where}")

    def _get(self, key: str) -> Any:
        if key not in self._values:
            raise DataError(f"{self._file} lacks {self._where}{key}")
        return self._values[key]

    def _wrong(self, key: str, expected: str) -> DataError:
        return DataError(f"{self._file}: {self._where}{key} is {self._values[key]!r:.60}, expected {expected}")


def _is_number(value: object) -> bool:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # JSON's whole numbers have no bound, a float has
        return False
