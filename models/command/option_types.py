"""What the options of `stn-train` take, for argparse: each turns a text into a value or says what is wrong with it."""

from __future__ import annotations

import argparse
from collections.abc import Callable

__all__ = ["shape"]


def shape(dimensions: int) -> Callable[[str], tuple[int, ...]]:
    """Sizes like ``64x64x3``."""

    def parse(text: str) -> tuple[int, ...]:
        sizes = tuple(int(part) if part.isdecimal() else 0 for part in text.lower().split("x"))
        if len(sizes) != dimensions or min(sizes) < 1:
            raise argparse.ArgumentTypeError(f"{text!r} is not of the form {'x'.join(['64', '64', '3'][:dimensions])}")
        return sizes

    return parse
