"""A picture that stays the same is noticed, one that trembles is not."""

from __future__ import annotations

import numpy as np

from stn_rectify.runtime.command.upkeep.frozen_picture import FrozenPicture


class Watched:
    """A picture that is looked at thirty times a second."""

    def __init__(self, after_s: float = 60.0) -> None:
        self.now_s, self.said = 100.0, list[str]()
        self.frozen = FrozenPicture(after_s, self.said.append, lambda: self.now_s)
        self.image = np.zeros((48, 64, 3), np.uint8)
        self._noise = np.random.default_rng(0)

    def go_on(self, seconds: float, *, trembles: bool) -> None:
        for _ in range(round(seconds * 30)):
            if trembles:
                self.image = self._noise.integers(0, 2, self.image.shape, np.uint8)
            self.frozen.look(self.image)
            self.now_s += 1 / 30


def test_a_dark_picture_with_noise_is_none() -> None:
    watched = Watched()
    watched.go_on(200, trembles=True)
    assert (watched.said, watched.frozen.since_s) == ([], 0.0)


def test_the_same_frame_is_said_once_and_so_is_its_end() -> None:
    watched = Watched()
    watched.go_on(5, trembles=True)
    watched.go_on(55, trembles=False)
    assert watched.frozen.since_s == 0.0
    watched.go_on(300, trembles=False)
    assert 350 < watched.frozen.since_s < 356
    watched.go_on(5, trembles=True)
    assert watched.frozen.since_s == 0.0
    assert [line.rstrip("0123456789 s") for line in watched.said] == [
        "the picture has not changed for 60 s: does the camera hang?",
        "the picture changes again, after",
    ]


def test_a_frame_of_another_size_is_another_one() -> None:
    watched = Watched()
    watched.go_on(50, trembles=False)
    watched.image = np.zeros((24, 32), np.uint8)
    watched.go_on(50, trembles=False)
    assert not watched.said


def test_it_can_be_switched_off() -> None:
    watched = Watched(after_s=0.0)
    watched.go_on(1000, trembles=False)
    assert not watched.said


def test_a_frame_that_the_source_writes_anew_in_place_is_compared_with_what_it_was() -> None:
    watched = Watched()
    for level in range(100):
        watched.image[:] = level
        watched.go_on(1, trembles=False)
    assert not watched.said
