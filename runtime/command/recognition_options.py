"""Who reads the rectified image: the options, and the recognizer they ask for."""

from __future__ import annotations

import argparse

from stn_rectify.runtime.recognition.recognizer import Recognizer

__all__ = ["add_recognition_options", "open_recognizer"]


def add_recognition_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options of recognition."""
    group = parser.add_argument_group("recognition")
    group.add_argument(
        "--recognizer",
        metavar="FILE|NAME",
        help="a .tflite classifier that says what the rectified image shows, or a bundled one (digits); without "
        "--output and --output-size it gets the image at the size it reads",
    )


def open_recognizer(arguments: argparse.Namespace) -> Recognizer | None:
    """The recognizer that the options ask for."""
    if arguments.recognizer is None:
        return None
    return Recognizer(arguments.recognizer, threads=arguments.threads)
