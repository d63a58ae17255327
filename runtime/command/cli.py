"""The command ``stn-rectify``: frames in, upright targets out."""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import NoReturn

from stn_rectify.runtime.command.messages import bundled_lines, camera_lines, error_line, warning_lines
from stn_rectify.runtime.command.options.run_options import (
    PROGRAM,
    RunOptions,
    check_options,
    options_as_toml,
    parse_options,
)
from stn_rectify.runtime.command.run import run
from stn_rectify.runtime.errors import StnRectifyError, UsageError
from stn_rectify.runtime.images.library_messages import silence_opencv
from stn_rectify.runtime.model.interpreter import silence_greeting
from stn_rectify.runtime.process.hard_end import hard_end
from stn_rectify.runtime.process.program import run_program
from stn_rectify.runtime.process.standard_streams import escaped, leave_stdout, say, write_stdout
from stn_rectify.runtime.process.stop_signals import INTERRUPTED, stop_signals, was_asked_to_stop
from stn_rectify.runtime.results.line import line_schema
from stn_rectify.runtime.sources import list_cameras
from stn_rectify.runtime.sources.by_name import DEMO_IMAGE
from stn_rectify.runtime.sources.threaded import any_left


def command() -> NoReturn:
    """The program: `main` on the words it was called with, then the end of the process."""
    run_program(main, ends_hard=lambda: any_left() or was_asked_to_stop())


@warning_lines(PROGRAM)
def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit status: 0 well, 1 an error, 2 wrong usage, 130 interrupted."""
    words = sys.argv[1:] if argv is None else list(argv)
    debug = "--debug" in words  # as long as the options have not been read
    if not debug:
        silence_greeting()
    try:
        if words and words[0] in _COMMANDS:
            return _COMMANDS[words[0]](words[1:])
        options = parse_options(words, _COMMANDS)
        program = options.program
        debug = program.debug
        if program.print_config:
            return _print_config(options)
        if program.list_models:
            return _list_models()
        if program.print_schema:
            write_stdout(f"{json.dumps(line_schema(), indent=2)}\n")
            return 0
        if program.print_completion is not None:
            return _print_completion(program.print_completion)
        if not debug:  # our own messages say what OpenCV's and FFmpeg's warnings would
            silence_opencv()
            os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
        with stop_signals() as signals, hard_end(PROGRAM, at_hang=signals.hang):
            if options.source.list_cameras:
                return _list_cameras()
            return run(options, signals, lambda: parse_options(words))
    except StnRectifyError as error:
        if debug:
            traceback.print_exc()
        say(error_line(PROGRAM, error))
        return 2 if isinstance(error, UsageError) else 1
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # the reader of standard output has what it wanted
        leave_stdout()
        return 0
    except Exception as error:  # a defect of ours or of a library; a service's log needs one line all the same
        if debug:
            traceback.print_exc()
        say(error_line(PROGRAM, error, debug=debug))
        return 1


def _doctor(words: Sequence[str]) -> int:
    from stn_rectify.runtime.command.doctor import doctor  # nothing else needs it

    return doctor(words, sample=DEMO_IMAGE)


def _evaluate(words: Sequence[str]) -> int:
    from stn_rectify.runtime.command.evaluate import evaluate

    return evaluate(words)


def _models(words: Sequence[str]) -> int:
    from stn_rectify.runtime.command.upkeep.models import models

    return models(words)


def _health(words: Sequence[str]) -> int:
    from stn_rectify.runtime.command.upkeep.health import health

    return health(words)


# What a first word may name instead of a source. Not argparse's subparsers: in `--jsn out.jsonl` they would take the
# value of the misspelt option for a command, and complain about that instead.
_COMMANDS: Mapping[str, Callable[[Sequence[str]], int]] = {
    "doctor": _doctor,
    "evaluate": _evaluate,
    "health": _health,
    "models": _models,
}


def _print_config(options: RunOptions) -> int:
    check_options(options)
    write_stdout(options_as_toml(options))
    return 0


def _list_models() -> int:
    for line in bundled_lines():
        write_stdout(f"{line}\n")
    return 0


def _print_completion(shell: str) -> int:
    from stn_rectify.runtime.command.manual import completion

    write_stdout(completion(shell))
    return 0


def _list_cameras() -> int:
    cameras = list_cameras()
    for camera in cameras:
        for line in camera_lines(camera):
            write_stdout(f"{escaped(line)}\n")
    if not cameras:
        say("no camera found: connect one, and see that this user is in the group video")
    return 0


if __name__ == "__main__":
    command()
