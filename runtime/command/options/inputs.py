"""Sources that are named without an option: ``stn-rectify photo.jpg folder/``, ``rtsp://…``, ``0``.

Words become words: a photograph that of ``--image``, and so on, so that all else is as if the option had been written.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Collection, Mapping, Sequence

from stn_rectify.runtime.command.options.values import PIXEL_SOURCES
from stn_rectify.runtime.command.parsing.parser import did_you_mean
from stn_rectify.runtime.errors import UsageError
from stn_rectify.runtime.sinks import VIDEO_SUFFIXES
from stn_rectify.runtime.sources.addresses import without_secrets
from stn_rectify.runtime.sources.chained import grouped_by_kind

#: The option of several inputs of different kinds.
INPUT = "input"

_OUTPUT = "--output"
_IMAGE = "--image"
_SOURCES = (_IMAGE, "--video", "--camera", "--demo", "--list-cameras")
_NEGATIVE = re.compile(r"-\.?\d")


def with_options_for_inputs(
    words: Sequence[str], parser: argparse.ArgumentParser, commands: Collection[str] = ()
) -> list[str]:
    """Puts the option that takes it before each word that no option takes.

    Args:
        words: of the command line, behind the program's name.
        parser: knows how many words each option takes.
        commands: that such a word may have been meant for, for the message.

    Returns:
        The words that say the same with options; where one of them is no option at all, those that there were, for the
        parser to say so.

    Raises:
        UsageError: if such a word names nothing that could be rectified.
    """
    options: Mapping[str, argparse.Action] = parser._option_string_actions
    kept, inputs = list[str](), list[str]()
    place = 0
    while place < len(words):
        word = words[place]
        place += 1
        if word == "--":
            inputs += words[place:]
            break
        if not _is_option(word):
            inputs.append(word)
            continue
        name, equals, value = word.partition("=")
        if name not in options:
            return list(words)
        taken = 0 if equals else _values(name, options[name], words[place:])
        if name == f"--{INPUT}":
            inputs += [value] if equals else words[place : place + taken]
        elif name == _OUTPUT and taken:
            kept += [f"{_OUTPUT}={one}" for one in words[place : place + taken]]
        else:
            kept += words[place - 1 : place + taken]
        place += taken
    if not inputs:
        return kept
    of_inputs = input_words(inputs, commands)
    _check_together(inputs[0], _name_in(of_inputs[0]), [_name_in(word) for word in kept if _is_option(word)])
    return [*kept, *of_inputs]


def input_words(names: Sequence[str], commands: Collection[str] = ()) -> list[str]:
    """The words that name sources by the options that take them.

    Args:
        names: of sources, one or more.
        commands: see `with_options_for_inputs`.

    Raises:
        UsageError: if one of them is nothing that could be rectified.
    """
    try:
        groups = grouped_by_kind(names)
    except UsageError as error:
        meant = did_you_mean(names[0], commands)
        raise UsageError(f"{error}{meant.replace(':', ';', 1)}") from error
    if len(groups) > 1:
        if any(option == "demo" for option, _ in groups):
            raise UsageError("demo is the sample, which goes with nothing else: name it alone")
        return _words(INPUT, names)
    ((option, group),) = groups
    return ["--demo"] if option == "demo" else _words(option, group)


def _check_together(name: str, option: str, others: Sequence[str]) -> None:
    """Checks that what was named without an option does not stand beside an option for something else.

    Args:
        name: of the first such input.
        option: that takes it, and was not written.
        others: the options that were.

    Raises:
        UsageError: if it does.
    """
    other = next((one for one in others if one in _SOURCES and not one == option == _IMAGE), None)
    if other is not None:
        shown = without_secrets(name)
        raise UsageError(
            f"{shown} beside {other}: a run has one source; name all inputs without an option, or one only"
        )


def _name_in(word: str) -> str:
    return word.partition("=")[0]


def _words(option: str, names: Sequence[str]) -> list[str]:
    """The option with its values: once for all, as argparse takes squared time for many options."""
    if len(names) == 1 or any(name.startswith("-") for name in names):
        return [f"--{option}={name}" for name in names]
    return [f"--{option}", *names]


def _is_option(word: str) -> bool:
    return word.startswith("-") and word != "-" and not _NEGATIVE.match(word)


def _values(name: str, action: argparse.Action, following: Sequence[str]) -> int:
    """How many of the words that follow an option are its values."""
    end = next((place for place, word in enumerate(following) if word == "--" or _is_option(word)), len(following))
    if name == _OUTPUT:
        return min(end, _outputs(following))
    if action.nargs is None:
        return min(end, 1)
    return min(end, action.nargs) if isinstance(action.nargs, int) else end


def _outputs(words: Sequence[str]) -> int:
    """How many words, at least one, belong to ``--output``: where pixels come from, a video file, or both."""
    are_pixels = [word in PIXEL_SOURCES for word in words[:2]]
    if len(are_pixels) == 2 and are_pixels[0] != are_pixels[1]:
        other = words[1] if are_pixels[0] else words[0]
        return 2 if other.lower().endswith(VIDEO_SUFFIXES) else 1
    return 1
