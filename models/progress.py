"""The progress of long work: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType

from tqdm import tqdm

__all__ = ["Progress"]

_LINE_EVERY_S = 30.0


class Progress:
    """Shows the progress of a task on standard error; a context manager.

    Args:
        task: name of the work, in front of bar and lines.
        total: number of items.
        done: number of items that are done already.
        unit: name of an item.
    """

    def __init__(self, task: str, total: int, done: int = 0, unit: str = "item") -> None:
        self._task, self._total, self._done, self._unit = task, total, done, unit
        self._bar = tqdm(total=total, initial=done, desc=task, unit=unit, leave=False, disable=not sys.stderr.isatty())
        self._next_line = time.monotonic() + _LINE_EVERY_S

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.close()

    def advance(self, count: int = 1, note: str = "") -> None:
        """Counts ``count`` more items as done, and shows ``note`` beside them."""
        self._done += count
        if not self._bar.disable:
            self._bar.set_postfix_str(note, refresh=False)
            self._bar.update(count)
        elif time.monotonic() >= self._next_line:
            self._next_line = time.monotonic() + _LINE_EVERY_S
            print(
                f"{self._task}: {self._done} of {self._total} {self._unit}s  {note}",
                file=sys.stderr,
                flush=True,
            )
