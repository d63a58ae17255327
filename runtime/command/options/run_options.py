"""All options of a run: the parser, options from a file, and how they go together."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any, get_type_hints

from stn_rectify.runtime.command.options.config_file import config_text, read_config
from stn_rectify.runtime.command.options.inputs import INPUT, input_words, with_options_for_inputs
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
from stn_rectify.runtime.process.installation import installed_version
from stn_rectify.runtime.process.standard_streams import write_stdout
from stn_rectify.runtime.sinks.pictures import check_folder_name
from stn_rectify.runtime.web.address import ServeAddress

PROGRAM = "stn-rectify"

#: What the program does.
DESCRIPTION = "Makes what a camera sees at an angle upright."

_EXAMPLES = f"""examples:
  {PROGRAM} photo.jpg scans/ --save upright/       rectified pictures, and before/after pictures
  {PROGRAM} 0 --serve 8080                         a camera, looked at in a browser
  {PROGRAM} rtsp://camera/1 --jsonl plates.jsonl --model plates --recognizer rapidocr
  {PROGRAM} clip.mp4 --max-targets 4 --output results.mkv"""

_EPILOG = f"""An INPUT is an image, a folder or pattern of images, a video, an address, or a camera (0, /dev/video0,
picamera2, auto); --image, --video and --camera say which where a name could be either.

  {PROGRAM} doctor           examines this machine: what is installed, the cameras, the disk
  {PROGRAM} evaluate DIR     says how well targets are found in annotated frames
  {PROGRAM} health ADDRESS   asks a run with --serve how it is
  {PROGRAM} models           proves model files, and changes the one in use
Each has a --help of its own. Exit status: 0; 1 if something failed; 2 if the command is wrong; 130 if it was
interrupted before it began."""

#: How the program is called.
USAGE = f"{PROGRAM} [INPUT ...] [OPTION ...]"
#: The options that --help shows; --help-all shows the others, too.
_USUAL = (
    "help", "help-all", "version", "config", "quiet", "verbose", "list-models",
    "image", "video", "camera", "demo", "list-cameras", "width", "height", "rotation", "roi",
    "model", "output", "output-size", "max-targets", "min-score", "on-miss", "smooth",
    "recognizer", "label-format", "vote", "jsonl", "show", "frames", "save", "save-limit", "mqtt", "serve",
)  # fmt: skip

#: The shells that ``--print-completion`` writes for.
SHELLS = ("bash", "zsh", "tcsh")
#: What a file cannot ask for: it is done once, by the command line.
NOT_IN_FILES = ("config", "print-config", "list-models", "print-schema", "print-completion")


@dataclass(frozen=True)
class ProgramOptions(OptionGroup):
    """The options of the program itself, whatever it runs on."""

    config: str | None = option(None, "a TOML file of options; those given here win over it", metavar="FILE")
    print_config: bool = flag("print the options as such a file; then end")
    quiet: bool = flag("say nothing but warnings and errors", short="-q")
    verbose: bool = flag("a line for each frame of cameras and videos, too, and more in it", short="-v")
    debug: bool = flag("print a traceback with an error")
    list_models: bool = flag("list the models and recognizers that come with the package; then end")
    print_schema: bool = flag("print the JSON schema of the lines of --jsonl; then end")
    print_completion: str | None = option(
        None,
        f"print what makes a shell complete options: {', '.join(SHELLS)} (extra completion); then end",
        choices=SHELLS,
    )

    @property
    def needs_no_source(self) -> bool:
        """Tells whether the program only prints something."""
        return self.print_config or self.list_models or self.print_schema or self.print_completion is not None


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
        description=DESCRIPTION,
        epilog=_EPILOG,
        exit_on_error=exit_on_error,
        add_help=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--help", "-h", action=_Help, nargs=0, help="print the options that are used most")
    parser.add_argument("--help-all", action=_Help, nargs=0, help="print all options")
    parser.add_argument("--version", action=_Version, nargs=0, help="print this version and the interpreter's")
    RunOptions.add_to(parser)
    return parser


def parse_options(argv: Sequence[str] | None = None, commands: Collection[str] = ()) -> RunOptions:
    """The options of the command line over those of the file that ``--config`` names.

    It ends the program with status 2 where an option is wrong by itself.

    Args:
        argv: the words after the program's name; None for those that it was called with.
        commands: the first words that are none of these, which one may have been meant for.

    Raises:
        UsageError: if something is wrong with the file, or a word that no option takes is nothing to rectify.
    """
    parser = make_parser()
    words = with_options_for_inputs(sys.argv[1:] if argv is None else argv, parser, commands)
    options = _parse(parser, words)
    if options.program.config:
        options = _parse(parser, [*_words_of_file(options.program.config, options), *words])
    if not options.program.needs_no_source and not options.source.is_named:
        named = " ".join(f"--{key}" for key in options.source.names() if key != INPUT)
        parser.error(f"name a file, folder, address or camera; or one of the arguments {named} is required")
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
    if options.program.quiet and options.program.verbose:
        raise UsageError("--quiet and --verbose exclude each other: keep one of them")
    source, recognition = options.source, options.recognition
    options.images.check_needed("--image", is_there=source.image is not None or source.input is not None)
    if not source.names_address or list(options.camera.changed()) != ["framerate"]:
        options.camera.check_needed("--camera", is_there=source.names_camera)
    recognition.check_together()
    options.schedule.check_needed(NEEDED, is_there=recognition.is_named)
    following = [key for key in OF_FOLLOWING_TARGETS if key in options.target.changed()]
    following += [key for key in OF_FOLLOWING_FRAMES if key in options.schedule.changed()]
    if following and not source.frames_follow:
        several = " alone: several inputs" if source.input else ": images"
        raise UsageError(f"--{following[0]} needs --camera or --video{several} do not follow one another")
    if "smooth-cutoff" in options.target.changed() and not options.target.smooth:
        raise UsageError("--smooth-cutoff needs --smooth")
    options.saving.check_needed("--save", is_there=options.saving.save is not None)
    options.mqtt.check_needed("--mqtt", is_there=options.mqtt.address is not None)
    web = options.web
    if web.tls_key is not None and web.tls_cert is None:
        address = "" if web.serve is not None else " and --serve [HOST:]PORT"
        raise UsageError(f"--tls-key needs --tls-cert: add --tls-cert FILE, the certificate of the key{address}")
    if web.tls_cert is not None and web.serve is None:
        raise UsageError("--tls-cert needs --serve: add --serve [HOST:]PORT, the web view that it is for")
    web.check_needed("--serve", is_there=web.serve is not None)
    if web.serve is not None:
        ServeAddress.parse(web.serve)
    if options.saving.save is not None:
        check_folder_name(options.saving.save)


def _parse(parser: argparse.ArgumentParser, words: Sequence[str]) -> RunOptions:
    return RunOptions.of(vars(parser.parse_args(words)))


def _config_options() -> list[Option]:
    """The options that a file may have: what the others ask for is done once."""
    options = [one for kind in RunOptions.group_types().values() for one in kind.options()]
    return [one for one in options if one.name not in NOT_IN_FILES]


def _words_of_file(path: str, options: RunOptions) -> list[str]:
    """Reads a file as words, without those that the command line's own options replace."""
    of_file = read_config(path, make_parser(exit_on_error=False), _config_options())
    sources = [key for key in SourceOptions.names() if of_file.get(key)]
    if len(sources) > 1:
        raise UsageError(f"{path}: {sources[0]} and {sources[1]} exclude each other: keep one of them")
    if INPUT in of_file:
        try:
            of_file[INPUT] = input_words([word.partition("=")[2] for word in of_file[INPUT]])
        except UsageError as error:
            raise UsageError(f"{path}: {INPUT}: {error}") from error
    replaced = _replaced_keys(options)
    return [word for key, words in of_file.items() if key not in replaced for word in words]


def _replaced_keys(options: RunOptions) -> set[str]:
    """The keys of a file that options of the command line exclude, or whose values they would else add to."""
    source, keys = options.source, set[str]()
    if source.is_named:
        keys.update(source.names())
        if source.image is None and source.input is None:
            keys.update(options.images.names())
        if not source.names_camera:
            keys.update(options.camera.names())
        if not source.frames_follow:
            keys.update(OF_FOLLOWING_TARGETS, OF_FOLLOWING_FRAMES)
    return keys if options.web.serve_models is None else {*keys, "serve-models"}


class _Help(argparse.Action):
    """Prints the examples and the options, the usual ones or all; works on the options only when asked."""

    def __call__(self, parser: argparse.ArgumentParser, *values: Any) -> None:
        is_all = values[-1] == "--help-all"
        parser.usage = USAGE
        parser.description = f"{DESCRIPTION}\n\n{_EXAMPLES}"
        for action in parser._actions:
            if not is_all and not {f"--{name}" for name in _USUAL} & set(action.option_strings):
                action.help = argparse.SUPPRESS
        if not is_all:
            parser.epilog = f"{_EPILOG} {PROGRAM} --help-all shows all options."
        write_stdout(parser.format_help())
        parser.exit()


class _Version(argparse.Action):
    """Prints our version and the interpreter's; looks for the interpreter only when asked."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        try:
            interpreter = str(find_interpreter_package())
        except StnRectifyError as error:
            interpreter = str(error)
        write_stdout(f"{PROGRAM} {installed_version()} ({interpreter})\n")
        parser.exit()
