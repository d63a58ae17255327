"""What the options of `stn-train` take, for argparse: each turns a text into a value or says what is wrong with it."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable

__all__ = ["positive_float", "shape", "whole_number"]


def shape(dimensions: int) -> Callable[[str], tuple[int, ...]]:
    """Sizes like ``64x64x3``."""

    def parse(text: str) -> tuple[int, ...]:
        sizes = tuple(int(part) if part.isdecimal() else 0 for part in text.lower().split("x"))
        if len(sizes) != dimensions or min(sizes) < 1:
            raise argparse.ArgumentTypeError(f"{text!r} is not of the form {'x'.join(['64', '64', '3'][:dimensions])}")
        return sizes

    return parse


def whole_number(low: int, high: int | None = None) -> Callable[[str], int]:
    """A whole number, ends included."""

    def parse(text: str) -> int:
        number = int(text) if text.isdecimal() else -1
        if number < low or (high is not None and number > high):
            to = "" if high is None else f" to {high}"
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {low}{to}")
        return number

    return parse


def positive_float(text: str) -> float:
    """A number above 0."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return number
