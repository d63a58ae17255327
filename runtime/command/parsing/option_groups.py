"""Options as frozen dataclasses: each field is an option, and says all there is to say about it.

``epochs: int = option(20, "times each frame is drawn anew", whole_number(1), metavar="N")`` is ``--epochs N``. A field
made by `group` holds the options of another dataclass. The parsers of all three programs, the keys of a configuration
file and ``--print-config`` are made of the fields, and the type checker sees that annotation, default and function
agree.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from types import MappingProxyType, NoneType
from typing import Any, ClassVar, Literal, TypeVar, get_args, get_type_hints

from stn_rectify.runtime.errors import UsageError

_IS_GROUP, _IS_POSITIONAL = "is_group", "is_positional"

_T = TypeVar("_T")
_Group = TypeVar("_Group", bound="OptionGroup")


def option(
    default: _T,
    help_text: str,
    parse: Callable[[str], _T] | None = None,
    *,
    metavar: str | None = None,
    choices: Sequence[_T] | None = None,
    section: str | None = None,
    once: bool = False,
    secret: bool = False,
) -> _T:
    """A field that takes one value; where it is repeated the last one wins.

    Args:
        default: the value of an option that is left out.
        help_text: for ``--help``; ``%(default)s`` in it is the default.
        parse: turns the word into the value, or raises ArgumentTypeError; None keeps the word.
        metavar: what the value is called in the help.
        choices: the values that it may have.
        section: stands above it in the help, in place of the title of its group.
        once: whether repeating it is an error.
        secret: whether its value is kept out of messages and of ``--print-config``.
    """
    argument: dict[str, Any] = {"help": help_text, "metavar": metavar, "choices": choices}
    if parse is not None:
        argument["type"] = parse
    if once:
        argument["action"] = _Once
    if section is not None:
        argument["section"] = section
    return field(default=default, metadata=argument, repr=not secret)


def flag(help_text: str, *, default: bool = False, short: str | None = None) -> bool:
    """A field that takes no value; where it is on by default, ``--no-NAME`` turns it off.

    Args:
        help_text: for ``--help``.
        default: the value of an option that is left out.
        short: a name of one letter that it has as well, such as ``-q``.
    """
    action = argparse.BooleanOptionalAction if default else "store_true"
    return field(default=default, metadata={"help": help_text, "action": action, "short": short})


def pair(
    default: tuple[_T, _T], help_text: str, parse: Callable[[str], _T], *, metavar: tuple[str, str]
) -> tuple[_T, _T]:
    """A field that takes two values."""
    value: tuple[_T, _T] = field(
        default=default, metadata={"help": help_text, "type": parse, "metavar": metavar, "nargs": 2}
    )
    return value


def texts(
    help_text: str, parse: Callable[[str], str] | None = None, *, metavar: str | None = None
) -> tuple[str, ...] | None:
    """A field that takes one value or more; a repetition adds to them. It is None where the option is left out."""
    argument: dict[str, Any] = {"help": help_text, "metavar": metavar, "nargs": "+", "action": "extend"}
    if parse is not None:
        argument["type"] = parse
    return field(default=None, metadata=argument)


def required(help_text: str, parse: Callable[[str], _T], *, metavar: str | None = None) -> _T:
    """A field that takes one value and may not be left out."""
    value: _T = field(metadata={"help": help_text, "type": parse, "metavar": metavar, "required": True})
    return value


def positional(help_text: str, parse: Callable[[str], _T], *, metavar: str) -> _T:
    """A field whose value stands alone, without the name of an option."""
    value: _T = field(metadata={"help": help_text, "type": parse, "metavar": metavar, _IS_POSITIONAL: True})
    return value


def positionals(help_text: str, *, metavar: str, least: Literal[0, 1] = 1) -> tuple[str, ...]:
    """A field that takes all words that stand alone, ``least`` of them or more."""
    nargs = "+" if least else "*"
    value: tuple[str, ...] = field(
        metadata={"help": help_text, "metavar": metavar, "nargs": nargs, _IS_POSITIONAL: True}
    )
    return value


def repeated(help_text: str, parse: Callable[[str], _T], *, metavar: str | None = None) -> tuple[_T, ...]:
    """A field that takes one value, and another one with each repetition."""
    value: tuple[_T, ...] = field(
        default=(), metadata={"help": help_text, "type": parse, "metavar": metavar, "action": "append"}
    )
    return value


def choice(names: tuple[str, ...], help_text: str) -> str:
    """A field that takes one of some names, by default the first."""
    return option(names[0], f"{help_text} (default %(default)s)", choices=names)


def group(title: str | None = None, **defaults: Any) -> Any:
    """A field that holds the options of another dataclass.

    Args:
        title: stands above them in the help; None for the title of their class.
        defaults: replace those of the fields.
    """
    return field(metadata={_IS_GROUP: True, "title": title, "defaults": defaults})


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
    def add_to(
        cls,
        parser: argparse.ArgumentParser,
        title: str | None = None,
        defaults: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        """Adds the options to a parser, those of the groups in it included; a subclass's own come first.

        Args:
            parser: gets the options.
            title: stands above them in the help; None for the class's own.
            defaults: of some of the fields, in place of their own.
        """
        title = title or cls.title
        section = parser.add_argument_group(title) if title else parser
        target = section.add_mutually_exclusive_group() if cls.is_choice else section
        types, sections = get_type_hints(cls), {}
        for item in sorted(fields(cls), key=lambda one: one.name not in cls.__annotations__):
            argument = dict(item.metadata)
            if argument.pop(_IS_GROUP, False):
                types[item.name].add_to(parser, **argument)
            elif argument.pop(_IS_POSITIONAL, False):
                target.add_argument(item.name, **argument)
            elif "required" in argument:
                target.add_argument(f"--{_name(item.name)}", **argument)
            else:
                default = defaults.get(item.name, item.default)
                argument["help"] = argument["help"].replace("%(default)s", _text(default))
                if argument.get("action") == "append":  # which argparse does to a list only
                    default = list(default)
                named, short = argument.pop("section", None), argument.pop("short", None)
                if named is not None and named not in sections:
                    sections[named] = parser.add_argument_group(named)
                place = target if named is None else sections[named]
                names = [f"--{_name(item.name)}", *([] if short is None else [short])]
                place.add_argument(*names, default=default, **argument)

    @classmethod
    def of(cls: type[_Group], parsed: Mapping[str, Any]) -> _Group:
        """The options, those of the groups in it included, out of the values of all options as they were parsed."""
        types = get_type_hints(cls)
        values = {
            item.name: types[item.name].of(parsed) if _IS_GROUP in item.metadata else parsed[item.name]
            for item in fields(cls)
        }
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


def _text(value: object) -> str:
    """A value as it is written on the command line."""
    return "x".join(map(str, value)) if type(value) is tuple else str(value)


class _Once(argparse.Action):
    """Stores a value, and refuses another one."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, _: str | None = None
    ) -> None:
        if getattr(namespace, self.dest) is not None:
            raise argparse.ArgumentError(self, "is given more than once, but a run has one source: keep one of them")
        setattr(namespace, self.dest, values)
