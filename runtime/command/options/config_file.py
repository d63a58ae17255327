"""Options from a TOML file, and as one: ``--config FILE`` and ``--print-config``.

Keys are the options without their dashes. A file becomes words of the command line, so a value gets the same answer
here as there; what TOML's own types would let slip through is checked first.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from stn_rectify.runtime.command.parsing.option_groups import Option
from stn_rectify.runtime.command.parsing.parser import did_you_mean
from stn_rectify.runtime.errors import UsageError, first_line
from stn_rectify.runtime.sources.addresses import HIDDEN, without_secrets

_URLS = ("video",)  # printed without their secrets, and so not read back

_TAKES = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a string",
    list: "a string or a list of strings",
}
_TOML_TYPES = {bool: "true or false", int: "a whole number", float: "a decimal number", str: "a string", list: "a list"}


def read_config(path: str, parser: argparse.ArgumentParser, options: Sequence[Option]) -> dict[str, list[str]]:
    """Reads options from a file.

    Args:
        path: a TOML file.
        parser: the command's, made with ``exit_on_error=False``.
        options: those that a file may have.

    Returns:
        For each key of the file the words that would say the same on the command line.

    Raises:
        UsageError: if the file cannot be read, is no TOML, or has a key or a value that the command does not take.
    """
    by_name = {option.name: option for option in options}
    words = {}
    for key, value in _read_toml(path).items():
        if key not in by_name:
            meant = did_you_mean(key.lower().replace("_", "-"), by_name) or ": --help lists the options"
            raise UsageError(f"{path}: unknown key {key!r}{meant}")
        try:
            words[key] = _words(by_name[key], value)
            parser.parse_args(words[key])
        except ValueError as error:
            raise UsageError(f"{path}: {key}: {error}") from error
        except argparse.ArgumentError as error:
            raise UsageError(f"{path}: {key}: {error.message}") from error
    return words


def config_text(values: Mapping[str, object], options: Sequence[Option]) -> str:
    """The options as TOML that `read_config` reads back; those without a value are comments.

    Secrets are left out, or hidden in a way that the command refuses.

    Raises:
        UsageError: if a value is not Unicode text, which TOML has to be.
    """
    return "".join(f"{line}\n" for line in _lines(values, options))


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


def _words(option: Option, value: Any) -> list[str]:
    """The value as words; a value stands in one word with its option, as it may begin with a dash."""
    if not _fits(option, value):
        toml_type = _TOML_TYPES.get(type(value), "a table" if isinstance(value, dict) else "a date or time")
        also = " of other things" if option.kind is list and isinstance(value, list) else ""
        raise ValueError(f"takes {_TAKES[option.kind]}, not {toml_type}{also}")
    if isinstance(value, bool):
        if value:
            return [f"--{option.name}"]
        return [f"--no-{option.name}"] if option.default else []
    items = value if isinstance(value, list) else [value]
    if not items or "" in items:
        raise ValueError("is empty: give it a value, or leave it out")
    return [f"--{option.name}={item}" for item in items]


def _fits(option: Option, value: Any) -> bool:
    kind = option.kind
    if kind is list:
        return isinstance(value, str) or (isinstance(value, list) and all(isinstance(item, str) for item in value))
    if isinstance(value, bool) or kind is bool:
        return isinstance(value, bool) and kind is bool
    if kind is str:  # plain text may be a number, as in camera = 0
        return isinstance(value, str) or (isinstance(value, int) and option.is_plain)
    return isinstance(value, int) or (kind is float and isinstance(value, float))


def _lines(values: Mapping[str, object], options: Sequence[Option]) -> Iterator[str]:
    for option in options:
        value = None if option.is_secret else values[option.name]
        if option.name in _URLS and value is not None:
            value = without_secrets(str(value), user=f"{HIDDEN}@", query=HIDDEN)
        yield (
            f"# {option.name}: {option.help_text}" if value is None else f"{option.name} = {_toml(option.name, value)}"
        )


def _toml(key: str, value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (int, float)):
        return repr(value)
    if type(value) is tuple:  # and not a size or a region, which are written as text
        return f"[{', '.join(_toml(key, item) for item in value)}]"
    text = str(value)
    if any("\ud800" <= letter <= "\udfff" for letter in text):  # bytes of a file name that are no text
        raise UsageError(f"--{key} is not Unicode text, which TOML has to be: rename the file")
    # JSON's escapes are TOML's, but for one control character that JSON lets stand.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
