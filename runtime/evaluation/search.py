"""Looks for the targets of annotated frames with a model file, frame by frame."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from stn_rectify.runtime.arrays import FloatArray, Image
from stn_rectify.runtime.clock import milliseconds_since
from stn_rectify.runtime.errors import DataError, SourceError, StnRectifyError
from stn_rectify.runtime.evaluation.known_folder import KnownFolder, KnownImage
from stn_rectify.runtime.evaluation.quadrilateral_overlap import box_overlap, intersection_over_union
from stn_rectify.runtime.images.reading import read_image
from stn_rectify.runtime.recognition.stage import RecognitionStage
from stn_rectify.runtime.rectifying.rectifier import Rectifier
from stn_rectify.runtime.results import Location


@dataclass(frozen=True, eq=False)
class FoundTarget:
    """One result of a frame.

    Attributes:
        corners: float64 [4, 2], frame pixels, TL TR BR BL of the upright target.
        score: above 0, to 1.
        text: the label that a recognizer gave it; None without one, and where it gave none.
    """

    corners: FloatArray
    score: float
    text: str | None = None


@dataclass(frozen=True, eq=False)
class SearchedFrame:
    """A frame, its targets and what was found of them.

    Attributes:
        image: the frame's file, and its targets.
        size: width and height of the frame, pixels.
        found: best first; without results of score 0, which are none.
        overlap: float64 [found, targets], intersection over union: of quadrilaterals, or of boxes where the targets
            are boxes.
        latency_ms: what finding them took, milliseconds, without reading texts.
    """

    image: KnownImage
    size: tuple[int, int]
    found: tuple[FoundTarget, ...]
    overlap: FloatArray
    latency_ms: float

    @property
    def score(self) -> float:
        """The score of the best result; 0 without one."""
        return self.found[0].score if self.found else 0.0


@dataclass(frozen=True)
class FolderResults:
    """What was found in the frames of a folder.

    Attributes:
        folder: the frames.
        frames: those that were searched, and the results.
        failed: frames that could not be read or searched, those left out as the annotations were read included.
    """

    folder: KnownFolder
    frames: tuple[SearchedFrame, ...]
    failed: int


class FolderSearch:
    """Looks for targets in the frames of a folder.

    Args:
        rectifier: looks for them.
        max_targets: results of a frame, at most, 1 or more.
        recognizer: reads the rectified results, each as if it came alone; None for no texts.
        max_pixels: of a frame; one with more is an error.
        on_error: called with the error of a frame that cannot be read or searched, which is then left out.
        on_frame: called after each frame with the number of frames done, those left out included.
    """

    def __init__(
        self,
        rectifier: Rectifier,
        *,
        max_targets: int,
        max_pixels: int,
        recognizer: RecognitionStage | None,
        on_error: Callable[[StnRectifyError], None],
        on_frame: Callable[[int], None],
    ) -> None:
        self._rectifier, self._max_targets, self._recognizer = rectifier, max_targets, recognizer
        self._on_error, self._on_frame, self._max_pixels = on_error, on_frame, max_pixels
        self._stopping = False

    @property
    def is_stopped(self) -> bool:
        """Tells whether `stop` was called."""
        return self._stopping

    def stop(self) -> None:
        """Ends the search after the frame at hand."""
        self._stopping = True

    def search(self, folder: KnownFolder) -> FolderResults:
        """Looks for the targets of a folder's frames, as far as it is not stopped."""
        searched, failed = [], folder.left_out
        for number, image in enumerate(folder.images, start=1):
            if self._stopping:
                break
            try:
                searched.append(self._searched(image, boxes=folder.boxes))
            except (SourceError, DataError) as error:
                failed += 1
                self._on_error(error if isinstance(error, SourceError) else DataError(f"{image.path}: {error}"))
            self._on_frame(number)
        return FolderResults(folder, tuple(searched), failed)

    def _searched(self, image: KnownImage, *, boxes: bool) -> SearchedFrame:
        frame = read_image(image.path, max_pixels=self._max_pixels)
        started = time.perf_counter()
        locations = self._rectifier.locate_all(frame, max_targets=self._max_targets)
        latency_ms = milliseconds_since(started)
        found = []
        for location in locations:
            if location.score > 0:
                text = None
                if self._recognizer is not None:
                    text = self._read(self._recognizer, frame, location)
                found.append(FoundTarget(location.corners, location.score, text))
        return searched_frame(image, (frame.shape[1], frame.shape[0]), found, latency_ms, boxes=boxes)

    def _read(self, recognizer: RecognitionStage, frame: Image, location: Location) -> str | None:
        recognizer.reset()
        result = self._rectifier.sample(frame, location)
        return recognizer.process(result, 0.0, lambda size: self._rectifier.sample_at(frame, location, size)).label


def searched_frame(
    image: KnownImage, size: tuple[int, int], found: Sequence[FoundTarget], latency_ms: float, *, boxes: bool
) -> SearchedFrame:
    """A frame and its results, compared.

    Args:
        image: the frame's file, and its targets.
        size: width and height of the frame, pixels.
        found: best first.
        latency_ms: what finding them took, milliseconds.
        boxes: whether the targets are boxes, of which no corners are known.
    """
    compare = box_overlap if boxes else intersection_over_union
    overlap = [[compare(one.corners, target.corners) for target in image.targets] for one in found]
    shape = (len(found), len(image.targets))
    return SearchedFrame(image, size, tuple(found), np.array(overlap, np.float64).reshape(shape), latency_ms)
