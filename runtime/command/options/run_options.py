"""All options of a run: the parser, options from a file, and how they go together."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from importlib import metadata
from typing import Any, get_type_hints

from stn_rectify.runtime.command.options.config_file import config_text, read_config
from stn_rectify.runtime.command.options.recognition import (
    NEEDED,
    OF_FOLLOWING_FRAMES,
    RecognitionOptions,
    ScheduleOptions,
)
from stn_rectify.runtime.command.options.results import MqttOptions, ResultOptions, SavingOptions
from stn_rectify.runtime.command.options.source import (
    CameraOptions,
    ImageOptions,
    ReconnectionOptions,
    SourceOptions,
    ViewOptions,
)
from stn_rectify.runtime.command.options.target import OF_FOLLOWING_TARGETS, ModelOptions, TargetOptions
from stn_rectify.runtime.command.options.web import WebOptions
from stn_rectify.runtime.command.parsing.option_groups import Option, OptionGroup, flag, group, option
from stn_rectify.runtime.command.parsing.parser import OneLineParser
from stn_rectify.runtime.errors import StnRectifyError, UsageError
from stn_rectify.runtime.model.interpreter import find_interpreter_package
from stn_rectify.runtime.process.standard_streams import write_stdout
from stn_rectify.runtime.sources.addresses import is_url
from stn_rectify.runtime.web.address import ServeAddress

PROGRAM = "stn-rectify"


@dataclass(frozen=True)
class ProgramOptions(OptionGroup):
    """The options of the program itself, whatever it runs on."""

    config: str | None = option(None, "a TOML file of options; those given here win over it", metavar="FILE")
    print_config: bool = flag("print the options as such a file; then end")
    debug: bool = flag("print a traceback with an error")


@dataclass(frozen=True, kw_only=True)
class RunOptions(OptionGroup):
    """All options, a group in each field, in the order of the help."""

    program: ProgramOptions = group()
    source: SourceOptions = group()
    images: ImageOptions = group()
    camera: CameraOptions = group()
    reconnection: ReconnectionOptions = group()
    view: ViewOptions = group()
    model: ModelOptions = group()
    target: TargetOptions = group()
    recognition: RecognitionOptions = group()
    schedule: ScheduleOptions = group()
    results: ResultOptions = group()
    saving: SavingOptions = group()
    mqtt: MqttOptions = group()
    web: WebOptions = group()

    @classmethod
    def group_types(cls) -> dict[str, type[OptionGroup]]:
        """The groups by the names of the fields."""
        types = get_type_hints(cls)
        return {item.name: types[item.name] for item in fields(cls)}

    def groups(self) -> Iterator[OptionGroup]:
        """The groups, in the same order."""
        return (getattr(self, item.name) for item in fields(self))


def make_parser(*, exit_on_error: bool = True) -> argparse.ArgumentParser:
    """The command's parser.

    Args:
        exit_on_error: whether it ends the program with status 2 where an option is wrong by itself; otherwise it raises
            `argparse.ArgumentError`.
    """
    parser = OneLineParser(
        prog=PROGRAM,
        description="Makes what a camera sees at an angle upright.",
        epilog=f"{PROGRAM} doctor examines this machine: what is installed, the cameras, the disk "
        f"({PROGRAM} doctor --help). {PROGRAM} evaluate DIR says how well targets are found in annotated frames "
        f"({PROGRAM} evaluate --help). {PROGRAM} models proves model files and changes the one in use "
        f"({PROGRAM} models --help).",
        exit_on_error=exit_on_error,
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print this version and the interpreter's")
    RunOptions.add_to(parser)
    return parser


def parse_options(argv: Sequence[str] | None = None) -> RunOptions:
    """The options of the command line over those of the file that ``--config`` names.

    It ends the program with status 2 where an option is wrong by itself.

    Args:
        argv: the words after the program's name; None for those that it was called with.

    Raises:
        UsageError: if something is wrong with the file.
    """
    words = sys.argv[1:] if argv is None else list(argv)
    parser = make_parser()
    options = _parse(parser, words)
    if options.program.config:
        options = _parse(parser, [*_words_of_file(options.program.config, options), *words])
    if not options.program.print_config and not options.source.is_named:
        parser.error(f"one of the arguments {' '.join(f'--{key}' for key in options.source.names())} is required")
    return options


def options_as_toml(options: RunOptions) -> str:
    """The options as a file for ``--config``.

    Raises:
        UsageError: if a value cannot be written as TOML.
    """
    values = {key: value for part in options.groups() for key, value in part.values().items()}
    return config_text(values, _config_options())


def check_options(options: RunOptions) -> None:
    """Checks what no option can know of itself.

    Raises:
        UsageError: if a value is empty, or options do not go together.
    """
    for part in options.groups():
        for key, value in part.values().items():
            if value == "" or (type(value) is tuple and "" in value):  # an unset variable of a shell, most likely
                raise UsageError(f"--{key} is empty: give it a value, or leave it out")
    source, recognition = options.source, options.recognition
    options.images.check_needed("--image", is_there=source.image is not None)
    if source.video is None or not is_url(source.video) or list(options.camera.changed()) != ["framerate"]:
        options.camera.check_needed("--camera", is_there=source.camera is not None)
    recognition.check_together()
    options.schedule.check_needed(NEEDED, is_there=recognition.is_named)
    following = [key for key in OF_FOLLOWING_TARGETS if key in options.target.changed()]
    following += [key for key in OF_FOLLOWING_FRAMES if key in options.schedule.changed()]
    if following and not source.frames_follow:
        raise UsageError(f"--{following[0]} needs --camera or --video: images do not follow one another")
    if "smooth-cutoff" in options.target.changed() and not options.target.smooth:
        raise UsageError("--smooth-cutoff needs --smooth")
    options.saving.check_needed("--save", is_there=options.saving.save is not None)
    options.mqtt.check_needed("--mqtt", is_there=options.mqtt.address is not None)
    options.web.check_needed("--serve", is_there=options.web.serve is not None)
    if options.web.serve is not None:
        ServeAddress.parse(options.web.serve)


def _parse(parser: argparse.ArgumentParser, words: Sequence[str]) -> RunOptions:
    return RunOptions.of(vars(parser.parse_args(words)))


def _config_options() -> list[Option]:
    """The options that a file may have: what `config` and `print-config` ask for is done once."""
    options = [one for kind in RunOptions.group_types().values() for one in kind.options()]
    return [one for one in options if one.name not in ("config", "print-config")]


def _words_of_file(path: str, options: RunOptions) -> list[str]:
    """Reads a file as words, without those that the command line's own options replace."""
    of_file = read_config(path, make_parser(exit_on_error=False), _config_options())
    sources = [key for key in SourceOptions.names() if of_file.get(key)]
    if len(sources) > 1:
        raise UsageError(f"{path}: {sources[0]} and {sources[1]} exclude each other: keep one of them")
    replaced = _replaced_keys(options)
    return [word for key, words in of_file.items() if key not in replaced for word in words]


def _replaced_keys(options: RunOptions) -> set[str]:
    """The keys of a file that options of the command line exclude, or whose values they would else add to."""
    source = options.source
    keys = set(source.names()) if source.is_named else set()
    if source.is_named and source.image is None:
        keys |= set(options.images.names())
    if source.image is not None or source.demo:
        keys |= {*options.camera.names(), *OF_FOLLOWING_TARGETS, *OF_FOLLOWING_FRAMES}
    elif source.video is not None:
        keys |= set(options.camera.names())
    return keys if options.web.serve_models is None else {*keys, "serve-models"}


class _Version(argparse.Action):
    """Prints our version and the interpreter's; looks for the interpreter only when asked."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        try:
            interpreter = str(find_interpreter_package())
        except StnRectifyError as error:
            interpreter = str(error)
        write_stdout(f"{PROGRAM} {_version()} ({interpreter})\n")
        parser.exit()


def _version() -> str:
    try:
        return metadata.version(PROGRAM)
    except metadata.PackageNotFoundError:
        return "(not installed)"
