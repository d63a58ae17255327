"""A subcommand of ``stn-train``: a frozen dataclass whose fields are its options."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from stn_rectify.runtime.command.parsing.option_groups import OptionGroup, flag
from stn_rectify.runtime.errors import DataError
from stn_rectify.runtime.process.standard_streams import escaped, say
from stn_rectify.runtime.process.stop_signals import INTERRUPTED


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


def print_accuracies(name: str, accuracies: Iterable[object]) -> int:
    """Prints how well a network does that is written already.

    Args:
        name: of the subcommand.
        accuracies: a line each; they may be measured while they are asked for.

    Returns:
        The exit status: `INTERRUPTED` if Ctrl-C stopped it; 0 also if the network could not be tried.
    """
    try:
        for accuracy in accuracies:
            print(accuracy, flush=True)
    except KeyboardInterrupt:  # nothing is left to go on with
        say(f"stn-train {name}: stopped; the network is written")
        return INTERRUPTED
    except DataError as error:
        print(escaped(f"not tried: {error}"), flush=True)
    return 0
