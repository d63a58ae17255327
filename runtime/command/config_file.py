"""Options from a TOML file, and as one: ``--config FILE`` and ``--print-config``.

Keys are the options without their dashes. Which there are and what each takes is read off the parser, so that an
option is described in one place and a value gets the same answer here as on the command line.
"""

from __future__ import annotations

import argparse
import difflib
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, cast, get_type_hints

from stn_rectify.runtime.errors import UsageError, first_line
from stn_rectify.runtime.sources.video import HIDDEN, without_secrets

__all__ = ["config_text", "exclusive_groups", "read_config"]

# What these ask for is done once, and not a property of a run.
_ONLY_ON_THE_COMMAND_LINE = ("help", "version", "config", "print_config")
_SECRET = ("token",)  # not printed
_URLS = ("video",)  # printed without their secrets, and so not read back

_TAKES = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a string",
    list: "a string or a list of strings",
}
_TOML_TYPES = {bool: "true or false", int: "a whole number", float: "a decimal number", str: "a string", list: "a list"}


def read_config(path: str, parser: argparse.ArgumentParser) -> dict[str, Any]:
    """Reads options from a file.

    Args:
        path: a TOML file.
        parser: says which options there are and what each takes.

    Returns:
        The values as the parser would have set them, by its names for them.

    Raises:
        UsageError: the file cannot be read, is no TOML, or has a key or a value that the command does not take.
    """
    actions = _actions(parser)
    values = {}
    for key, value in _read_toml(path).items():
        if key not in actions:
            raise UsageError(f"{path}: unknown key {key!r}: {_suggestion(key, actions)}")
        try:
            values[actions[key].dest] = _parsed(actions[key], value)
        except (argparse.ArgumentTypeError, ValueError) as error:
            raise UsageError(f"{path}: {key}: {error}") from error
    for group in exclusive_groups(parser):
        given = [_key(action) for action in group if values.get(action.dest, action.default) != action.default]
        if len(given) > 1:
            raise UsageError(f"{path}: {given[0]} and {given[1]} exclude each other: keep one of them")
    return values


def config_text(arguments: argparse.Namespace, parser: argparse.ArgumentParser) -> str:
    """The options as TOML that `read_config` reads back; those without a value are comments.

    Secrets are left out, or hidden in a way that `read_config` refuses.

    Raises:
        UsageError: a value is not Unicode text, which TOML has to be.
    """
    return "\n".join(_lines(arguments, parser)) + "\n"


def exclusive_groups(parser: argparse.ArgumentParser) -> list[list[argparse.Action]]:
    """The groups of options of which only one may be given."""
    return [group._group_actions for group in parser._mutually_exclusive_groups]


def _actions(parser: argparse.ArgumentParser) -> dict[str, argparse.Action]:
    return {_key(action): action for action in parser._actions if action.dest not in _ONLY_ON_THE_COMMAND_LINE}


def _key(action: argparse.Action) -> str:
    return action.option_strings[0].lstrip("-")


def _read_toml(path: str) -> dict[str, Any]:
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        return tomllib.loads(Path(path).read_bytes().decode("utf-8-sig"))
    except OSError as error:
        raise UsageError(f"cannot read the configuration {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not UTF-8 text: write it as a TOML file") from error
    except (ValueError, RecursionError) as error:
        reason = first_line(error)
        raise UsageError(f"{path} is not a TOML file ({reason}): lines look like threads = 2") from error


def _suggestion(key: str, actions: Mapping[str, argparse.Action]) -> str:
    close = difflib.get_close_matches(key.lower().replace("_", "-"), actions, n=1)
    return f"did you mean {close[0]}?" if close else "--help lists the options"


def _parsed(action: argparse.Action, value: Any) -> Any:
    """The value as the command line would have given it."""
    kind = _kind(action)
    if not _fits(kind, value, action):
        found = _TOML_TYPES.get(type(value), "a table" if isinstance(value, dict) else "a date or time")
        also = " of other things" if kind is list and isinstance(value, list) else ""
        raise ValueError(f"takes {_TAKES[kind]}, not {found}{also}")
    if kind is bool:
        return value
    if kind is list:
        value = [value] if isinstance(value, str) else value
    if value in ("", []) or (kind is list and "" in value):
        raise ValueError("is empty: give it a value, or leave it out")
    parse = cast("Callable[[str], Any]", action.type or str)
    parsed = [parse(item) for item in value] if kind is list else parse(str(value))
    if action.choices is not None and parsed not in action.choices:
        raise ValueError(f"invalid choice: {parsed!r} (choose from {', '.join(map(repr, action.choices))})")
    return parsed


def _kind(action: argparse.Action) -> type:
    """What an option takes in TOML: bool, int, float, str or list."""
    if action.nargs == 0:
        return bool
    if action.nargs is not None:
        return list
    if isinstance(action.type, type):
        kind = action.type
    else:
        kind = get_type_hints(action.type)["return"] if action.type is not None else str
    return kind if kind in (int, float) else str


def _fits(kind: type, value: Any, action: argparse.Action) -> bool:
    if kind is list:
        return isinstance(value, str) or (isinstance(value, list) and all(isinstance(item, str) for item in value))
    if isinstance(value, bool) or kind is bool:
        return isinstance(value, bool) and kind is bool
    if kind is str:  # plain text may be a number, as in camera = 0
        return isinstance(value, str) or (isinstance(value, int) and action.type is None)
    return isinstance(value, int) or (kind is float and isinstance(value, float))


def _lines(arguments: argparse.Namespace, parser: argparse.ArgumentParser) -> Iterator[str]:
    for key, action in _actions(parser).items():
        value = None if action.dest in _SECRET else getattr(arguments, action.dest)
        if action.dest in _URLS and value is not None:
            value = without_secrets(value, user=f"{HIDDEN}@", query=HIDDEN)
        yield f"# {key}: {action.help}" if value is None else f"{key} = {_toml(key, value)}"


def _toml(key: str, value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, list):
        return f"[{', '.join(_toml(key, item) for item in value)}]"
    text = str(value)
    if any("\ud800" <= letter <= "\udfff" for letter in text):  # bytes of a file name that are no text
        raise UsageError(f"--{key} is not Unicode text, which TOML has to be: rename the file")
    # JSON's escapes are TOML's, but for one control character that JSON lets stand.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
