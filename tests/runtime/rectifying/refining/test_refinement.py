"""Refinement passes: two networks in one file, poses composed, where it stops, what the score is."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from stn_rectify.runtime import Rectifier, UsageError
from stn_rectify.runtime.rectifying.refining.refinement import compose, final_score, refine_pose

SCAN = (0.5, -0.1, 0.1, 0.12, 0.45, -0.05, 0.05, -0.04)
SEEN = (0.7, 0.03, -0.02, -0.02, 0.72, 0.03, 0.01, -0.02)  # near 1 / 1.4: a small correction
FAR = (0.65, 0, 0, 0, 0.65, 0, 0, 0)
UNCHANGED = (1 / 1.4, 0, 0, 0, 1 / 1.4, 0, 0, 0)
MIRRORED = (-1 / 1.4, 0, 0, 0, 1 / 1.4, 0, 0, 0)

MakeModel = Callable[..., Path]


def corners_by_hand(
    passes: int, *, seen: tuple[float, ...] = SEEN, margin: float = 0.2, size: tuple[int, int] = (320, 240)
) -> np.ndarray:
    """Each corner through every pass, from the words of the contract."""
    crop = np.diag([1 + 2 * margin, 1 + 2 * margin, 1])
    step = crop @ np.append(seen, 1).reshape(3, 3)
    corners = []
    for corner in ((-1, -1), (1, -1), (1, 1), (-1, 1)):
        point = np.array([*corner, 1.0])
        for _ in range(passes):
            point = step @ point
        x, y, w = np.append(SCAN, 1).reshape(3, 3) @ point
        corners.append([(x / w + 1) / 2 * size[0] - 0.5, (y / w + 1) / 2 * size[1] - 0.5])
    return np.array(corners)


@pytest.fixture
def dark() -> np.ndarray:
    """A frame in which the networks' θ are what they were made with, wherever they look."""
    return np.zeros((240, 320, 3), np.uint8)


@pytest.mark.parametrize("passes", [0, 1, 2, 3, 5])
def test_each_pass_composes_its_answer_with_the_pose(make_model: MakeModel, dark: np.ndarray, passes: int) -> None:
    with Rectifier(make_model(SCAN, refine={"theta": SEEN}), refine=passes) as rectifier:
        assert rectifier.refine == passes
        result = rectifier.rectify(dark)
    frame_pixel = result.homography @ [0, 0, 1]
    np.testing.assert_allclose(result.corners, corners_by_hand(passes), atol=0.02)
    np.testing.assert_allclose(frame_pixel[:2] / frame_pixel[2], result.corners[0], atol=3)  # next to that corner
    assert result.homography[2, 2] == 1


@pytest.mark.parametrize("margin", [0.0, 0.5])
def test_the_files_margin_counts(make_model: MakeModel, dark: np.ndarray, margin: float) -> None:
    with Rectifier(make_model(SCAN, refine={"theta": SEEN, "margin": margin}), refine=1) as rectifier:
        np.testing.assert_allclose(rectifier.rectify(dark).corners, corners_by_hand(1, margin=margin), atol=0.02)


def test_the_file_says_how_many_passes_if_nobody_else_does(make_model: MakeModel, dark: np.ndarray) -> None:
    """And while they move the corners by much, three more follow."""
    for seen, passes in ((UNCHANGED, 3), (FAR, 6)):
        with Rectifier(make_model(SCAN, refine={"theta": seen, "passes": 3})) as rectifier:
            assert rectifier.refine == 3
            assert "refine=3" in repr(rectifier)
            corners = rectifier.rectify(dark).corners
        np.testing.assert_allclose(corners, corners_by_hand(passes, seen=seen), atol=0.02)


def test_without_passes_a_file_of_two_networks_gives_what_its_scan_network_gives(
    make_model: MakeModel, frame: np.ndarray
) -> None:
    two, one = make_model(SCAN, refine={"theta": SEEN}), make_model(SCAN)
    with Rectifier(two, refine=0) as first, Rectifier(one) as second, Rectifier(one, refine=0) as third:
        a, *others = (rectifier.rectify(frame) for rectifier in (first, second, third))
    for b in others:
        np.testing.assert_array_equal(a.image, b.image)
        np.testing.assert_array_equal(a.corners, b.corners)
        np.testing.assert_array_equal(a.homography, b.homography)
        assert a.score == b.score


def test_no_change_leaves_the_pose_where_it_is(make_model: MakeModel, dark: np.ndarray) -> None:
    with Rectifier(make_model(SCAN, refine={"theta": UNCHANGED}), refine=5) as rectifier:
        np.testing.assert_allclose(rectifier.rectify(dark).corners, corners_by_hand(0), atol=0.02)


def test_the_network_sees_the_crop_of_the_pose_at_the_frames_resolution(make_model: MakeModel) -> None:
    """Its θ moves with the red of the crop's last pixel, which a few pixels of the frame decide."""
    width, height = 1280, 960
    last = np.array([1 - 1 / 40, 1 - 1 / 24])  # centre of the crop's last pixel
    x, y, w = np.append(SCAN, 1).reshape(3, 3) @ np.array([*(1.4 * last), 1])
    column, row = round((x / w + 1) / 2 * width - 0.5), round((y / w + 1) / 2 * height - 0.5)
    model = make_model(SCAN, refine={"theta": UNCHANGED})
    frame = np.zeros((height, width, 3), np.uint8)
    with Rectifier(model, refine=1) as rectifier:
        dark = rectifier.rectify(frame).corners
        frame[row - 24 : row + 25, column - 24 : column + 25, 2] = 255
        bright = rectifier.rectify(frame).corners
        frame[row - 24 : row + 25, column - 24 : column + 25, 2] = 0
        frame[row + 60, column + 60] = 255
        beside = rectifier.rectify(frame).corners
    moved = np.linalg.norm(bright - dark, axis=1)
    # θ[2] grows by 0.1, which is 1.4 · 0.1 of half the target's width.
    assert (np.abs(moved / (0.14 / 2 * np.linalg.norm(dark[1] - dark[0])) - 1) < 0.25).all()
    np.testing.assert_array_equal(beside, dark)


@pytest.mark.parametrize(("score", "expected"), [(True, 0.5 * 0.25), (False, 0.5)], ids=["both", "scan only"])
def test_the_score_is_the_product_of_both_networks(make_model: MakeModel, score: bool, expected: float) -> None:
    """Here a score is the red of the first pixel: of the frame, and of the crop, which looks elsewhere."""
    frame = np.zeros((480, 640, 3), np.uint8)
    frame[..., 2] = 64
    frame[:40, :40, 2] = 128
    frame[300:] = frame[:, 500:] = 0  # last pixels black: θ stays
    with Rectifier(make_model((0.3, 0, 0, 0, 0.3, 0, 0, 0), refine={"theta": UNCHANGED, "score": score})) as rectifier:
        assert rectifier.rectify(frame).score == pytest.approx(expected, abs=0.01)


def test_a_pass_that_gives_no_quadrilateral_is_not_taken_but_its_score_counts(make_model: MakeModel) -> None:
    frame = np.full((240, 320, 3), 64, np.uint8)
    frame[-60:] = 0
    with (
        Rectifier(make_model(SCAN, refine={"theta": MIRRORED}), refine=3) as rectifier,
        Rectifier(make_model(SCAN)) as scan,
    ):
        kept, before = rectifier.rectify(frame), scan.rectify(frame)
    np.testing.assert_array_equal(kept.corners, before.corners)
    assert kept.score == pytest.approx(before.score * 0.25, abs=0.01)


def test_an_unusable_first_pose_is_not_refined(make_model: MakeModel, frame: np.ndarray) -> None:
    with Rectifier(make_model((-0.5, 0, 0, 0, 0.5, 0, 0, 0), refine={"theta": SEEN})) as rectifier:
        result = rectifier.rectify(frame)
    assert result.score == 0
    np.testing.assert_allclose(result.corners, [[-0.5, -0.5], [319.5, -0.5], [319.5, 239.5], [-0.5, 239.5]])


@pytest.mark.parametrize("shape", [(240, 320), (240, 320, 1)])
def test_grey_frames_are_refined_like_coloured_ones(make_model: MakeModel, shape: tuple[int, ...]) -> None:
    with Rectifier(make_model(SCAN, refine={"theta": SEEN}), refine=2) as rectifier:
        np.testing.assert_allclose(rectifier.rectify(np.zeros(shape, np.uint8)).corners, corners_by_hand(2), atol=0.02)


def test_frames_of_more_channels_than_opencv_warps(make_model: MakeModel) -> None:
    six = make_model(SCAN, (32, 48, 6), refine={"theta": SEEN, "shape": (24, 40, 6)})
    with Rectifier(six, refine=2) as rectifier:
        result = rectifier.rectify(np.zeros((240, 320, 6), np.uint8))
    np.testing.assert_allclose(result.corners, corners_by_hand(2), atol=0.02)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"refine": -1}, "whole number from 0 to 100"),
        ({"refine": 101}, "whole number from 0 to 100"),
        ({"refine": 1.5}, "refine is 1.5"),
        ({"refine": True}, "refine is True"),
        ({"refine": "2"}, "refine is '2'"),
        ({"refine": 1, "output": "model"}, "refine needs output='frame'"),
    ],
)
def test_refine_is_checked(make_model: MakeModel, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Rectifier(make_model(SCAN, in_graph=True, refine={"theta": SEEN}), **options)


def test_the_graphs_own_pixels_are_never_refined(make_model: MakeModel) -> None:
    with Rectifier(make_model(SCAN, in_graph=True, refine={"theta": SEEN}), output="model") as rectifier:
        assert rectifier.refine == 0


def test_passes_need_a_refine_network(make_model: MakeModel) -> None:
    with pytest.raises(UsageError, match="'test' has no refine network: use refine=0 \\(--refine 0\\)"):
        Rectifier(make_model(SCAN), refine=1)


class Answers:
    """Gives one answer after the other, and keeps what it was asked."""

    margin = 0.2

    def __init__(self, *answers: tuple[float, ...]) -> None:
        self._answers = [np.append(answer, 1).reshape(3, 3) for answer in answers]
        self.asked: list[np.ndarray] = []
        self.supersampling: list[int] = []

    def look(self, frame: np.ndarray, homography: np.ndarray, supersampling: int) -> tuple[np.ndarray, float | None]:
        self.asked.append(homography)
        self.supersampling.append(supersampling)
        return self._answers[len(self.asked) - 1], 1 / (1 + len(self.asked))


def test_refinement_stops_at_the_first_pass_that_cannot_be_taken(frame: np.ndarray) -> None:
    answers = Answers(SEEN, MIRRORED, SEEN)
    pose = refine_pose(answers, frame, np.append(SCAN, 1).reshape(3, 3), 3)
    assert (pose.passes, len(answers.asked), pose.score) == (1, 2, 1 / 3)
    np.testing.assert_array_equal(pose.homography, answers.asked[1])


@pytest.mark.parametrize(("passes", "expected"), [(1, [2]), (3, [1, 1, 2])])
def test_only_the_last_pass_gets_a_supersampled_crop(frame: np.ndarray, passes: int, expected: list[int]) -> None:
    answers = Answers(*[SEEN] * passes)
    refine_pose(answers, frame, np.append(SCAN, 1).reshape(3, 3), passes)
    assert answers.supersampling == expected


@pytest.mark.parametrize("seen", [(*SEEN[:6], 1e9, 0), (0.0,) * 8, (np.nan,) * 8], ids=["horizon", "zeros", "NaN"])
def test_a_degenerate_answer_leaves_the_pose(frame: np.ndarray, seen: tuple[float, ...]) -> None:
    scan = np.append(SCAN, 1).reshape(3, 3)
    np.testing.assert_array_equal(refine_pose(Answers(seen), frame, scan, 1).homography, scan)


def test_a_pose_whose_margin_reaches_behind_the_camera_has_no_crop(frame: np.ndarray) -> None:
    steep = np.array([[0.2, 0, 0], [0, 0.2, 0], [0.75, 0, 1]])  # w = 1 - 0.75 at the target's left edge, < 0 at 1.4
    answers = Answers(SEEN)
    pose = refine_pose(answers, frame, steep, 1)
    assert (pose.passes, pose.score, answers.asked) == (0, None, [])


def test_composing_with_no_change_is_no_change() -> None:
    pose = np.append(SCAN, 1).reshape(3, 3)
    np.testing.assert_allclose(compose(pose, np.diag([1 / 1.4, 1 / 1.4, 1]), 0.2), pose, atol=1e-15)


def test_the_final_score_without_a_pass_is_the_scans() -> None:
    assert final_score(0.8, None) == 0.8
    assert final_score(0.8, 0.5) == pytest.approx(0.4)


def test_the_command_refines(make_model: MakeModel, dark: np.ndarray, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "frame.png"), dark)
    command = [
        sys.executable,
        "-m",
        "stn_rectify.runtime.command.cli",
        "--image",
        "frame.png",
        "--jsonl",
        "-",
        "--refine",
        "2",
    ]
    model = make_model(SCAN, refine={"theta": SEEN})
    done = subprocess.run([*command, "--model", model], cwd=tmp_path, capture_output=True, text=True, check=True)
    np.testing.assert_allclose(json.loads(done.stdout)["corners"], corners_by_hand(2), atol=0.05)
    assert "2 networks" in done.stderr
    assert ", 2 refinement passes\n" in done.stderr
    refused = subprocess.run([*command, "--model", make_model(SCAN)], cwd=tmp_path, capture_output=True, text=True)
    assert refused.returncode == 2
    assert refused.stderr == (
        "stn-rectify: error: model 'test' has no refine network: use refine=0 (--refine 0), or a model converted with "
        "one\n"
    )


@pytest.mark.parametrize(
    ("moves", "passes"),
    [((9, 9, 9, 9, 9, 9), 5), ((9, 9, 0.5, 9), 3), ((9, 9, 9, 0.5), 4), ((0.5, 0.5, 9, 0.5), 4), ((0.5, 0.5, 1.2), 3)],
    ids=["still moving", "settled", "settled later", "moves at last", "all but still"],
)
def test_further_passes_follow_while_a_target_moves(frame: np.ndarray, moves: tuple[float, ...], passes: int) -> None:
    """Three are asked for and two may follow; a corner moves by so many hundredths of the diagonal each."""
    shifts = [(1 / 1.4, 0, 2 * np.sqrt(2) * move / 100 / 1.4, 0, 1 / 1.4, 0, 0, 0) for move in moves]
    square = np.diag([0.2 * frame.shape[0] / frame.shape[1], 0.2, 1])
    answers = Answers(*shifts)
    assert refine_pose(answers, frame, square, 3, further=2).passes == passes
    assert answers.supersampling == [1, 1, *[2] * (passes - 2)]
    assert refine_pose(Answers(*shifts), frame, square, 3).passes == 3
    assert refine_pose(Answers(), frame, square, 0, further=2).passes == 0


def test_passes_that_are_asked_for_by_number_are_made_and_no_more(make_model: MakeModel, dark: np.ndarray) -> None:
    with Rectifier(make_model(SCAN, refine={"theta": FAR, "passes": 3}), refine=3) as rectifier:
        np.testing.assert_allclose(rectifier.rectify(dark).corners, corners_by_hand(3, seen=FAR), atol=0.02)
