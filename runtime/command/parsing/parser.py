"""The common part of the command lines of all three programs: the parser, and numbers as they are written.

``stn-rectify``, ``stn-train`` and ``stn-convert`` say what is wrong in one line, take no abbreviated options, and name
the option that was probably meant.
"""

from __future__ import annotations

import argparse
import difflib
import math
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NoReturn

from stn_rectify.runtime.process.standard_streams import escaped

_REQUIRED = "arguments are required"
_INVALID_CHOICE = re.compile(r"invalid choice: '([^']*)' \(choose from (.*)\)")


class OneLineParser(argparse.ArgumentParser):
    """A parser whose errors are one line, with the option that an unknown one may have been meant for.

    Options are not abbreviated: a later version's option would make an abbreviation ambiguous. Subparsers are made of
    this class as well.

    Args:
        *args: as argparse's.
        example: a command line that has all that is needed, for the error that something is missing; empty for none.
        **kwargs: as argparse's.
    """

    def __init__(self, *args: Any, example: str = "", **kwargs: Any) -> None:
        super().__init__(*args, **{"allow_abbrev": False, **kwargs})
        self._example = example
        self._words: list[str] = []

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As argparse's, but unknown words are an error here, where the options of a subcommand are known."""
        self._words = sys.argv[1:] if args is None else list(args)
        parsed, unknown = super().parse_known_args(args, namespace)
        if unknown:
            from stn_rectify.runtime.sources.addresses import without_secrets  # brings OpenCV

            self.error(
                self._unknown_option(unknown) or f"unrecognized arguments: {' '.join(map(without_secrets, unknown))}"
            )
        return parsed, unknown

    def error(self, message: str) -> NoReturn:
        """Ends the program with status 2 and one line."""
        choice = _INVALID_CHOICE.search(message)
        words = self._words
        if choice is not None:
            message += did_you_mean(choice[1], re.findall(r"[\w.-]+", choice[2]))
            words = words[: words.index(choice[1])] if choice[1] in words else []
        if choice is not None or _REQUIRED in message:  # which may only be because of a misspelt option
            example = f"; for example: {self._example}" if self._example and choice is None else ""
            message = self._unknown_option(words) or f"{message}{example}"
        self.exit(2, escaped(f"{self.prog}: error: {message} (see {self.prog} --help)") + "\n")

    def _unknown_option(self, words: Sequence[str]) -> str | None:
        """Names the first option among the words that this parser does not have; None if it has them all."""
        known = list(self._option_string_actions)
        options = (word.partition("=")[0] for word in words if re.match(r"-{1,2}[A-Za-z]", word))
        option = next((option for option in options if option not in known), None)
        return None if option is None else f"unrecognized option {option}{did_you_mean(option, known)}"


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """``": did you mean WORD?"`` with the known word that is most like one that is not known; empty if none is."""
    by_letters = {_letters(candidate): candidate for candidate in known}
    letters = _letters(word)
    longer = [candidate for candidate in by_letters if letters and candidate.startswith(letters)]  # it was cut short
    close = difflib.get_close_matches(letters, by_letters, n=1, cutoff=0.65) or (longer if len(longer) == 1 else [])
    return f": did you mean {by_letters[close[0]]}?" if close else ""


def _letters(word: str) -> str:
    """The word without what options have in common, which makes none like another."""
    return word.lstrip("-").lower().replace("_", "-")


def whole_number(low: int, high: int | None = None) -> Callable[[str], int]:
    """An option's type: a whole number from ``low``, to ``high`` if there is one, both included."""
    wanted = f"a whole number from {low}" + ("" if high is None else f" to {high}")

    def parse(text: str) -> int:
        value = int(text) if text.isdecimal() else low - 1
        if value < low or (high is not None and value > high):
            raise argparse.ArgumentTypeError(f"{text!r} is not {wanted}")
        return value

    return parse


def number(wanted: str, fits: Callable[[float], bool]) -> Callable[[str], float]:
    """An option's type: a number that fits.

    Args:
        wanted: what it is, for the message: ``"a number of seconds above 0"``.
        fits: says whether a number is one; a text that is no number is NaN, which must not fit.
    """

    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not fits(value):
            raise argparse.ArgumentTypeError(f"{text!r} is not {wanted}")
        return value

    return parse


#: An option's type: a number from 0 to 1.
share = number("a number from 0 to 1", lambda value: 0 <= value <= 1)
#: An option's type: a number above 0.
positive_number = number("a number above 0", lambda value: 0 < value < math.inf)
