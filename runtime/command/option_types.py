"""What an option takes: each function turns its text into a value, or says what is wrong with it.

The return types tell a configuration file what to expect; `str` of a value gives its text again.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

__all__ = ["Region", "Size", "rate", "region", "share", "size", "whole_number"]


def whole_number(low: int) -> Callable[[str], int]:
    """A whole number from ``low``."""

    def parse(text: str) -> int:
        number = int(text) if text.isdecimal() else -1
        if number < low:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {low}")
        return number

    return parse


class Size(tuple[int, int]):
    """Width and height, written as ``320x240``."""

    def __str__(self) -> str:
        return f"{self[0]}x{self[1]}"


class Region(tuple[float, ...]):
    """X, y, width and height, written with commas."""

    def __str__(self) -> str:
        return ",".join(map(repr, self))


def size(text: str) -> Size:
    """``320x240``."""
    width, _, height = text.lower().partition("x")
    try:
        return Size((int(width), int(height)))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not WIDTHxHEIGHT, such as 320x240") from None


def rate(text: str) -> float:
    """Frames per second."""
    try:
        rate = float(text)
    except ValueError:
        rate = 0.0
    if not 0 < rate < 10000:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of frames per second")
    return rate


def share(text: str) -> float:
    """A number from 0 to 1."""
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to 1")
    return share


def region(text: str) -> Region:
    """``X,Y,W,H``; whether it lies in the frame, `FrameView` checks."""
    try:
        return Region(float(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not X,Y,W,H, such as 0.25,0.25,0.5,0.5") from None
