"""The interface of all sinks."""

from __future__ import annotations

import errno
from abc import ABC, abstractmethod
from types import TracebackType
from typing import TypeVar

from stn_rectify.runtime.errors import StnRectifyError
from stn_rectify.runtime.results import Rectification
from stn_rectify.runtime.sources import CapturedFrame

__all__ = ["ResultSink", "cannot_write"]

Self = TypeVar("Self", bound="ResultSink")

_FULL = (errno.ENOSPC, errno.EDQUOT)


class ResultSink(ABC):
    """Takes results one by one; a context manager.

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

    def close(self) -> None:  # noqa: B027 -- most sinks hold nothing
        """Releases what the sink holds. Closing twice does no harm."""

    def __enter__(self: Self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def cannot_write(name: str, error: OSError) -> StnRectifyError:
    """The error for a place that cannot be written to: what, why, and what to do."""
    advice = "free space there or choose another place" if error.errno in _FULL else "choose another place"
    return StnRectifyError(f"cannot write {name}: {error.strerror or error}; {advice}")
