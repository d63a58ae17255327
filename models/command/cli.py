"""``stn-train``: trains Spatial Transformer Networks, changes trained ones, and measures how well they find targets."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from stn_rectify.models.command.subcommand import Subcommand
from stn_rectify.models.command.subcommands.dense import Dense
from stn_rectify.models.command.subcommands.evaluate import Evaluate
from stn_rectify.models.command.subcommands.pose import Pose
from stn_rectify.models.command.subcommands.prune import Prune
from stn_rectify.models.command.subcommands.reader import Reader
from stn_rectify.models.command.subcommands.recognizer import Recognizer
from stn_rectify.models.command.subcommands.tune import Tune
from stn_rectify.models.command.subcommands.turn import Turn
from stn_rectify.models.command.workstation import run_command
from stn_rectify.runtime.command.parsing.parser import OneLineParser
from stn_rectify.runtime.process.program import run_program

_SUBCOMMANDS: tuple[type[Subcommand], ...] = (Pose, Dense, Turn, Recognizer, Reader, Prune, Tune, Evaluate)

#: Options that said what to do before there were subcommands; of several the first one here decides.
_FORMER_OPTIONS: dict[str, type[Subcommand]] = {
    "--evaluate": Evaluate,
    "--quantize-aware": Tune,
    "--prune": Prune,
    "--supervision": Recognizer,
    "--data": Recognizer,
    "--out": Pose,
    "--refine": Pose,
    "--weights": Pose,
    "--validate": Evaluate,
}


def command() -> NoReturn:
    """The program: `main` on the words it was called with, then the end of the process."""
    run_program(main)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs ``stn-train``; returns the exit status: 0 well, 1 an error, 2 wrong usage, 130 stopped by Ctrl-C."""
    options = parse_options(sys.argv[1:] if argv is None else argv)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    return run_command(
        f"stn-train {options.name}",
        options.run,
        when_stopped="stopped; run the same command again to go on",
        debug=options.debug,
    )


def parse_options(words: Sequence[str]) -> Subcommand:
    """The subcommand that the words name, with its options.

    Raises:
        SystemExit: if the words are wrong, after one line on standard error; or if they ask for help, after it.
    """
    parser = _parser()
    if words and (words[0].startswith("--") or words[0].endswith(".keras")):
        _refuse_old_spelling(parser, words)
    parsed = parser.parse_args(words)
    return next(kind for kind in _SUBCOMMANDS if kind.name == parsed.subcommand).of(vars(parsed))


def _parser() -> OneLineParser:
    parser = OneLineParser(
        prog="stn-train",
        description="Train lightweight Spatial Transformer Networks. Ctrl-C keeps the state of a training: run the "
        "same command again to go on.",
        example=_example(_SUBCOMMANDS[0]),
        epilog=f"{_examples(*_SUBCOMMANDS)}\n\nThe options of each: stn-train SUBCOMMAND --help",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parsers = parser.add_subparsers(title="subcommands", dest="subcommand", metavar="SUBCOMMAND", required=True)
    for kind in _SUBCOMMANDS:
        own = parsers.add_parser(
            kind.name,
            help=kind.__doc__,
            description=kind.__doc__,
            example=_example(kind),
            epilog=_examples(kind),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        kind.add_to(own)
    return parser


def _example(kind: type[Subcommand]) -> str:
    return f"stn-train {kind.name} {kind.examples[0]}"


def _examples(*kinds: type[Subcommand]) -> str:
    return "\n".join(["examples:", *(f"  stn-train {kind.name} {words}" for kind in kinds for words in kind.examples)])


def _refuse_old_spelling(parser: OneLineParser, words: Sequence[str]) -> None:
    """Ends the program if the words are of the time before there were subcommands, naming the one to use."""
    options = {word.partition("=")[0] for word in words}
    for option, kind in _FORMER_OPTIONS.items():
        if option in options:
            parser.error(f"{option} needs a subcommand now: stn-train {kind.name} {kind.examples[0]}")
