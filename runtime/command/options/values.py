"""The values of options: each function turns a text into a value, or says what is wrong with it.

`str` of a value gives its text again.
"""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass

from stn_rectify.runtime.command.parsing.parser import number
from stn_rectify.runtime.errors import UsageError
from stn_rectify.runtime.model.metadata import MAX_MARGIN
from stn_rectify.runtime.sinks import VIDEO_SUFFIXES, MqttAddress
from stn_rectify.runtime.sources.addresses import HIDDEN, is_url, without_secrets

#: Where the pixels of a rectified image come from.
PIXEL_SOURCES = ("frame", "model")

_UNITS = {"M": 10**6, "G": 10**9, "T": 10**12}


class Size(tuple[int, int]):
    """Width and height, written as ``320x240``."""

    def __str__(self) -> str:
        return f"{self[0]}x{self[1]}"


@dataclass(frozen=True)
class Count:
    """A large number, as it was written, such as ``500M``, and as a number."""

    text: str
    number: int

    def __str__(self) -> str:
        return self.text


class Region(tuple[float, float, float, float]):
    """X, y, width and height, written with commas."""

    def __str__(self) -> str:
        return ",".join(map(repr, self))


def size(text: str) -> Size:
    """``320x240``; ``320x`` and ``x240`` leave the other side, 0, to the target."""
    width, cross, height = text.lower().partition("x")
    if not cross or not (width + height).isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not WIDTHxHEIGHT, such as 320x240, 320x or x240")
    return Size((int(width or 0), int(height or 0)))


#: Frames per second.
rate = number("a number of frames per second", lambda value: 0 < value < 10000)
#: A time above 0.
seconds = number("a number of seconds above 0", lambda value: 0 < value < math.inf)
#: A time between two things, 0 for none.
interval = number("a number of seconds from 0", lambda value: 0 <= value < math.inf)
#: A frequency, Hz.
cutoff = number("a number of Hz above 0", lambda value: 0 < value < math.inf)

#: What an image shows around its target, as a share of the target's sides.
target_margin = number(f"a number from 0 to {MAX_MARGIN:g}", lambda value: 0 <= value <= MAX_MARGIN)


def byte_count(text: str) -> Count:
    """``500M``, ``2G``: millions, billions of bytes, never without the letter."""
    count = _count(text)
    if count.number < 10**6 or text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a size from 1M, such as 500M or 2G")
    return count


def pixel_count(text: str) -> Count:
    """``70M``, ``1.5G``, ``80000000``."""
    count = _count(text)
    if count.number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of pixels, such as 70M or 200M")
    return count


def _count(text: str) -> Count:
    """The count that a text is; 0 if it is none."""
    unit = _UNITS.get(text[-1:].upper())
    try:
        return Count(text, round(float(text[:-1]) * unit) if unit else int(text))
    except (ValueError, OverflowError):
        return Count(text, 0)


def output(text: str) -> str:
    """One of `PIXEL_SOURCES`, or the name of a video file."""
    if is_url(text):
        raise argparse.ArgumentTypeError(f"{without_secrets(text)!r} is an address: a video is written to a file")
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


def region(text: str) -> Region:
    """``X,Y,W,H``; whether it lies in the frame, `FrameView` checks."""
    try:
        x, y, width, height = (float(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not X,Y,W,H, such as 0.25,0.25,0.5,0.5") from None
    return Region((x, y, width, height))
