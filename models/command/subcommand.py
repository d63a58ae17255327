"""A subcommand of ``stn-train`` is a frozen dataclass: its fields are its options, each with what argparse has to know.

``epochs: int = option(whole_number(1), 20, "N", "times each frame is drawn anew")`` is ``--epochs N``. A field whose
type is another dataclass is a `group` of options; in it other defaults may hold.
"""

from __future__ import annotations

import argparse
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, get_type_hints

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

__all__ = [
    "Subcommand",
    "add_options",
    "choice",
    "flag",
    "group",
    "option",
    "options_of",
    "positional",
    "repeated",
    "required",
]

_Value = TypeVar("_Value")
_Default = TypeVar("_Default")
_Options = TypeVar("_Options", bound="DataclassInstance")


def option(parse: Callable[[str], _Value], default: _Default, metavar: str, text: str) -> _Value | _Default:
    """An option that may be left out. Its help is ``text`` and the default, unless that is None."""
    value: _Value | _Default = field(metadata={"type": parse, "default": default, "metavar": metavar, "help": text})
    return value


def required(parse: Callable[[str], _Value], metavar: str, text: str) -> _Value:
    """An option that may not be left out."""
    value: _Value = field(metadata={"type": parse, "required": True, "metavar": metavar, "help": text})
    return value


def positional(parse: Callable[[str], _Value], metavar: str, text: str) -> _Value:
    """A word that stands alone."""
    value: _Value = field(metadata={"type": parse, "metavar": metavar, "help": text})
    return value


def repeated(parse: Callable[[str], _Value], metavar: str, text: str) -> list[_Value]:
    """An option that may be given several times."""
    more = {"action": "append", "default": []}
    value: list[_Value] = field(metadata={"type": parse, "metavar": metavar, "help": text, **more})
    return value


def choice(names: tuple[str, ...], text: str) -> str:
    """An option that takes one of some names, by default the first."""
    value: str = field(metadata={"choices": names, "default": names[0], "help": text})
    return value


def flag(text: str) -> bool:
    """An option that is True if it is given."""
    value: bool = field(metadata={"action": "store_true", "default": False, "help": text})
    return value


def group(title: str = "", **defaults: Any) -> Any:
    """The options of another dataclass, with ``title`` over them in the help; ``defaults`` replace its fields' own."""
    return field(metadata={"title": title, "defaults": defaults})


@dataclass(frozen=True)
class Subcommand(ABC):
    """The options of a subcommand, and what it does with them. A subclass's docstring is the head of its help."""

    #: The word after ``stn-train``.
    name: ClassVar[str]
    #: What follows that word in command lines for the help; the first one answers an old spelling.
    examples: ClassVar[tuple[str, ...]]

    debug: bool = flag("show tracebacks")

    @abstractmethod
    def run(self) -> int:
        """Does the work; returns the exit status."""


def add_options(
    parser: argparse.ArgumentParser,
    kind: type[DataclassInstance],
    title: str = "",
    defaults: Mapping[str, Any] = MappingProxyType({}),
) -> None:
    """Adds the options of a dataclass to a parser, those of its groups included.

    Args:
        parser: the parser that gets the options.
        kind: the dataclass.
        title: the heading over them in the help; without one they are among the parser's own.
        defaults: defaults of some options, in place of the fields' own.
    """
    section = parser.add_argument_group(title) if title else parser
    types = get_type_hints(kind)
    own_first = sorted(fields(kind), key=lambda f: f.name not in kind.__annotations__)
    for name, declared in ((f.name, dict(f.metadata)) for f in own_first):
        if "title" in declared:
            add_options(parser, types[name], **declared)
        elif "default" in declared:
            default = defaults.get(name, declared["default"])
            shown = "" if default is None or isinstance(default, (bool, list)) else f" (default {_text(default)})"
            section.add_argument(_option(name), **{**declared, "default": default, "help": declared["help"] + shown})
        else:
            section.add_argument(_option(name) if "required" in declared else name, **declared)


def options_of(kind: type[_Options], words: argparse.Namespace) -> _Options:
    """Makes a dataclass of options, its groups included, from what a parser has read."""
    types = get_type_hints(kind)
    return kind(
        **{
            f.name: options_of(types[f.name], words) if "title" in f.metadata else getattr(words, f.name)
            for f in fields(kind)
        }
    )


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _text(value: Any) -> str:
    """A value as it is written on the command line."""
    return "x".join(map(str, value)) if isinstance(value, tuple) else str(value)
