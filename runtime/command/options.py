"""The options of the command ``stn-rectify``: the parser, and options from a file.

What there is stands in the files beside this one, a group in each: `source_options`, `target_options`,
`recognition_options`, `result_options`, `web_options`. Each says what its options are, which go together, and makes
what they ask for.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from importlib import metadata
from typing import Any

from stn_rectify.runtime.command.config_file import config_text, exclusive_groups, read_config
from stn_rectify.runtime.command.parsing import OneLineParser
from stn_rectify.runtime.command.recognition_options import add_recognition_options, check_recognition_options
from stn_rectify.runtime.command.result_options import add_result_options, check_result_options
from stn_rectify.runtime.command.source_options import (
    add_source_options,
    check_source_options,
    source_is_named,
    source_names,
    unused_by_source,
)
from stn_rectify.runtime.command.target_options import add_target_options, check_target_options
from stn_rectify.runtime.command.web_options import add_web_options, check_web_options
from stn_rectify.runtime.errors import StnRectifyError, UsageError
from stn_rectify.runtime.model.interpreter import find_interpreter_package

__all__ = ["PROGRAM", "check_options", "make_parser", "options_as_toml", "parse_options"]

PROGRAM = "stn-rectify"


def make_parser() -> argparse.ArgumentParser:
    """The command's parser. It ends the program with status 2 where an option is wrong by itself."""
    parser = OneLineParser(
        prog=PROGRAM,
        description="Makes what a camera sees at an angle upright.",
        epilog=f"{PROGRAM} doctor examines this machine: what is installed, the cameras, the disk.",
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print this version and the interpreter's")
    parser.add_argument("--config", metavar="FILE", help="a TOML file of options; those given here win over it")
    parser.add_argument("--print-config", action="store_true", help="print the options as such a file; then end")
    parser.add_argument("--debug", action="store_true", help="print a traceback with an error")
    add_source_options(parser)
    add_target_options(parser)
    add_recognition_options(parser)
    add_result_options(parser)
    add_web_options(parser)
    return parser


def parse_options(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The options of the command line over those of the file that ``--config`` names.

    It ends the program with status 2 where an option is wrong by itself.

    Raises:
        UsageError: something is wrong with the file.
    """
    parser = make_parser()
    given = parser.parse_args(argv)
    from_file = read_config(given.config, parser) if given.config else {}
    for group in exclusive_groups(parser):
        if any(getattr(given, action.dest) != action.default for action in group):  # it replaces the file's choice
            for action in group:
                from_file.pop(action.dest, None)
    for key in unused_by_source(given):
        from_file.pop(key, None)
    arguments = parser.parse_args(argv, argparse.Namespace(**from_file))  # keeps what the command line leaves alone
    if not arguments.print_config and not source_is_named(arguments):
        parser.error(f"one of the arguments {source_names()} is required")
    return arguments


def options_as_toml(arguments: argparse.Namespace) -> str:
    """The options as a file for ``--config``.

    Raises:
        UsageError: a value cannot be written as TOML.
    """
    return config_text(arguments, make_parser())


def check_options(arguments: argparse.Namespace) -> None:
    """Checks what no option can know of itself.

    Raises:
        UsageError: a value is empty, or options do not go together.
    """
    for key, value in vars(arguments).items():
        if value == "" or (isinstance(value, list) and "" in value):  # an unset variable of a shell, most likely
            raise UsageError(f"--{key.replace('_', '-')} is empty: give it a value, or leave it out")
    check_source_options(arguments)
    check_target_options(arguments)
    check_recognition_options(arguments)
    check_result_options(arguments)
    check_web_options(arguments)


class _Version(argparse.Action):
    """Prints our version and the interpreter's; looks for the interpreter only when asked."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        try:
            interpreter = str(find_interpreter_package())
        except StnRectifyError as error:
            interpreter = str(error)
        print(f"{PROGRAM} {_version()} ({interpreter})")
        parser.exit()


def _version() -> str:
    try:
        return metadata.version(PROGRAM)
    except metadata.PackageNotFoundError:
        return "(not installed)"
