"""Several sources, one after the other: each is numbered as it is alone, counts add up, an end is an end."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
import pytest

from stn_rectify.runtime import CapturedFrame, FrameSource, SourceError, open_source
from stn_rectify.runtime.sources.by_name import DEMO_IMAGE
from stn_rectify.runtime.sources.chained import ChainedSource


class Counted(FrameSource):
    """So many frames, of which each but the first replaced another one; then an error, if there is to be one."""

    def __init__(self, frames: int, *, is_broken: bool = False, is_still: bool = False) -> None:
        super().__init__()
        self._frames, self._is_broken, self._is_still = frames, is_broken, is_still

    def __iter__(self) -> Iterator[CapturedFrame]:
        for index in range(self._frames):
            if self._stopping:
                return
            self.dropped, self.reconnections = index, 2 * index
            yield CapturedFrame("counted", index, 0.0, np.zeros((2, 2), np.uint8), is_still=self._is_still)
        if self._is_broken:
            raise SourceError("broken off")


def test_each_begins_at_0_and_counts_go_on() -> None:
    with ChainedSource([lambda: Counted(3), lambda: Counted(0), lambda: Counted(2)], ["a", "b", "c"]) as source:
        assert [frame.index for frame in source] == [0, 1, 2, 0, 1]
        assert (source.dropped, source.reconnections) == (3, 6)


def test_images_are_numbered_by_their_place_among_all_of_them() -> None:
    openers = [lambda: Counted(2, is_still=True), lambda: Counted(3), lambda: Counted(1, is_still=True)]
    frames = [(frame.index, frame.is_still) for frame in ChainedSource(openers, ["a", "b", "c"])]
    assert frames == [(0, True), (1, True), (0, False), (1, False), (2, False), (2, True)]


@pytest.mark.parametrize(
    ("names", "is_live"),
    [
        (["photo.jpg", "0"], True),
        (["photo.jpg", 0], True),
        (["photo.jpg", "rtsp://host/1"], True),
        (["photo.jpg", "demo.avi"], False),
        (["photo.jpg", "photo.jpg", "demo.avi", "photos/*.png"], False),
    ],
)
def test_several_are_live_where_the_last_one_is(names: list[str | int], is_live: bool) -> None:
    """Nothing is opened before its turn."""
    assert open_source(names).is_live is is_live


def test_a_broken_one_is_told_of_and_the_next_one_follows() -> None:
    openers = [lambda: Counted(2, is_broken=True), lambda: Counted(1)]
    errors: list[SourceError] = []
    assert [frame.index for frame in ChainedSource(openers, ["a", "b"], on_error=errors.append)] == [0, 1, 0]
    assert [str(error) for error in errors] == ["broken off"]
    with pytest.raises(SourceError, match="broken off"):
        list(ChainedSource(openers, ["a", "b"]))


def test_files_whose_turn_has_not_come_are_counted(tmp_path) -> None:
    for name in "abc":
        cv2.imwrite(str(tmp_path / f"{name}.png"), np.zeros((4, 4, 3), np.uint8))
    with open_source([str(tmp_path), str(DEMO_IMAGE), str(DEMO_IMAGE)]) as source:
        left = [(source.not_begun, frame.source) for frame in source]
    assert [number for number, _ in left] == [4, 3, 2, 1, 0]


def test_stop_reaches_the_one_that_is_open_and_opens_no_other() -> None:
    opened: list[Counted] = []

    def open_it() -> Counted:
        opened.append(Counted(5))
        return opened[-1]

    with ChainedSource([open_it, open_it], ["a", "b"]) as source:
        frames = iter(source)
        next(frames)
        source.stop()
        assert opened[0].is_stopped
        assert list(frames) == []
    assert len(opened) == 1
