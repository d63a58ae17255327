"""A subcommand of ``stn-train``: a frozen dataclass whose fields are its options."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from stn_rectify.runtime.command.parsing.option_groups import OptionGroup, flag


@dataclass(frozen=True, kw_only=True)
class Subcommand(OptionGroup):
    """The options of a subcommand, and what it does with them. A subclass's docstring is the head of its help."""

    #: The word after ``stn-train``.
    name: ClassVar[str]
    #: What follows that word in command lines for the help; the first one answers an old spelling.
    examples: ClassVar[tuple[str, ...]]

    debug: bool = flag("show tracebacks")

    @abstractmethod
    def run(self) -> int:
        """Does the work; returns the exit status."""
