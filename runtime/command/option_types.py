"""What an option takes: each function turns its text into a value, or says what is wrong with it.

The return types tell a configuration file what to expect; `str` of a value gives its text again.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from dataclasses import dataclass

from stn_rectify.runtime.errors import UsageError
from stn_rectify.runtime.sinks import VIDEO_SUFFIXES, MqttAddress
from stn_rectify.runtime.sources.video import HIDDEN, is_url

__all__ = [
    "PIXEL_SOURCES",
    "ByteCount",
    "Region",
    "Size",
    "byte_count",
    "interval",
    "mqtt_address",
    "output",
    "rate",
    "region",
    "seconds",
    "share",
    "size",
    "video",
    "whole_number",
]

#: Where the pixels of a rectified image come from.
PIXEL_SOURCES = ("frame", "model")

_BYTES = {"M": 10**6, "G": 10**9, "T": 10**12}


def whole_number(low: int, high: int | None = None) -> Callable[[str], int]:
    """A whole number from ``low``, to ``high`` if there is one."""
    wanted = f"a whole number from {low}" + ("" if high is None else f" to {high}")

    def parse(text: str) -> int:
        number = int(text) if text.isdecimal() else -1
        if number < low or (high is not None and number > high):
            raise argparse.ArgumentTypeError(f"{text!r} is not {wanted}")
        return number

    return parse


class Size(tuple[int, int]):
    """Width and height, written as ``320x240``."""

    def __str__(self) -> str:
        return f"{self[0]}x{self[1]}"


@dataclass(frozen=True)
class ByteCount:
    """A size on a disk, as it was written, and in bytes."""

    text: str
    number: int

    def __str__(self) -> str:
        return self.text


class Region(tuple[float, ...]):
    """X, y, width and height, written with commas."""

    def __str__(self) -> str:
        return ",".join(map(repr, self))


def size(text: str) -> Size:
    """``320x240``; ``320x`` and ``x240`` leave the other side, 0, to the target."""
    width, cross, height = text.lower().partition("x")
    if not cross or not (width + height).isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not WIDTHxHEIGHT, such as 320x240, 320x or x240")
    return Size((int(width or 0), int(height or 0)))


def rate(text: str) -> float:
    """Frames per second."""
    return _number(text, lambda number: 0 < number < 10000, "a number of frames per second")


def seconds(text: str) -> float:
    """A time above 0."""
    return _number(text, lambda number: 0 < number < math.inf, "a number of seconds above 0")


def interval(text: str) -> float:
    """A time between two things, 0 for none."""
    return _number(text, lambda number: 0 <= number < math.inf, "a number of seconds from 0")


def byte_count(text: str) -> ByteCount:
    """``500M``, ``2G``: millions, billions of bytes."""
    number, unit = text[:-1], text[-1:].upper()
    try:
        count = round(float(number) * _BYTES[unit])
    except (ValueError, KeyError, OverflowError):
        count = 0
    if count < 10**6:
        raise argparse.ArgumentTypeError(f"{text!r} is not a size from 1M, such as 500M or 2G")
    return ByteCount(text, count)


def output(text: str) -> str:
    """One of `PIXEL_SOURCES`, or the name of a video file."""
    if text not in PIXEL_SOURCES and not text.lower().endswith(VIDEO_SUFFIXES):
        endings = ", ".join(VIDEO_SUFFIXES)
        raise argparse.ArgumentTypeError(
            f"{text!r} is neither frame nor model (pixels of the rectified image) nor a video file to write ({endings})"
        )
    return text


def mqtt_address(text: str) -> MqttAddress:
    """``mqtt://…``; its errors keep the password to themselves."""
    try:
        return MqttAddress.parse(text)
    except UsageError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def video(text: str) -> str:
    """A file or a URL; its secrets are not those that `config_text` hid."""
    if is_url(text) and HIDDEN in text:
        raise argparse.ArgumentTypeError(
            f"the URL has {HIDDEN}, as --print-config writes it: put user and password, and what follows the ?, there"
        )
    return text


def share(text: str) -> float:
    """A number from 0 to 1."""
    return _number(text, lambda number: 0 <= number <= 1, "a number from 0 to 1")


def region(text: str) -> Region:
    """``X,Y,W,H``; whether it lies in the frame, `FrameView` checks."""
    try:
        return Region(float(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not X,Y,W,H, such as 0.25,0.25,0.5,0.5") from None


def _number(text: str, fits: Callable[[float], bool], what: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not fits(number):  # as NaN never does
        raise argparse.ArgumentTypeError(f"{text!r} is not {what}")
    return number
