"""The options of the command ``stn-rectify``: what there is, what each takes, and which go together.

A new option goes into the function of its group below; whether it fits the others is said in `check_options`.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from importlib import metadata
from typing import Any, NoReturn

from stn_rectify.runtime.config_file import config_text, exclusive_groups, read_config
from stn_rectify.runtime.errors import StnRectifyError, UsageError
from stn_rectify.runtime.interpreter import find_interpreter_package

__all__ = ["CAMERA_OPTIONS", "PROGRAM", "check_options", "make_parser", "options_as_toml", "parse_options"]

PROGRAM = "stn-rectify"

#: The options that only `CameraSource` takes, by its names for them.
CAMERA_OPTIONS = ("width", "height", "framerate", "fourcc")

_SOURCES = ("image", "video", "camera", "demo", "list_cameras")


def make_parser() -> argparse.ArgumentParser:
    """The command's parser. It ends the program with status 2 where an option is wrong by itself."""
    parser = _Parser(
        prog=PROGRAM,
        description="Makes what a camera sees at an angle upright.",
        epilog=f"{PROGRAM} doctor examines this machine: what is installed, the cameras, the disk.",
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print this version and the interpreter's")
    parser.add_argument("--config", metavar="FILE", help="a TOML file of options; those given here win over it")
    parser.add_argument("--print-config", action="store_true", help="print the options as such a file; then end")
    parser.add_argument("--debug", action="store_true", help="print a traceback with an error")
    _add_sources(parser)
    _add_camera(parser)
    _add_view(parser)
    _add_model(parser)
    _add_tracking(parser)
    _add_results(parser)
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
    for key in _unfit(given):
        from_file.pop(key, None)
    arguments = parser.parse_args(argv, argparse.Namespace(**from_file))  # keeps what the command line leaves alone
    if not arguments.print_config and all(getattr(arguments, source) in (None, False) for source in _SOURCES):
        names = " ".join(f"--{source.replace('_', '-')}" for source in _SOURCES)
        parser.error(f"one of the arguments {names} is required")
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
    given = [key for key in CAMERA_OPTIONS if getattr(arguments, key) is not None]
    if given and arguments.camera is None:
        raise UsageError(f"--{given[0]} needs --camera")
    if arguments.smooth and arguments.camera is None and arguments.video is None:
        raise UsageError("--smooth needs --camera or --video: images do not follow one another")


def _unfit(given: argparse.Namespace) -> tuple[str, ...]:
    """What a file may say that a source named on the command line has no use for."""
    if given.image is not None or given.demo:
        return (*CAMERA_OPTIONS, "smooth")
    return CAMERA_OPTIONS if given.video is not None else ()


def _add_sources(parser: argparse.ArgumentParser) -> None:
    # Not required by itself: the source may stand in the file.
    group = parser.add_argument_group("frames (one of)").add_mutually_exclusive_group()
    group.add_argument("--image", nargs="+", metavar="PATH", help="image files, folders or globs")
    group.add_argument("--video", metavar="FILE|URL", help="a video that OpenCV reads")
    group.add_argument("--camera", metavar="N|DEVICE", help="a V4L2 camera; auto takes the first")
    group.add_argument("--demo", action="store_true", help="the sample image that comes with the package")
    group.add_argument("--list-cameras", action="store_true", help="list cameras, formats and sizes; then end")


def _add_camera(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("camera")
    group.add_argument("--width", type=_whole_number(1), metavar="PX", help="frame width to ask for (640)")
    group.add_argument("--height", type=_whole_number(1), metavar="PX", help="frame height to ask for (480)")
    group.add_argument("--framerate", type=_rate, metavar="FPS", help="frames per second to ask for")
    group.add_argument("--fourcc", metavar="CODE", help="pixel format such as YUYV or MJPG (auto)")


def _add_view(parser: argparse.ArgumentParser) -> None:
    """Spelled as in rpicam-apps."""
    group = parser.add_argument_group("what of a frame is looked at, and which way up")
    group.add_argument("--hflip", action="store_true", help="swap left and right")
    group.add_argument("--vflip", action="store_true", help="swap top and bottom")
    group.add_argument(
        "--rotation", type=int, choices=(0, 90, 180, 270), default=0, help="degrees clockwise, after the flips (0)"
    )
    group.add_argument(
        "--roi",
        type=_region,
        default=_Region((0.0, 0.0, 1.0, 1.0)),
        metavar="X,Y,W,H",
        help="region of interest, as fractions of the flipped and rotated frame (0,0,1,1)",
    )


def _add_model(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("model")
    group.add_argument("--model", metavar="FILE|NAME", help="a .tflite from stn-convert, or a bundled model (general)")
    group.add_argument(
        "--threads", type=_whole_number(1), default=1, metavar="N", help="threads of the interpreter (1)"
    )
    group.add_argument(
        "--output",
        choices=("frame", "model"),
        help="pixels of the rectified image: from the full-resolution frame (default) or from the graph",
    )
    group.add_argument(
        "--output-size", type=_size, metavar="WxH", help="size of the rectified image (the target's own)"
    )
    group.add_argument(
        "--refine",
        type=_whole_number(0),
        metavar="N",
        help="further looks at the target, 0 for none (the model's own number)",
    )
    group.add_argument(
        "--recognizer",
        metavar="FILE|NAME",
        help="a .tflite classifier that says what the rectified image shows, or a bundled one (digits); without "
        "--output and --output-size it gets the image at the size it reads",
    )


def _add_tracking(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("targets")
    group.add_argument("--min-score", type=_share, metavar="S", help="lowest score of a target, 0 to 1 (none)")
    group.add_argument(
        "--on-miss",
        choices=("pass", "skip"),
        default="pass",
        help="a frame without a target: pass it on unrectified (default), or skip it",
    )
    group.add_argument("--smooth", action="store_true", help="smooth the corners from frame to frame")


def _add_results(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("results")
    group.add_argument("--jsonl", metavar="FILE|-", help="append one JSON object per frame; - is standard output")
    group.add_argument("--save", metavar="DIR", help="save the rectified image and a before/after picture per frame")
    group.add_argument("--frames", type=_whole_number(1), metavar="N", help="stop after N frames")


# What an option takes: each turns its text into a value, or says what is wrong with it. The return types tell a
# configuration file what to expect; `str` of a value gives its text again.


def _whole_number(low: int) -> Callable[[str], int]:
    """A whole number from ``low``."""

    def parse(text: str) -> int:
        number = int(text) if text.isdecimal() else -1
        if number < low:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {low}")
        return number

    return parse


class _Size(tuple[int, int]):
    def __str__(self) -> str:
        return f"{self[0]}x{self[1]}"


class _Region(tuple[float, ...]):
    def __str__(self) -> str:
        return ",".join(map(repr, self))


def _size(text: str) -> _Size:
    width, _, height = text.lower().partition("x")
    try:
        return _Size((int(width), int(height)))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not WIDTHxHEIGHT, such as 320x240") from None


def _rate(text: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        rate = 0.0
    if not 0 < rate < 10000:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of frames per second")
    return rate


def _share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to 1")
    return share


def _region(text: str) -> _Region:
    try:
        return _Region(float(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not X,Y,W,H, such as 0.25,0.25,0.5,0.5") from None


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: error: {message} (see {self.prog} --help)\n")


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
