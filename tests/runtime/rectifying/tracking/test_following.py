"""Several targets in frames that follow one another: found, followed without a scan, numbered, read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest

from stn_rectify.runtime import (
    CapturedFrame,
    CornerSmoother,
    LabelVote,
    Location,
    MissRule,
    Pipeline,
    Processed,
    RecognitionSchedule,
    RecognitionStage,
    Rectifier,
    TargetTracker,
)
from stn_rectify.runtime.geometry import corner_error
from stn_rectify.runtime.sources.by_name import DEMO_IMAGE

FRAME_S = 1 / 30
SIZE = (480, 360)
LEFT = np.array([[40, 60], [180, 66], [176, 170], [44, 164]], np.float64)
RIGHT = np.array([[270, 150], [420, 160], [410, 270], [275, 262]], np.float64)


class Detecting(Rectifier):
    """The bundled model, whose first look is a detector's, which gives boxes of all targets around where they are."""

    def __init__(self) -> None:
        super().__init__()
        self.places: Sequence[np.ndarray] = ()
        self.scans, self.trust = 0, 1.0

    def locate_all(self, frame: np.ndarray, max_targets: int | None = None, *, boxes: Any = None) -> list[Location]:
        if boxes is not None:
            return super().locate_all(frame, max_targets, boxes=boxes)
        self.scans += 1
        around = [np.concatenate([place.min(axis=0) - 12, place.max(axis=0) + 12]) for place in self.places]
        found = super().locate_all(frame, max_targets, boxes=np.array(around).reshape(-1, 4))
        return [replace(location, score=self.trust * location.score, box=None) for location in found]


@pytest.fixture(scope="module")
def target() -> np.ndarray:
    with Rectifier() as rectifier:
        return rectifier.rectify(cv2.imread(str(DEMO_IMAGE))).image


@pytest.fixture
def detecting() -> Iterator[Detecting]:
    with Detecting() as rectifier:
        yield rectifier


class Scene:
    """Frames that show the sample's target in several places, and a pipeline that looks at them."""

    def __init__(self, target: np.ndarray, rectifier: Detecting, **options: Any) -> None:
        self._target, self._rectifier = target, rectifier
        self.pipeline = Pipeline(rectifier, **{"max_targets": 4, "rule": MissRule(0.5), **options})
        self._index = 0

    def show(self, *places: np.ndarray, detected: Sequence[np.ndarray] | None = None) -> Processed:
        """The next frame, in which targets are there; what the detector would find, if not all of them."""
        image = np.full((SIZE[1], SIZE[0], 3), (96, 104, 90), np.uint8)
        height, width = self._target.shape[:2]
        outline = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32) - np.float32(0.5)
        for place in places:
            to_frame = cv2.getPerspectiveTransform(outline, place.astype(np.float32))
            cv2.warpPerspective(
                self._target, to_frame, SIZE, image, flags=cv2.INTER_AREA, borderMode=cv2.BORDER_TRANSPARENT
            )
        self._rectifier.places = places if detected is None else detected
        done = self.pipeline.process(CapturedFrame("scene", self._index, 1000 + self._index * FRAME_S, image))
        self._index += 1
        return done


def tracks_at(done: Processed, *places: np.ndarray) -> list[int | None]:
    """The numbers of the targets that were found at these places; each has to be there."""
    numbers = []
    for place in places:
        error, nearest = min((float(corner_error(one.corners, place)), n) for n, one in enumerate(done.targets))
        assert error < 0.06, place
        numbers.append(done.targets[nearest].track)
    return numbers


def test_all_targets_are_found_best_first_with_numbers(target: np.ndarray, detecting: Detecting) -> None:
    scene = Scene(target, detecting, tracker=TargetTracker())
    for step in range(3):
        done = scene.show(LEFT + 3 * step, RIGHT - 2 * step)
        left, right = tracks_at(done, LEFT + 3 * step, RIGHT - 2 * step)
        assert {left, right} == {1, 2}
        assert [one.score for one in done.targets] == sorted((one.score for one in done.targets), reverse=True)
        assert done.result is done.targets[0]
        assert all(one.latency_ms == done.result.latency_ms for one in done.targets)


def test_no_more_than_asked_for(target: np.ndarray, detecting: Detecting) -> None:
    done = Scene(target, detecting, max_targets=1, tracker=TargetTracker(), scan_every=2).show(LEFT, RIGHT)
    assert len(done.targets) == 1


def test_between_scans_the_targets_are_followed_where_they_go(target: np.ndarray, detecting: Detecting) -> None:
    scene, numbers, scans = Scene(target, detecting, scan_every=5), [], []
    for step in range(11):
        left, right = np.add(LEFT, (6.0 * step, 0)), np.add(RIGHT, (0, 4.0 * step - 40))
        numbers.append(tracks_at(scene.show(left, right), left, right))
        scans.append(detecting.scans)
    assert scans == [1] * 5 + [2] * 5 + [3]
    assert numbers == [numbers[0]] * 11


def test_a_target_that_is_lost_has_the_frame_scanned_at_once(target: np.ndarray, detecting: Detecting) -> None:
    scene = Scene(target, detecting, scan_every=100)
    numbers = tracks_at(scene.show(LEFT, RIGHT), LEFT, RIGHT)
    scene.show(LEFT, RIGHT)
    assert detecting.scans == 1
    jumped = np.add(RIGHT, (-10, -130))
    done = scene.show(LEFT, jumped)
    assert detecting.scans == 2
    assert tracks_at(done, LEFT, jumped) == [numbers[0], 3]
    gone = scene.show(LEFT)
    assert detecting.scans == 3
    assert tracks_at(gone, LEFT) == numbers[:1]
    for _ in range(3):  # what a scan did not find either is no reason to scan again
        assert len(scene.show(LEFT).targets) == 1
    assert detecting.scans == 3


def test_what_a_scan_does_not_find_is_not_followed_on(target: np.ndarray, detecting: Detecting) -> None:
    """The refine network alone would take it for a target for ever."""
    scene = Scene(target, detecting, scan_every=3)
    counts = [len(scene.show(LEFT, RIGHT).targets) for _ in range(3)]
    counts += [len(scene.show(LEFT, RIGHT, detected=(LEFT,)).targets) for _ in range(3)]
    assert counts == [2, 2, 2, 1, 1, 1]
    assert detecting.scans == 2


def test_scores_between_scans_are_a_scans(target: np.ndarray, detecting: Detecting) -> None:
    detecting.trust = 0.7
    scene = Scene(target, detecting, scan_every=4)
    scores = [scene.show(LEFT).result.score for _ in range(5)]
    assert scores[0] == scores[1] == pytest.approx(0.7, abs=0.1)
    np.testing.assert_allclose(scores, scores[0], atol=0.03)
    detecting.trust = 0.3  # now no target by the rule
    assert [len(scene.show(LEFT).targets) for _ in range(4)] == [1, 1, 1, 0]


def test_a_new_target_is_found_by_the_next_scan(target: np.ndarray, detecting: Detecting) -> None:
    scene = Scene(target, detecting, scan_every=3)
    counts = [len(scene.show(LEFT).targets), *(len(scene.show(LEFT, RIGHT).targets) for _ in range(3))]
    assert counts == [1, 1, 1, 2]


def test_with_nothing_to_follow_frames_are_misses_until_the_next_scan(target: np.ndarray, detecting: Detecting) -> None:
    scene = Scene(target, detecting, scan_every=3)
    shown = [scene.show(), scene.show(LEFT), scene.show(LEFT), scene.show(LEFT)]
    assert [len(done.targets) for done in shown] == [0, 0, 0, 1]
    assert [done.is_found for done in shown] == [False, False, False, True]
    assert shown[1].result.score == 0
    assert shown[1].result.image.shape[:2] == SIZE[::-1]
    assert detecting.scans == 2


def test_another_model_scans_its_first_frame(target: np.ndarray, detecting: Detecting) -> None:
    scene = Scene(target, detecting, scan_every=100)
    scene.show(LEFT)
    scene.show(LEFT)
    assert detecting.scans == 1
    scene.pipeline.replace_rectifier(detecting)
    assert tracks_at(scene.show(LEFT), LEFT) == [2]
    assert detecting.scans == 2


def test_labels_and_votes_are_each_targets_own(target: np.ndarray, detecting: Detecting) -> None:
    """The recognizer tells the targets by their widths, and errs in one look at each."""
    asked: list[int] = []

    def read(image: np.ndarray) -> str:
        asked.append(image.shape[1])
        right = "wide" if image.shape[1] > 110 else "narrow"
        return "wrong" if len(asked) in (5, 6) else right

    narrow = LEFT * (0.55, 1.0) + (20, 0)
    stage = RecognitionStage(read, schedule=RecognitionSchedule(every=2), vote=LabelVote(5))
    scene = Scene(target, detecting, recognizer=stage, tracker=TargetTracker())
    for step in range(7):
        shown = (narrow + step,) if step == 5 else (narrow + step, RIGHT)
        done = scene.show(*shown)
        labels = {"narrow" if one.corners[0, 0] < 200 else "wide": one.label for one in done.targets}
        assert labels == {name: name for name in labels}, step
        assert len(labels) == len(shown)
    assert len(asked) < 2 * 7 - 4, "each was left out in every other frame"


def test_smoothing_is_each_targets_own(target: np.ndarray, detecting: Detecting) -> None:
    scene = Scene(target, detecting, smoother=CornerSmoother(0.05, 0.0))
    shown = [scene.show(LEFT, RIGHT), *(scene.show(LEFT + 5, RIGHT - 5) for _ in range(4))]
    places = [sorted((one.corners for one in done.targets), key=lambda corners: corners[0, 0]) for done in shown]
    left, right = ((last - first).mean() for first, last in zip(places[0], places[-1], strict=True))
    assert 0.1 < left < 2.5, "on its way to 5"
    assert -2.5 < right < -0.1


def test_of_images_every_target_is_read_and_none_is_numbered(target: np.ndarray, detecting: Detecting) -> None:
    asked: list[np.ndarray] = []

    def read(image: np.ndarray) -> None:
        asked.append(image)

    scene = Scene(target, detecting, recognizer=read)
    for count in (2, 4):
        done = scene.show(LEFT, RIGHT)
        assert len(asked) == count
        assert [one.track for one in done.targets] == [None, None]
