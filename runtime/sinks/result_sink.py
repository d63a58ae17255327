"""The interface of all sinks."""

from __future__ import annotations

import errno
from abc import abstractmethod
from collections.abc import Sequence

from stn_rectify.runtime.closing import Closing
from stn_rectify.runtime.errors import StnRectifyError
from stn_rectify.runtime.results import MissRule, Rectification
from stn_rectify.runtime.sources import CapturedFrame

_FULL = (errno.ENOSPC, errno.EDQUOT)


class ResultSink(Closing):
    """Takes results one by one; a context manager.

    A sink of your own has a method `write`. Where several targets are looked for it is called for the best one of each
    frame; one that wants all of them has a method `write_targets` as well.

    Attributes:
        wants_stop: whether it asks for the run's end, as a window that was closed.
    """

    wants_stop: bool = False

    @abstractmethod
    def write(self, frame: CapturedFrame, result: Rectification) -> None:
        """Takes the result for one frame.

        Raises:
            StnRectifyError: if the result cannot be written; the message says why.
        """

    def write_targets(
        self, frame: CapturedFrame, result: Rectification, targets: Sequence[Rectification], rule: MissRule
    ) -> None:
        """Takes the results for all targets of one frame. A sink without a method for them gets the best one.

        Args:
            frame: as it is seen through the view.
            result: of the best target, or of the miss: what `write` gets.
            targets: all targets that are no miss, best first; empty where the frame shows none (`Processed.targets`).
            rule: the rule that told misses from targets (`Processed.rule`).

        Raises:
            StnRectifyError: if the results cannot be written; the message says why.
        """
        self.write(frame, result)

    def skip(self, frame: CapturedFrame) -> None:
        """Hears of a frame that shows no target where such frames are skipped (``--on-miss skip``).

        Most sinks do nothing then: nothing of it is passed on. One that says whether a target is there needs to know.

        Args:
            frame: as it is seen through the view.
        """

    def reopen(self) -> None:
        """Opens its files anew under their names, where something else has moved them away, as logrotate does.

        Most sinks have nothing to open anew.

        Raises:
            StnRectifyError: if a file cannot be opened; the sink goes on with the one it has.
        """

    def close(self) -> None:
        """Releases what the sink holds. Closing twice does no harm."""


def cannot_write(name: str, error: OSError) -> StnRectifyError:
    """The error for a place that cannot be written to: what, why, and what to do."""
    advice = "free space there or choose another place" if error.errno in _FULL else "choose another place"
    return StnRectifyError(f"cannot write {name}: {error.strerror or error}; {advice}")
