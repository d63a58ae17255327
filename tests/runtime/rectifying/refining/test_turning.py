"""Which side is up: what a turn network says is done, to corners, pose and image alike; frames that vote on it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from stn_rectify.runtime import CapturedFrame, Location, Pipeline, Rectifier, UsageError
from stn_rectify.runtime.geometry import (
    corners_to_homography,
    homography_to_theta,
    theta_to_corners,
    theta_to_homography,
)
from stn_rectify.runtime.rectifying.refining.turn_network import TurnNetwork
from stn_rectify.runtime.rectifying.refining.turning import (
    TurnVote,
    quarters_between,
    turn_of,
    turned_corners,
    turned_homography,
    turned_location,
)
from stn_rectify.runtime.rectifying.tracking.tracks import TargetTracker

MakeModel = Callable[..., Path]

SIZE = (320, 240)
POSE = (0.5, 0.05, 0.1, -0.04, 0.6, -0.05, 0.06, -0.04)
SQUARE = np.array([[-1.0, -1], [1, -1], [1, 1], [-1, 1]])
#: Edges of the target as seen, and by how many quarters clockwise it must be turned for that edge to be its top.
EDGES = {"top": 0, "left": 1, "bottom": 2, "right": 3}


def frame_with_bright(edge: str | None, theta: tuple[float, ...] = POSE) -> np.ndarray:
    """A dark frame in which one edge of the target with this pose is bright; None: all of it is grey."""
    y, x = np.mgrid[: SIZE[1], : SIZE[0]]
    points = np.stack([(x + 0.5) / SIZE[0] * 2 - 1, (y + 0.5) / SIZE[1] * 2 - 1, np.ones(x.shape)], axis=-1)
    u, v, w = np.moveaxis(points @ np.linalg.inv(theta_to_homography(np.array(theta))).T, -1, 0)
    u, v = u / w, v / w
    parts = {"top": v < -0.5, "left": u < -0.5, "bottom": v > 0.5, "right": u > 0.5}
    frame = np.zeros((SIZE[1], SIZE[0], 3), np.uint8)
    inside = (np.abs(u) <= 1) & (np.abs(v) <= 1)
    if edge is None:
        frame[inside] = 128  # as what lies around a target that is not square
    else:
        frame[parts[edge] & inside] = 255
    return frame


def located(corners: np.ndarray, turn: int | None = None, turn_score: float | None = None) -> Location:
    theta = homography_to_theta(corners_to_homography(corners, *SIZE))
    return Location(corners, 0.9, 1.0, theta, turn=turn, turn_score=turn_score)


@pytest.mark.parametrize(("edge", "quarters"), EDGES.items())
def test_the_target_comes_out_upright(make_model: MakeModel, edge: str, quarters: int) -> None:
    frame = frame_with_bright(edge)
    with Rectifier(make_model(POSE, score=False, turn=0.8)) as rectifier:
        location = rectifier.locate(frame)
        result = rectifier.sample(frame, location)
    seen = theta_to_corners(np.array(POSE), *SIZE)
    np.testing.assert_allclose(result.corners, np.roll(seen, quarters, axis=0), atol=0.01)
    assert (result.turn, location.turn) == (quarters, quarters)
    assert result.turn_score is not None
    assert result.turn_score > 0.9
    height, width = result.image.shape[:2]
    assert result.image[: height // 5].mean() > 200
    assert result.image[height // 3 :].mean() < 20
    corner = result.homography @ [-0.5, -0.5, 1]
    np.testing.assert_allclose(corner[:2] / corner[2], result.corners[0], atol=0.01)
    edges = np.linalg.norm(np.roll(result.corners, -1, axis=0) - result.corners, axis=1)
    assert (width > height) == (edges[0] + edges[2] > edges[1] + edges[3]), "the image has the turned target's aspect"


def test_where_it_is_unsure_nothing_is_turned(make_model: MakeModel) -> None:
    frame = frame_with_bright(None)
    with Rectifier(make_model(POSE, score=False, turn=0.8)) as rectifier:
        result = rectifier.rectify(frame)
    np.testing.assert_allclose(result.corners, theta_to_corners(np.array(POSE), *SIZE), atol=0.01)
    assert result.turn is None
    assert result.turn_score is not None
    assert 0.25 <= result.turn_score < 0.8


def test_what_is_no_target_is_not_asked_about() -> None:
    nothing = np.full((240, 320, 3), 128, np.uint8)
    with Rectifier() as rectifier:
        assert rectifier.turns
        location = rectifier.locate(nothing)
    assert location.score < 0.25
    assert (location.turn, location.turn_score) == (None, None)


def test_off_leaves_everything_as_it_was_found(make_model: MakeModel) -> None:
    frame = frame_with_bright("left")
    with (
        Rectifier(make_model(POSE, score=False, turn=0.8), upright="off") as off,
        Rectifier(make_model(POSE)) as without,
    ):
        result, plain = off.rectify(frame), without.rectify(frame)
        assert (off.upright, off.turns, without.turns) == ("off", False, False)
    np.testing.assert_array_equal(result.corners, plain.corners)
    np.testing.assert_array_equal(result.image, plain.image)
    assert (result.turn, result.turn_score, plain.turn) == (None, None, None)


def test_a_target_that_was_found_unturned_is_turned_later_as_it_would_have_been(make_model: MakeModel) -> None:
    frame = frame_with_bright("left")
    with Rectifier(make_model(POSE, score=False, turn=0.8)) as rectifier:
        at_once, found = rectifier.locate(frame), rectifier.locate(frame, turned=False)
        (among,) = rectifier.locate_all(frame, turned=False)
        later = rectifier.turn_upright(frame, found)
        with pytest.raises(UsageError, match="turned is 'off': must be True or False"):
            rectifier.locate(frame, turned="off")  # type: ignore[arg-type]
        with pytest.raises(UsageError, match="turned is 0: must be True or False"):
            rectifier.locate_all(frame, turned=0)  # type: ignore[arg-type]
    np.testing.assert_allclose(found.corners, theta_to_corners(np.array(POSE), *SIZE), atol=0.01)
    np.testing.assert_array_equal(among.corners, found.corners)
    assert (found.turn, found.turn_score, among.turn_score) == (None, None, None)
    np.testing.assert_array_equal(later.corners, at_once.corners)
    np.testing.assert_array_equal(later.theta, at_once.theta)
    assert (later.turn, later.turn_score) == (1, at_once.turn_score)
    assert later.latency_ms > found.latency_ms


def test_what_cannot_be_turned_is_given_back_as_it_was(make_model: MakeModel) -> None:
    frame = frame_with_bright("left")
    with Rectifier(make_model(POSE, score=False, turn=0.8)) as rectifier, Rectifier(make_model(POSE)) as without:
        found = rectifier.locate(frame, turned=False)
        miss = replace(found, theta=None)
        assert rectifier.turn_upright(frame, miss) is miss
        assert without.turn_upright(frame, found) is found


def test_the_graphs_own_image_is_not_turned(make_model: MakeModel) -> None:
    half_a_turn = (-1.0, 0, 0, 0, -1.0, 0, 0, 0)
    with Rectifier(make_model(half_a_turn, in_graph=True, turn=0.8), output="model") as rectifier:
        assert not rectifier.turns
        result = rectifier.rectify(frame_with_bright("left"))
    assert result.turn is None


def test_it_is_asked_after_the_last_refinement_pass(make_model: MakeModel) -> None:
    """The scan network's pose alone would show another edge as bright."""
    scan, inner = (1.0, 0, 0, 0, 1.0, 0, 0, 0), (0.5, 0, 0, 0, 0.5, 0, 0, 0)
    refined = (0.5 / 1.4, 0, 0, 0, 0.5 / 1.4, 0, 0, 0)
    frame = frame_with_bright("bottom", inner)
    frame[:25] = 255  # of the whole frame the top is bright
    with Rectifier(make_model(scan, turn=0.8)) as alone:
        assert alone.rectify(frame).turn == 0
    with Rectifier(make_model(scan, refine={"theta": refined}, turn=0.8), refine=1) as rectifier:
        assert rectifier.rectify(frame).turn == 2


def test_each_of_several_targets_is_turned_by_itself(make_dense_model: MakeModel) -> None:
    frame = np.zeros((96, 128, 3), np.uint8)
    frame[28:36, 24:40] = (0, 96, 255)
    frame[60:68, 88:104] = (0, 96, 250)
    frame[8:56, :8] = (0, 255, 0)  # the left side of the first
    frame[40:88, 119:] = (0, 255, 0)  # the right side of the second
    with Rectifier(make_dense_model(turn=0.4)) as rectifier:
        turns = [location.turn for location in rectifier.locate_all(frame)]
    assert turns == [1, 3]


def test_other_words_are_refused(model: Path) -> None:
    with pytest.raises(UsageError, match="upright is 'on': choose 'auto' or 'off'"):
        Rectifier(model, upright="on")  # type: ignore[arg-type]


def test_four_quarters_change_nothing_and_two_are_half_a_turn() -> None:
    homography = theta_to_homography(np.array(POSE))
    np.testing.assert_array_equal(turned_homography(homography, 4), homography)
    np.testing.assert_array_equal(turned_homography(homography, 2), homography * (-1, -1, 1))
    np.testing.assert_array_equal(turned_homography(turned_homography(homography, 1), 3), homography)


@pytest.mark.parametrize("quarters", range(-4, 5))
def test_corners_and_pose_turn_alike(quarters: int) -> None:
    location = turned_location(located(theta_to_corners(np.array(POSE), *SIZE)), quarters)
    assert location.theta is not None
    np.testing.assert_allclose(theta_to_corners(location.theta, *SIZE), location.corners, atol=1e-9)


@pytest.mark.parametrize(
    ("degrees", "turn"), [(0, 0), (40, 0), (-40, 0), (90, 3), (50, 3), (180, 2), (-170, 2), (-90, 1)]
)
def test_a_turn_is_that_of_the_target_in_the_frame(degrees: float, turn: int) -> None:
    """Degrees clockwise, as a page on a table lies."""
    angle = np.radians(degrees)
    clockwise = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    assert turn_of(100 + 30 * SQUARE @ clockwise.T) == turn


@pytest.mark.parametrize("quarters", range(4))
def test_the_order_of_other_corners_is_found_again(quarters: int) -> None:
    corners = 100 + 40 * SQUARE * (2, 1) + [[0, 0], [3, 1], [-2, 4], [1, -3]]
    moved = turned_corners(corners, -quarters) + np.array([12, -7])
    assert quarters_between(moved, corners) == quarters


class TestVotes:
    PAGE = 100 + 30 * SQUARE * (2, 3)

    def test_one_doubtful_frame_turns_nothing(self) -> None:
        vote = TurnVote()
        for _ in range(5):
            vote.update(located(self.PAGE, 0, 0.95))
        wrong = located(turned_corners(self.PAGE, 2), 2, 0.9)
        voted = vote.update(wrong)
        np.testing.assert_array_equal(voted.corners, self.PAGE)
        assert voted.turn == 0
        assert voted.turn_score is not None
        assert 0.7 < voted.turn_score < 0.9

    def test_many_frames_do(self) -> None:
        vote = TurnVote()
        vote.update(located(self.PAGE, 0, 0.9))
        for _ in range(30):
            voted = vote.update(located(turned_corners(self.PAGE, 2), 2, 0.95))
        np.testing.assert_array_equal(voted.corners, turned_corners(self.PAGE, 2))
        assert voted.turn == 2
        assert voted.turn_score is not None
        assert voted.turn_score > 0.9

    def test_a_frame_that_is_unsure_keeps_the_order_of_the_others(self) -> None:
        vote = TurnVote()
        vote.update(located(turned_corners(self.PAGE, 1), 1, 0.9))
        voted = vote.update(located(self.PAGE + 3, None, 0.4))
        np.testing.assert_array_equal(voted.corners, turned_corners(self.PAGE + 3, 1))
        assert (voted.turn, voted.turn_score) == (1, 1.0)
        assert voted.theta is not None
        np.testing.assert_allclose(theta_to_corners(voted.theta, *SIZE), voted.corners, atol=1e-9)

    def test_as_long_as_none_is_sure_nothing_is_said(self) -> None:
        voted = TurnVote().update(located(self.PAGE, None, 0.4))
        assert (voted.turn, voted.turn_score) == (None, 0.4)
        np.testing.assert_array_equal(voted.corners, self.PAGE)

    def test_a_target_on_its_corner_does_not_flip(self) -> None:
        """The order in which it is found jumps by a quarter from frame to frame."""
        angle = np.radians(45)
        page = 100 + 30 * SQUARE @ np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]).T
        vote = TurnVote()
        for number in range(6):
            seen = turned_corners(page + 0.2 * number, number % 2)
            voted = vote.update(located(seen, None, 0.5))
            np.testing.assert_array_equal(voted.corners, page + 0.2 * number)

    @pytest.mark.parametrize(
        ("corners", "is_like"),
        [
            (np.add(PAGE, (40, -25)), True),
            (130 + 1.1 * (PAGE - 100), True),
            (turned_corners(PAGE, 3) + 2, True),
            (130 + 1.25 * (PAGE - 100), False),
            (100 + (PAGE - 100)[:, ::-1][[0, 3, 2, 1]], False),
        ],
        ids=["elsewhere", "a little larger", "found from another corner on", "larger", "on its side"],
    )
    def test_a_target_is_known_by_its_outline_wherever_it_lies(self, corners: np.ndarray, is_like: bool) -> None:
        vote = TurnVote()
        assert vote.like(located(corners)), "nothing is known of any"
        vote.update(located(self.PAGE, 0, 0.9))
        assert vote.like(located(corners)) == is_like
        assert vote.like(replace(located(corners), theta=None)), "a miss says nothing"

    def test_another_target_in_the_place_of_the_last_one_is_turned_at_once(self, make_model: MakeModel) -> None:
        """As after a cut: it overlaps the one before, and keeps its number, but not its votes."""
        page, larger = self.PAGE, 100 + 1.25 * (self.PAGE - 100)
        shown = [located(page, 0, 0.95)] * 9 + [located(turned_corners(larger, 2), 2, 0.95)] * 2

        class Showing(Rectifier):
            def locate(self, frame: object) -> Location:  # type: ignore[override]
                return shown[len(done)]

        done: list[tuple[int | None, int | None]] = []
        with Showing(make_model(POSE, score=False, turn=0.8)) as rectifier:
            pipeline = Pipeline(rectifier, tracker=TargetTracker())
            for index in range(len(shown)):
                image = np.zeros((SIZE[1], SIZE[0], 3), np.uint8)
                result = pipeline.process(CapturedFrame("test", index, 0.04 * index, image)).result
                done.append((result.track, result.turn))
        assert done == [(1, 0)] * 9 + [(1, 2)] * 2

    def test_a_miss_is_given_back(self) -> None:
        miss = replace(located(self.PAGE), theta=None)
        assert TurnVote().update(miss) is miss

    def test_in_a_pipeline_the_frames_of_a_track_vote(self, make_model: MakeModel) -> None:
        frames = [frame_with_bright(edge) for edge in ("left", "left", None, None, "left", None, "right")]
        for image in frames:
            image[:, :70] = 255  # the same ground beside the target: no cut
        with Rectifier(make_model(POSE, score=False, turn=0.8)) as rectifier:
            pipeline = Pipeline(rectifier, tracker=TargetTracker())
            alone = Pipeline(rectifier)
            turns = []
            for index, image in enumerate(frames):
                captured = CapturedFrame("test", index, 0.04 * index, image)
                turns.append((pipeline.process(captured).result.turn, alone.process(captured).result.turn))
        assert turns == [(1, 1)] * 2 + [(1, None)] * 2 + [(1, 1), (1, None), (1, 3)]

    @pytest.mark.parametrize("tracked", [True, False], ids=["tracked", "each for itself"])
    def test_a_pipeline_looks_at_a_part_of_a_tracks_frames_alone(
        self, make_model: MakeModel, monkeypatch: pytest.MonkeyPatch, tracked: bool
    ) -> None:
        looks, look = [], TurnNetwork.look
        monkeypatch.setattr(TurnNetwork, "look", lambda *words: looks.append(index) or look(*words))
        with Rectifier(make_model(POSE, score=False, turn=0.8)) as rectifier:
            pipeline = Pipeline(rectifier, tracker=TargetTracker() if tracked else None)
            for index in range(8):
                captured = CapturedFrame("test", index, 0.04 * index, frame_with_bright("left"))
                assert pipeline.process(captured).result.turn == 1
        assert looks == ([0, 4] if tracked else list(range(8)))

    def test_a_class_that_finds_targets_in_a_way_of_its_own_is_asked_for_no_more_than_that(
        self, make_model: MakeModel
    ) -> None:
        class Elsewhere(Rectifier):
            def locate(self, frame: object) -> Location:  # type: ignore[override]
                return located(turned_corners(theta_to_corners(np.array(POSE), *SIZE), 3), 3, 0.9)

        with Elsewhere(make_model(POSE, score=False, turn=0.8)) as rectifier:
            pipeline = Pipeline(rectifier, tracker=TargetTracker())
            captured = CapturedFrame("test", 0, 0.0, frame_with_bright("left"))
            assert pipeline.process(captured).result.turn == 3

    def test_frames_are_looked_at_less_and_less_often_until_one_does_not_agree(self) -> None:
        vote, looks = TurnVote(), []
        for number in range(60):
            if vote.wants_look:
                looks.append(number)
            seen = number < 40
            turn = (0 if seen else 2) if vote.wants_look else None
            location = located(self.PAGE if seen or turn is None else turned_corners(self.PAGE, 2), turn)
            vote.update(replace(location, turn_score=0.95 if vote.wants_look else None))
        assert looks[:5] == [0, 4, 20, 36, 52]
        assert looks[5:] == [53, 54, 58], "one that says otherwise is not believed alone, but three are"

    def test_of_a_print_that_says_nothing_few_frames_are_asked(self) -> None:
        vote, looks = TurnVote(), 0
        for _ in range(64):
            looks += vote.wants_look
            voted = vote.update(located(self.PAGE, None, 0.6 if vote.wants_look else None))
            assert (voted.turn, voted.turn_score) == (None, 0.6)
        assert looks == 5
