"""What several tests of sources need: a small video, a source that does as it is told, and counting."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from stn_rectify.runtime import FrameSource, SourceError
from stn_rectify.runtime.sources.threaded import ThreadedSource
from tests.waiting import DEADLINE_S


def write_video(path: Path, frames: int, size: tuple[int, int] = (64, 48)) -> Path:
    """An MJPG video whose frame number n is grey level n."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 25.0, size)
    for level in range(frames):
        writer.write(np.full((size[1], size[0], 3), level, np.uint8))
    writer.release()
    return path


def stop_when(reached: threading.Event, source: FrameSource) -> None:
    """Stops a source, from another thread, once that is reached."""

    def stop() -> None:
        reached.wait(DEADLINE_S)
        source.stop()

    threading.Thread(target=stop, daemon=True).start()


def drain(source: FrameSource) -> tuple[int, SourceError | None]:
    """How many frames a source gives before it ends, and the error it ends with."""
    received = 0
    try:
        for _ in source:
            received += 1
    except SourceError as error:
        return received, error
    return received, None


class CountingSource(ThreadedSource):
    """Delivers numbered frames, one per ``period_s``, then ends as it is told.

    ``ending`` is an error to raise, ``"hang"`` for a read that hangs until `unhang` is set, or None for an end. It
    sets `hangs` when the read begins to hang. ``timeout_s``, the longest wait for a frame, is short only where a test
    waits for its end.
    """

    def __init__(
        self,
        count: int,
        *,
        live: bool,
        period_s: float = 0.0,
        ending: object = None,
        timeout_s: float = DEADLINE_S,
    ) -> None:
        super().__init__("counter", live=live, timeout_s=timeout_s)
        self.description = "a counter"
        self._left, self._period_s, self._ending = count, period_s, ending
        self.hangs, self.unhang, self.released = threading.Event(), threading.Event(), threading.Event()

    def _read(self) -> npt.NDArray[np.uint8] | None:
        if self._left == 0:
            if isinstance(self._ending, Exception):
                raise self._ending
            if self._ending == "hang":
                self.hangs.set()
                self.unhang.wait()
            return None
        time.sleep(self._period_s)
        self._left -= 1
        return np.zeros((2, 2), np.uint8)

    def _release(self) -> None:
        self.released.set()
