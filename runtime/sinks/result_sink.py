"""The interface of all sinks."""

from __future__ import annotations

import errno
from abc import abstractmethod
from collections.abc import Callable, Sequence
from functools import partial

from stn_rectify.runtime.closing import Closing
from stn_rectify.runtime.errors import StnRectifyError
from stn_rectify.runtime.results import MissRule, Rectification
from stn_rectify.runtime.sources import CapturedFrame

_FULL = (errno.ENOSPC, errno.EDQUOT)
# A reader that has left is not waited for, and a file at its size limit stays there until something moves it away.
_STAYS = (errno.EPIPE, errno.EFBIG)

#: What is left to do for a result, in whatever thread.
Job = Callable[[], None]


class OutputError(StnRectifyError):
    """A place cannot be written to.

    Attributes:
        errno: the system's number of the reason.
        reason: why, in a few words.
        is_full: whether there is no room.
        may_pass: whether it may be written to later, with nothing done about it here, as when a disk is freed.
        lost: results that were taken as written, and are lost.
    """

    def __init__(self, message: str, *, error: OSError, lost: int = 0) -> None:
        super().__init__(message)
        self.errno, self.reason = error.errno, error.strerror or str(error)
        self.is_full = error.errno in _FULL
        self.may_pass = error.errno not in _STAYS
        self.lost = lost


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

    def job(
        self, frame: CapturedFrame, result: Rectification, targets: Sequence[Rectification], rule: MissRule
    ) -> Job | None:
        """Does at once what has to be done in the order of frames; the rest may be done later, in another thread.

        Args:
            frame: see `write_targets`.
            result: see `write_targets`.
            targets: see `write_targets`.
            rule: see `write_targets`.

        Returns:
            What is left, which raises as `write_targets` does; None if nothing is to be written.
        """
        return partial(self.write_targets, frame, result, targets, rule)

    def weight(self, frame: CapturedFrame, result: Rectification, targets: Sequence[Rectification]) -> int:
        """Gives how many bytes a `job` keeps in memory, 1 or more."""
        return frame.image.nbytes + sum(target.image.nbytes for target in targets or (result,))

    def settle(self) -> None:
        """Brings to the disk what has waited long enough for that; called now and then by the thread that writes.

        Raises:
            StnRectifyError: if it cannot be written.
        """

    def reopen(self) -> None:
        """Opens its files anew under their names, where something else has moved them away, as logrotate does.

        Most sinks have nothing to open anew.

        Raises:
            StnRectifyError: if a file cannot be opened; the sink goes on with the one it has.
        """

    def begin_to_close(self) -> None:
        """Hears that `close` follows, perhaps after that of other sinks: one with a thread of its own begins its end.

        Most sinks have nothing to do before it.
        """

    def close(self) -> None:
        """Releases what the sink holds. Closing twice does no harm."""


def cannot_write(name: str, error: OSError, *, lost: int = 0) -> OutputError:
    """The error for a place that cannot be written to: what, why, and what to do."""
    advice = "free space there or choose another place" if error.errno in _FULL else "choose another place"
    return OutputError(f"cannot write {name}: {error.strerror or error}; {advice}", error=error, lost=lost)
