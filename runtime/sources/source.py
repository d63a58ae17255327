"""The interface of all frame sources."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field

from stn_rectify.runtime.arrays import Array
from stn_rectify.runtime.closing import Closing


@dataclass(frozen=True, eq=False)
class CapturedFrame:
    """A frame and where it comes from.

    Attributes:
        source: the file, URL (without password) or device.
        index: number of the frame in its source from 0, dropped frames included; of an image, its place in
            the batch.
        timestamp: when it was captured or read, Unix seconds.
        image: uint8 [H, W, 3] BGR or [H, W] grey.
        position_s: where it is in a video file, seconds from the file's start; None elsewhere.
        page: of a file of several pages, or an animation of several frames, which one, from 1; None elsewhere.
        is_still: whether it is an image by itself, of a file or a pipe, and none of a camera or video.
        is_live: whether it is of a camera or a live stream, which wait for nobody.
    """

    source: str
    index: int
    timestamp: float
    image: Array = field(repr=False)
    position_s: float | None = None
    page: int | None = None
    is_still: bool = False
    is_live: bool = False


class FrameSource(Closing):
    """Iterates over frames once; a context manager that releases the device or file.

    Attributes:
        description: one line for people, such as ``camera 0: USB camera, 640x480 YUYV at 30 frames/s``.
        dropped: frames that were captured but replaced by a newer one before anybody took them.
        reconnections: how often the device or stream was lost and opened again.
        framerate: frames per second that it gives or plays at; None where it has no such rate, or does not tell.
        is_live: whether it shows the present, and frames are lost that nobody takes; of several sources, whether the
            last one does.
        not_begun: of several files those whose turn has not come; 0 where there is no such number.
        frames_follow: whether its frames follow one another, as those of a camera or a video do.
    """

    description: str = ""
    dropped: int = 0
    reconnections: int = 0
    not_begun: int = 0
    framerate: float | None = None
    is_live: bool = False
    frames_follow: bool = True

    def __init__(self) -> None:
        self._stopping = False

    @abstractmethod
    def __iter__(self) -> Iterator[CapturedFrame]:
        """Yields frames until the end or `stop`.

        Raises:
            SourceError: if a frame cannot be read.
        """

    def stop(self) -> None:
        """Ends the iteration within 0.1 s. It only sets a flag, so a signal handler may call it."""
        self._stopping = True

    @property
    def is_stopped(self) -> bool:
        """Tells whether `stop` was called."""
        return self._stopping

    def close(self) -> None:
        """Releases what the source holds. Closing twice does no harm."""
        self.stop()
