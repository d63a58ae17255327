"""Cuts to another scene, told from targets and cameras that move."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from stn_rectify.runtime import (
    CapturedFrame,
    LabelVote,
    Location,
    Pipeline,
    Recognition,
    RecognitionStage,
    Rectifier,
    TargetTracker,
)
from stn_rectify.runtime.geometry import corners_to_homography, homography_to_theta, transform_points
from stn_rectify.runtime.rectifying.refining.turning import turned_corners
from stn_rectify.runtime.rectifying.tracking.cuts import CutWatch

SIZE = (320, 240)
CORNERS = np.array([[110, 80], [210, 86], [206, 160], [104, 150]], np.float64)
SMALL = np.array([[40, 190], [80, 192], [79, 216], [38, 214]], np.float64)


def scene(seed: int, *places: np.ndarray) -> np.ndarray:
    """A ground and targets, each of soft blotches of their own."""
    rng = np.random.default_rng(seed)

    def blotches() -> np.ndarray:
        return cv2.resize(rng.integers(0, 256, (9, 12, 3), np.uint8), SIZE, interpolation=cv2.INTER_LINEAR)

    frame = blotches()
    for place in places:
        mask = np.zeros(SIZE[::-1], np.uint8)
        cv2.fillConvexPoly(mask, np.rint(place).astype(np.int32), 255)
        frame[mask > 0] = blotches()[mask > 0]
    return frame


def moved(frame: np.ndarray, corners: np.ndarray, matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What a camera that has moved sees, and where the target is in it."""
    seen = cv2.warpPerspective(frame, matrix, SIZE, borderMode=cv2.BORDER_REFLECT_101)
    return seen, transform_points(matrix, corners)


@pytest.mark.parametrize("seed", range(1, 9))
def test_another_scene_with_a_target_of_the_same_outline_is_a_cut(seed: int) -> None:
    watch = CutWatch()
    assert not watch.is_cut(scene(0, CORNERS), [CORNERS]), "nothing was before"
    assert watch.is_cut(scene(seed, CORNERS), [CORNERS])
    assert not watch.is_cut(scene(seed, CORNERS), [CORNERS])


@pytest.mark.parametrize(
    "matrix",
    [
        np.array([[1, 0, 60], [0, 1, -40], [0, 0, 1.0]]),
        np.array([[1.3, 0, -40], [0, 1.3, -30], [0, 0, 1.0]]),
        np.array([[0.9, -0.4, 60], [0.4, 0.9, -50], [0, 0, 1.0]]),
    ],
    ids=["pans", "comes nearer", "rolls"],
)
def test_a_camera_that_moves_is_none(matrix: np.ndarray) -> None:
    watch, frame = CutWatch(), scene(0, CORNERS)
    watch.is_cut(frame, [CORNERS])
    seen, corners = moved(frame, CORNERS, matrix)
    assert not watch.is_cut(seen, [corners + 1.5])


def test_a_target_that_moves_or_shows_something_else_is_none() -> None:
    watch = CutWatch()
    ground, there = scene(0), CORNERS + np.array([40, 30])
    for shown, corners in ((scene(1), CORNERS), (scene(1), there), (scene(2), there)):
        frame, mask = ground.copy(), np.zeros(SIZE[::-1], np.uint8)
        cv2.fillConvexPoly(mask, np.rint(corners).astype(np.int32), 255)
        frame[mask > 0] = shown[mask > 0]
        assert not watch.is_cut(frame, [corners])


@pytest.mark.parametrize(
    "change",
    [
        lambda frame: cv2.convertScaleAbs(frame, alpha=0.3),
        lambda frame: cv2.convertScaleAbs(frame, alpha=1.6, beta=20),
        lambda frame: cv2.GaussianBlur(frame, (0, 0), 6),
        lambda frame: cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY),
        lambda frame: np.zeros_like(frame),
        lambda frame: np.concatenate([frame, frame], axis=2),
    ],
    ids=["darker", "brighter", "blurred", "grey", "black", "six channels"],
)
def test_light_and_blur_are_none(change: Callable[[np.ndarray], np.ndarray]) -> None:
    watch, frame = CutWatch(), scene(0, CORNERS)
    watch.is_cut(frame, [CORNERS])
    assert not watch.is_cut(change(frame), [CORNERS])
    assert not watch.is_cut(frame, [turned_corners(CORNERS, 1)]), "found from another corner on"


def test_frames_without_a_target_tell_nothing() -> None:
    watch, frame = CutWatch(), scene(0, CORNERS)
    assert not watch.is_cut(frame, [CORNERS])
    assert not watch.is_cut(scene(5), []), "as with a hand before the lens"
    assert not watch.is_cut(frame, [CORNERS])
    assert not watch.is_cut(scene(5), [])
    assert watch.is_cut(scene(6, CORNERS), [CORNERS])


def test_one_target_that_is_still_there_is_enough() -> None:
    """A large one that moves before the camera, say: most of the frame is another, the small one is not."""
    before, after = scene(0, CORNERS, SMALL), scene(3, CORNERS)
    x, y, width, height = 20, 175, 80, 55
    after[y : y + height, x : x + width] = before[y : y + height, x : x + width]
    watch = CutWatch()
    watch.is_cut(before, [CORNERS, SMALL])
    assert not watch.is_cut(after, [CORNERS, SMALL])


@pytest.mark.parametrize("max_targets", [1, 2])
def test_over_a_cut_numbers_and_votes_start_anew(make_model: Callable[..., Path], max_targets: int) -> None:
    theta = homography_to_theta(corners_to_homography(CORNERS, *SIZE))

    class Showing(Rectifier):
        def locate(self, frame: object) -> Location:  # type: ignore[override]
            return Location(CORNERS.copy(), 0.9, 1.0, theta)

        def locate_all(self, frame: object, max_targets: object = None) -> list[Location]:  # type: ignore[override]
            return [self.locate(frame)]

    labels = iter("AAAABBB")
    stage = RecognitionStage(lambda image: Recognition(next(labels), 0.9), vote=LabelVote(5))
    done = []
    with Showing(make_model()) as rectifier:
        pipeline = Pipeline(rectifier, max_targets=max_targets, tracker=TargetTracker(), recognizer=stage)
        for index, seed in enumerate((1, 1, 1, 1, 2, 2, 2)):
            result = pipeline.process(CapturedFrame("test", index, 0.04 * index, scene(seed, CORNERS))).result
            done.append((result.track, result.label))
    assert done == [(1, "A")] * 4 + [(2, "B")] * 3
