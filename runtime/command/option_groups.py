"""Groups of options as frozen dataclasses: each field is an option, and says all there is to say about it.

`option`, `flag` and `texts` make a field out of a default, a function that turns a word into a value, and the help. The
parser, the keys of a configuration file and ``--print-config`` are made of the fields, and the type checker sees that
annotation, default and function agree.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from types import NoneType
from typing import Any, ClassVar, TypeVar, get_args, get_type_hints

from stn_rectify.runtime.errors import UsageError

__all__ = ["Option", "OptionGroup", "flag", "option", "texts"]

_T = TypeVar("_T")
_Group = TypeVar("_Group", bound="OptionGroup")


def option(
    default: _T,
    help_text: str,
    parse: Callable[[str], _T] | None = None,
    *,
    metavar: str | None = None,
    choices: Sequence[_T] | None = None,
    once: bool = False,
    secret: bool = False,
) -> _T:
    """A field that takes one value; where it is repeated the last one wins.

    Args:
        default: the value of an option that is left out.
        help_text: for ``--help``.
        parse: turns the word into the value, or raises ArgumentTypeError; None keeps the word.
        metavar: what the value is called in the help.
        choices: the values that it may have.
        once: whether repeating it is an error.
        secret: whether its value is kept out of messages and of ``--print-config``.
    """
    argument: dict[str, Any] = {"help": help_text, "metavar": metavar, "choices": choices}
    if parse is not None:
        argument["type"] = parse
    if once:
        argument["action"] = _Once
    return field(default=default, metadata=argument, repr=not secret)


def flag(help_text: str, *, default: bool = False) -> bool:
    """A field that takes no value; where it is on by default, ``--no-NAME`` turns it off."""
    action = argparse.BooleanOptionalAction if default else "store_true"
    return field(default=default, metadata={"help": help_text, "action": action})


def texts(
    help_text: str, parse: Callable[[str], str] | None = None, *, metavar: str | None = None
) -> tuple[str, ...] | None:
    """A field that takes one value or more; a repetition adds to them. It is None where the option is left out."""
    argument: dict[str, Any] = {"help": help_text, "metavar": metavar, "nargs": "+", "action": "extend"}
    if parse is not None:
        argument["type"] = parse
    return field(default=None, metadata=argument)


@dataclass(frozen=True)
class Option:
    """An option, as a configuration file and messages need it.

    Attributes:
        name: without the dashes in front; the key in a configuration file.
        kind: what it becomes: bool, int, float, list for more than one text, or str for all else.
        is_plain: whether any text is a value of it, just as it stands.
        is_secret: whether its value is not printed.
        default: the value of an option that is left out.
        help_text: for ``--help``.
    """

    name: str
    kind: type
    is_plain: bool
    is_secret: bool
    default: object
    help_text: str


@dataclass(frozen=True)
class OptionGroup:
    """Options that stand together in the help. A subclass is a frozen dataclass whose fields are the options.

    Attributes:
        title: stands above them in the help; the options of the program itself have none.
        is_choice: whether only one of them may be given.
    """

    title: ClassVar[str | None] = None
    is_choice: ClassVar[bool] = False

    @classmethod
    def add_to(cls, parser: argparse.ArgumentParser) -> None:
        """Adds the options to a parser."""
        group = parser if cls.title is None else parser.add_argument_group(cls.title)
        target = group.add_mutually_exclusive_group() if cls.is_choice else group
        for item in fields(cls):
            target.add_argument(f"--{_name(item.name)}", default=item.default, **item.metadata)

    @classmethod
    def of(cls: type[_Group], parsed: Mapping[str, Any]) -> _Group:
        """The group, out of the values of all options as they were parsed."""
        values = {item.name: parsed[item.name] for item in fields(cls)}
        return cls(**{name: tuple(value) if isinstance(value, list) else value for name, value in values.items()})

    @classmethod
    def options(cls) -> Iterator[Option]:
        """The options, in the order of the help."""
        hints = get_type_hints(cls)
        for item in fields(cls):
            hint = next((part for part in get_args(hints[item.name]) if part is not NoneType), hints[item.name])
            kind = list if "nargs" in item.metadata else hint if hint in (bool, int, float) else str
            is_plain = "type" not in item.metadata
            yield Option(_name(item.name), kind, is_plain, not item.repr, item.default, item.metadata["help"])

    @classmethod
    def names(cls) -> list[str]:
        """The names of the options, without the dashes in front."""
        return [_name(item.name) for item in fields(cls)]

    def values(self) -> dict[str, Any]:
        """The values of the options by their names."""
        return {_name(item.name): getattr(self, item.name) for item in fields(self)}

    def changed(self) -> dict[str, Any]:
        """The values that differ from their options' defaults, by the names of the options."""
        values = zip(self.values().items(), fields(self), strict=True)
        return {name: value for (name, value), item in values if value != item.default}

    def check_needed(self, needed: str, *, is_there: bool) -> None:
        """Checks that the group is not used without the option that gives it a purpose.

        Args:
            needed: that option.
            is_there: whether it is used.

        Raises:
            UsageError: if an option of the group is used without it.
        """
        used = self.changed()
        if used and not is_there:
            raise UsageError(f"--{next(iter(used))} needs {needed}")


def _name(field_name: str) -> str:
    return field_name.replace("_", "-")


class _Once(argparse.Action):
    """Stores a value, and refuses another one."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, _: str | None = None
    ) -> None:
        if getattr(namespace, self.dest) is not None:
            raise argparse.ArgumentError(self, "is given more than once, but a run has one source: keep one of them")
        setattr(namespace, self.dest, values)
