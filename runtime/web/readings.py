"""The last readings of a run: what was read or found, when, how sure, and its best picture."""

from __future__ import annotations

import random
import threading
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from stn_rectify.runtime.arrays import FloatArray, Image
from stn_rectify.runtime.images.encoding import shrunk
from stn_rectify.runtime.pipeline import Processed
from stn_rectify.runtime.results import Rectification
from stn_rectify.runtime.sources import CapturedFrame

_MOST = 60
_MOST_BYTES = 32_000_000  # of all pictures; a small device has little memory
_LONGEST_PX = 1280  # of a picture that is kept
_GAP_S = 1.0  # a target that was away for longer is read anew
_FLICKER_S = 2.0  # a label that comes back within this time is the same reading
_REVISIONS = 2**40  # JavaScript counts to 2**53
_MOST_OF_ONE = 8  # readings of one target that may come back


@dataclass(frozen=True)
class _Moment:
    """A frame without its picture, which would take up the memory."""

    source: str
    index: int
    page: int | None
    unix_s: float
    position_s: float | None

    @classmethod
    def of(cls, frame: CapturedFrame) -> _Moment:
        return cls(frame.source, frame.index, frame.page, frame.timestamp, frame.position_s)

    def is_frame_of(self, other: _Moment) -> bool:
        """Tells whether both are one frame, processed twice."""
        return (self.source, self.index, self.page) == (other.source, other.index, other.page)

    def seconds_since(self, earlier: _Moment) -> float:
        """The time between the two; in a video file its own, which is read faster or slower than it plays."""
        if self.position_s is not None and earlier.position_s is not None:
            return self.position_s - earlier.position_s
        return self.unix_s - earlier.unix_s


@dataclass(eq=False)
class Reading:
    """One target for as long as it showed the same.

    Attributes:
        number: counts them from 1.
        first: when it was first seen.
        last: when it was last seen.
        frames: in how many frames it was seen.
        best: when it was seen best: with the highest score of the label, or else of the target.
        label: as in `Rectification`, of the best one; so ``label_score``, ``score``, ``track`` and ``corners``.
        picture: uint8 [h, w, 3] BGR or [h, w] grey: the best one, upright, no side longer than 1280 pixels; None where
            room was needed for newer ones.
        revision: a number that changes with the picture and what is said of it.
    """

    number: int
    first: _Moment
    last: _Moment
    frames: int
    best: _Moment
    label: str | None
    label_score: float | None
    score: float
    track: int | None
    corners: FloatArray
    picture: Image | None
    revision: int = 0

    def values(self) -> dict[str, Any]:
        """The reading in types that JSON has: times in Unix seconds, ``picture`` tells whether there is one."""
        best = self.best
        return {
            "number": self.number,
            "first": round(self.first.unix_s, 3),
            "last": round(self.last.unix_s, 3),
            "frames": self.frames,
            "label": self.label,
            "label_score": None if self.label_score is None else round(self.label_score, 4),
            "score": round(self.score, 4),
            "track": self.track,
            "source": best.source,
            "frame": best.index,
            **({} if best.page is None else {"page": best.page}),
            **({} if best.position_s is None else {"position_s": round(best.position_s, 3)}),
            "corners": [[round(x, 3), round(y, 3)] for x, y in self.corners.tolist()],
            "picture": self.picture is not None,
            "revision": self.revision,
        }


class Readings:
    """Keeps the last readings; written by the thread of the run, read by those of the server.

    A target has a new reading when its label changes, and when it comes back after a second without it. A label that
    flickers between two texts is two readings, not hundreds. Nothing is encoded here: a reading keeps a reference to
    its rectified image, or a smaller copy of a large one.
    """

    def __init__(self) -> None:
        self._kept: dict[int, Reading] = {}  # by number, the oldest first
        self._open: dict[Hashable, list[int]] = {}  # by target: the numbers that may go on, the last one first
        self._previous: _Moment | None = None  # the frame before, whatever it showed
        self._count = 0
        self._revision = random.randrange(_REVISIONS)  # a page outlives the run, and must not take its list for ours
        self._lock = threading.Lock()

    @property
    def revision(self) -> int:
        """A number that changes when a reading is added, or has another picture; another one in each run."""
        return self._revision

    def add(self, done: Processed) -> None:
        """Takes the targets of the next frame that count as found."""
        moment = _Moment.of(done.frame)
        targets = [target for target in done.targets or (done.result,) if done.rule.is_found(target)]
        with self._lock:
            self._open = {
                key: numbers
                for key, numbers in self._open.items()
                if any(self._may_go_on(number, moment, _FLICKER_S) for number in numbers)
            }
            # Without a number a target is known by its place in the order of scores.
            keys: list[Hashable] = [
                (moment.source, "place" if target.track is None else "track", target.track or place)
                for place, target in enumerate(targets)
            ]
            for key, target in zip(keys, targets, strict=True):
                numbers = self._open.get(key) or self._lost(keys, moment, target)
                number = self._read(numbers, moment, target)
                self._open[key] = [number, *(other for other in numbers if other != number)][:_MOST_OF_ONE]
            self._previous = moment

    def newest_first(self) -> list[dict[str, Any]]:
        """All that are kept, as `Reading.values` gives them."""
        with self._lock:
            return [reading.values() for reading in reversed(self._kept.values())]

    def picture(self, number: int) -> Image | None:
        """The picture of a reading; None where there is no such reading, or its picture is not kept any more."""
        with self._lock:
            reading = self._kept.get(number)
        return None if reading is None else reading.picture

    def _read(self, numbers: list[int], moment: _Moment, target: Rectification) -> int:
        """The number of the reading that a target goes on with, or begins."""
        for place, number in enumerate(numbers):
            if not self._may_go_on(number, moment, _FLICKER_S if place else _GAP_S):
                continue
            reading = self._kept[number]
            is_again = reading.last.is_frame_of(moment)
            if is_again or reading.label == target.label:
                self._see(reading, moment, target, is_again=is_again)
                return number
        self._count += 1
        self._keep(Reading(self._count, moment, moment, 1, moment, **_values_of(target)))
        return self._count

    def _lost(self, keys: Sequence[Hashable], moment: _Moment, target: Rectification) -> list[int]:
        """The readings of a target that was lost a moment ago and has a new number: its text tells."""
        for key, numbers in self._open.items():
            reading = self._kept.get(numbers[0])
            if key in keys or reading is None or reading.label is None:
                continue
            if reading.label == target.label and self._may_go_on(numbers[0], moment, _FLICKER_S):
                return self._open.pop(key)
        return []

    def _may_go_on(self, number: int, moment: _Moment, gap_s: float) -> bool:
        reading = self._kept.get(number)
        if reading is None:
            return False
        last = reading.last
        if last.is_frame_of(moment):
            return True
        # Where frames come seldom the one before is near, however long ago it was.
        is_next = self._previous is not None and last.is_frame_of(self._previous)
        gap = moment.seconds_since(last)
        return last.page == moment.page and gap >= 0 and (is_next or gap <= gap_s)

    def _see(self, reading: Reading, moment: _Moment, target: Rectification, *, is_again: bool) -> None:
        """The reading goes on. Where it is better, or the same frame with other settings, so is its picture."""
        reading.last = moment  # in place: this is done for each frame
        reading.frames += not is_again
        if is_again or _sureness(target) > _sureness(reading):
            self._keep(replace(reading, best=moment, **_values_of(target)))

    def _keep(self, reading: Reading) -> None:
        self._revision += 1
        self._kept[reading.number] = replace(reading, revision=self._revision)
        self._make_room()

    def _make_room(self) -> None:
        while len(self._kept) > _MOST:
            del self._kept[next(iter(self._kept))]
        size = 0
        for number in reversed(self._kept):
            reading = self._kept[number]
            size += 0 if reading.picture is None else reading.picture.nbytes
            if size > _MOST_BYTES and reading.picture is not None:
                self._kept[number] = replace(reading, picture=None, revision=self._revision)


def _values_of(target: Rectification) -> dict[str, Any]:
    """What a reading takes over from a result; its picture smaller where it is large."""
    return {
        "label": target.label,
        "label_score": target.label_score,
        "score": target.score,
        "track": target.track,
        "corners": target.corners,
        "picture": shrunk(target.image, _LONGEST_PX),
    }


def _sureness(seen: Rectification | Reading) -> float:
    """The score that says which picture is the best, 0 to 1."""
    return seen.score if seen.label_score is None else seen.label_score
