"""Several sources, one after the other."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from stn_rectify.runtime.errors import SourceError, UsageError
from stn_rectify.runtime.images.kinds import called_image
from stn_rectify.runtime.sources.addresses import is_url, without_secrets
from stn_rectify.runtime.sources.kinds import option_for
from stn_rectify.runtime.sources.source import CapturedFrame, FrameSource


def grouped_by_kind(names: Sequence[str | int]) -> list[tuple[str, list[str]]]:
    """Names of sources in their order, images that follow one another together.

    Args:
        names: one or more; see `option_for`. A number is a camera's.

    Returns:
        The option that takes each group, ``"image"``, ``"video"``, ``"camera"`` or ``"demo"``, and the names in it.

    Raises:
        UsageError: if one is nothing to rectify; if one that need not end stands before others; if the same camera, or
            standard input, is not alone.
    """
    groups: list[tuple[str, list[str]]] = []
    for place, given in enumerate(names):
        name = str(given)
        # Of many files each is opened when its turn has come, and what is called an image is taken for one until then.
        is_image = len(names) > 1 and called_image(os.path.splitext(name)[1].lower()) and os.path.isfile(name)
        option = "camera" if isinstance(given, int) else "image" if is_image else option_for(name)
        if need_not_end(option, name) and place < len(names) - 1:
            raise UsageError(f"{without_secrets(name)} need not end: name it last, or in a run of its own")
        if name == "-" and len(names) > 1:
            raise UsageError("- is standard input, which goes with nothing else: name it alone")
        if option == "image" and groups and groups[-1][0] == "image":
            groups[-1][1].append(name)
        else:
            groups.append((option, [name]))
    return groups


def need_not_end(option: str, name: str) -> bool:
    """Tells whether a source need not end: a camera, or an address.

    Args:
        option: that takes it.
        name: of it.
    """
    return option == "camera" or (option == "video" and is_url(name))


class ChainedSource(FrameSource):
    """The frames of several sources; each is opened when the one before has ended.

    A video's frames are numbered from 0, as they are alone; images by their place among all images.

    Args:
        openers: open the sources, in their order.
        names: of what is in them, for people.
        on_error: called with the error of a source that cannot be opened or read to its end; the next one follows.
            None raises it.
        ends_live: whether the last one is a camera or a stream.

    Raises:
        SourceError: if the first one cannot be opened, and nobody takes errors.
    """

    frames_follow = False  # not even where each has a video: the next one shows something else

    def __init__(
        self,
        openers: Sequence[Callable[[], FrameSource]],
        names: Sequence[str],
        *,
        on_error: Callable[[SourceError], None] | None = None,
        ends_live: bool = False,
    ) -> None:
        super().__init__()
        self._openers, self._on_error = openers, on_error
        self.is_live = ends_live
        self._current: FrameSource | None = None
        self._ended_dropped, self._ended_reconnections = 0, 0
        self.not_begun = len(openers)
        self.description = f"{len(names)} inputs: {without_secrets(names[0])} and {len(names) - 1} more"

    def __iter__(self) -> Iterator[CapturedFrame]:
        images = 0
        for number, open_it in enumerate(self._openers, start=1):
            if self._stopping:
                return
            later = len(self._openers) - number
            self.not_begun = later
            try:
                with open_it() as source:
                    self._current = source
                    if self._stopping:
                        return
                    first = images
                    self.not_begun = later + source.not_begun
                    for frame in source:
                        self.not_begun = later + source.not_begun
                        self.dropped = self._ended_dropped + source.dropped
                        self.reconnections = self._ended_reconnections + source.reconnections
                        if frame.is_still:
                            frame = replace(frame, index=first + frame.index)
                            images = frame.index + 1
                        yield frame
            except SourceError as error:
                if self._on_error is None:
                    raise
                self._on_error(error)
            finally:
                self._ended_dropped, self._ended_reconnections = self.dropped, self.reconnections
                self._current = None

    def stop(self) -> None:
        """Ends the iteration; see `FrameSource.stop`."""
        super().stop()
        current = self._current
        if current is not None:
            current.stop()
