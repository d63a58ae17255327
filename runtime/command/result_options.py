"""Where results go: the options, and the sinks they ask for."""

from __future__ import annotations

import argparse

from stn_rectify.runtime.command.option_types import whole_number
from stn_rectify.runtime.sinks import JsonlSink, ResultSink, SaveSink

__all__ = ["add_result_options", "check_result_options", "make_sinks"]


def add_result_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options of results."""
    group = parser.add_argument_group("results")
    group.add_argument("--jsonl", metavar="FILE|-", help="append one JSON object per frame; - is standard output")
    group.add_argument("--save", metavar="DIR", help="save the rectified image and a before/after picture per frame")
    group.add_argument("--frames", type=whole_number(1), metavar="N", help="stop after N frames")


def check_result_options(arguments: argparse.Namespace) -> None:
    """Checks what no option can know of itself.

    Raises:
        UsageError: options do not go together.
    """


def make_sinks(arguments: argparse.Namespace) -> list[ResultSink]:
    """The sinks that the options ask for; each is a context manager."""
    sinks: list[ResultSink] = []
    if arguments.jsonl is not None:
        sinks.append(JsonlSink(arguments.jsonl))
    if arguments.save is not None:
        sinks.append(SaveSink(arguments.save))
    return sinks
