"""The part of YAML that the descriptions of data sets are written in: scalars, lists and mappings.

A reader of all of YAML would be one more package on the device. Keys that are not asked for may hold anything.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from stn_rectify.runtime.annotations.folder import read_text
from stn_rectify.runtime.errors import DataError

_QUOTED = r'"(?:[^"\\]|\\.)*"' + r"|'(?:[^']|'')*'"
_COMMENT = re.compile(rf"(?P<kept>(?:^|(?<=[\s\[{{,:]))(?:{_QUOTED}))|(?:^|\s)#.*$")
_KEY = re.compile(r"""^(?P<key>"[^"]*"|'[^']*'|[^\s:\[\]{},][^:]*?)\s*:(?:\s+(?P<value>.*))?$""")
_TOKEN = re.compile(rf"""\s*({_QUOTED}|[\[\]{{}},:]|[^\[\]{{}},:\s]+(?:[ \t]+[^\[\]{{}},:\s]+)*)""")


def read_keys(file: Path, wanted: Sequence[str]) -> dict[str, Any]:
    """The values of some keys of the outermost mapping.

    Args:
        file: the YAML file.
        wanted: the keys.

    Returns:
        Those that are there: text, a list, or a mapping with text as keys; numbers stay text.

    Raises:
        DataError: if the file cannot be read, or one of these values cannot.
    """
    plain = [_COMMENT.sub(lambda found: found["kept"] or "", line).rstrip() for line in read_text(file).splitlines()]
    values: dict[str, Any] = {}
    for number, line in enumerate(plain):
        match = _KEY.match(line)
        if match is None or _text(match["key"]) not in wanted:
            continue
        block = []
        for below in plain[number + 1 :]:
            if below and not below[0].isspace() and not below.startswith(("- ", "]", "}")):
                break
            block.append(below)
        try:
            values[_text(match["key"])] = _value(match["value"] or "", [b for b in block if b.strip()])
        except IndexError as error:
            raise DataError(f"{file}: {match['key']} (line {number + 1}): a bracket is not closed") from error
        except ValueError as error:
            raise DataError(f"{file}: {match['key']} (line {number + 1}) cannot be read: {error}") from error
    return values


def _value(first: str, block: list[str]) -> Any:
    """A value that begins on the line of its key, or in the lines below it."""
    if first and first[0] not in "[{\"'":  # runs to the end, whatever signs are in it
        return " ".join([first, *(line.strip() for line in block)])
    if first or (block and block[0].lstrip()[0] in "[{"):
        value, rest = _flow(_TOKEN.findall("\n".join([first, *block])))
        if rest:
            raise ValueError(f"{rest[0]!r} is too much")
        return value
    if not block:
        return None
    indent = len(block[0]) - len(block[0].lstrip())
    if block[0].lstrip().startswith("-"):
        return [_value(line.strip()[1:].strip(), []) for line in block]
    mapping: dict[str, Any] = {}
    for number, line in enumerate(block):
        if len(line) - len(line.lstrip()) > indent:
            continue
        match = _KEY.match(line.strip())
        if match is None:
            raise ValueError(f"{line.strip()!r} is no key and value")
        below = block[number + 1 :]
        end = next((k for k, b in enumerate(below) if len(b) - len(b.lstrip()) <= indent), len(below))
        mapping[_text(match["key"])] = _value(match["value"] or "", below[:end])
    return mapping


def _flow(tokens: list[str]) -> tuple[Any, list[str]]:
    """A value in brackets, in braces, or a scalar; and the tokens behind it."""
    first, rest = tokens[0], tokens[1:]
    if first == "[":
        items = []
        while rest[0] != "]":
            item, rest = _flow(rest)
            items.append(item)
            rest = rest[1:] if rest[0] == "," else rest
        return items, rest[1:]
    if first == "{":
        mapping = {}
        while rest[0] != "}":
            if rest[1] != ":":
                raise ValueError(f"{rest[0]!r} has no value")
            mapping[_text(rest[0])], rest = _flow(rest[2:])
            rest = rest[1:] if rest[0] == "," else rest
        return mapping, rest[1:]
    if first in "]},:":
        raise ValueError(f"{first!r} is not expected here")
    return _text(first), rest


def _text(word: str) -> str:
    if len(word) < 2 or word[0] != word[-1] or word[0] not in "\"'":
        return word
    if word[0] == "'":
        return word[1:-1].replace("''", "'")
    try:
        return str(json.loads(word))  # most of its escapes are those of JSON
    except ValueError:
        return word[1:-1]
