"""How far long work is: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType

from tqdm import tqdm

__all__ = ["Progress"]

_LINE_EVERY_S = 30.0


class Progress:
    """A context manager; lines and bar go to standard error.

    Args:
        what: what is being done.
        total: how many items there are.
        done: how many of them are done already.
        unit: name of an item.
    """

    def __init__(self, what: str, total: int, done: int = 0, unit: str = "item") -> None:
        self._what, self._total, self._done, self._unit = what, total, done, unit
        self._bar = tqdm(total=total, initial=done, desc=what, unit=unit, leave=False, disable=not sys.stderr.isatty())
        self._next_line = time.monotonic() + _LINE_EVERY_S

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.close()

    def advance(self, count: int = 1, note: str = "") -> None:
        """``count`` more items are done; ``note`` is shown beside them."""
        self._done += count
        if not self._bar.disable:
            self._bar.set_postfix_str(note, refresh=False)
            self._bar.update(count)
        elif time.monotonic() >= self._next_line:
            self._next_line = time.monotonic() + _LINE_EVERY_S
            print(
                f"{self._what}: {self._done} of {self._total} {self._unit}s  {note}",
                file=sys.stderr,
                flush=True,
            )
