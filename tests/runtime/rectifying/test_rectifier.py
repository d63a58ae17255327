"""The rectifier in use: frames of all kinds, poses and options that do not fit, threads, and its end."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from stn_rectify.runtime import DataError, Rectifier, UsageError

HALF_TURN = (-1.0, 0, 0, 0, -1, 0, 0, 0)

MakeModel = Callable[..., Path]


def test_score_is_the_red_level_of_the_first_pixel(make_model: MakeModel, frame: np.ndarray) -> None:
    frame[:40, :40] = (0, 50, 200)  # BGR
    with Rectifier(make_model()) as rectifier:
        assert rectifier.rectify(frame).score == pytest.approx(200 / 256)


def test_a_model_without_score_always_says_one(make_model: MakeModel, frame: np.ndarray) -> None:
    with Rectifier(make_model(score=False)) as rectifier:
        assert rectifier.rectify(frame).score == 1.0


def test_a_grey_model_takes_colour_and_grey_frames(make_model: MakeModel, frame: np.ndarray) -> None:
    grey = cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY)
    with Rectifier(make_model(shape=(32, 48, 1))) as rectifier:
        from_colour, from_grey = rectifier.rectify(frame), rectifier.rectify(grey)
    np.testing.assert_allclose(from_colour.corners, from_grey.corners)
    assert from_colour.image.ndim == 3
    assert from_grey.image.ndim == 2


def test_a_grey_graph_gives_grey_pixels(make_model: MakeModel, frame: np.ndarray) -> None:
    with Rectifier(make_model(HALF_TURN, (32, 48, 1), in_graph=True), output="model") as rectifier:
        assert rectifier.rectify(frame).image.shape == (32, 48)


def test_a_colour_model_takes_grey_frames(make_model: MakeModel, frame: np.ndarray) -> None:
    with Rectifier(make_model()) as rectifier:
        assert rectifier.rectify(frame[..., 0]).image.ndim == 2
        assert rectifier.rectify(frame[..., :1]).image.ndim == 2


def test_channels_of_ones_own(make_model: MakeModel) -> None:
    with Rectifier(make_model(shape=(32, 48, 2))) as rectifier:
        assert rectifier.rectify(np.zeros((50, 70, 2), np.uint8)).image.shape[2] == 2
        with pytest.raises(DataError, match="takes 2 channels of its own"):
            rectifier.rectify(np.zeros((50, 70, 3), np.uint8))


@pytest.mark.parametrize(
    "theta",
    [
        pytest.param((-1.0, 0, 0, 0, 1, 0, 0, 0), id="mirrored"),
        pytest.param((1.0, 0, 0, 0, 1, 0, 1.5, 0), id="partly behind the camera"),
        pytest.param((1.0, 0, 0, 0, 1, 0, 1, 0), id="a corner at infinity"),
        pytest.param((0.0, 0, 0, 0, 0, 0, 0, 0), id="a point"),
        pytest.param((0.01, 0, 0, 0, 0.01, 0, 0, 0), id="a few pixels"),
    ],
)
@pytest.mark.parametrize("output", ["frame", "model"])
def test_an_unusable_pose_gives_the_frame_with_score_zero(
    make_model: MakeModel, frame: np.ndarray, theta: tuple[float, ...], output: str
) -> None:
    with Rectifier(make_model(theta, in_graph=True), output=output) as rectifier:
        result = rectifier.rectify(frame)
    assert result.score == 0.0
    np.testing.assert_allclose(result.corners, [[-0.5, -0.5], [319.5, -0.5], [319.5, 239.5], [-0.5, 239.5]])
    if output == "frame":
        np.testing.assert_array_equal(result.image, frame)
        assert not np.shares_memory(result.image, frame)
    else:
        assert result.image.shape == (32, 48, 3)
        reduced = cv2.resize(frame, (48, 32), interpolation=cv2.INTER_AREA)
        assert np.abs(result.image.astype(int) - reduced).mean() < 3


def test_results_are_not_overwritten_by_the_next_call(make_model: MakeModel, frame: np.ndarray) -> None:
    with Rectifier(make_model(HALF_TURN, in_graph=True), output="model") as rectifier:
        first = rectifier.rectify(frame)
        kept = first.image.copy(), first.corners.copy()
        rectifier.rectify(255 - frame)
    np.testing.assert_array_equal(first.image, kept[0])
    np.testing.assert_array_equal(first.corners, kept[1])


def test_the_frame_is_not_changed(make_model: MakeModel, frame: np.ndarray) -> None:
    before = frame.copy()
    with Rectifier(make_model()) as rectifier:
        rectifier.rectify(frame)
    np.testing.assert_array_equal(frame, before)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        pytest.param([[0, 0], [0, 0]], "not a NumPy array", id="lists of numbers"),
        pytest.param(None, "the frame is None, as cv2.imread gives it", id="None"),
        pytest.param(np.zeros((8, 8, 3), np.float32), "dtype is float32", id="float"),
        pytest.param(np.zeros((8, 8, 3), np.int8), "dtype is int8", id="int8"),
        pytest.param(np.zeros((0, 8, 3), np.uint8), "1 to 32766 pixels", id="empty"),
        pytest.param(np.zeros((1, 40000), np.uint8), "1 to 32766 pixels", id="too wide"),
        pytest.param(np.zeros(8, np.uint8), "pass one frame", id="a line"),
        pytest.param(np.zeros((1, 8, 8, 3), np.uint8), "pass one frame", id="a batch"),
        pytest.param(np.zeros((8, 8, 4), np.uint8), "COLOR_BGRA2BGR", id="alpha"),
        pytest.param(np.zeros((8, 8, 2), np.uint8), "2 channels", id="two channels"),
    ],
)
def test_a_bad_frame_is_named(make_model: MakeModel, frame: np.ndarray, bad: object, message: str) -> None:
    with Rectifier(make_model()) as rectifier:
        with pytest.raises(DataError, match=message):
            rectifier.rectify(bad)
        rectifier.rectify(frame)  # and it goes on working


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"threads": 0}, "threads is 0"),
        ({"output": "screen"}, "choose 'frame' or 'model'"),
        ({"output": "model"}, "pose-only"),
        ({"output_size": (0, 0)}, "1 to 16384"),
        ({"output_size": (-1, 10)}, "1 to 16384"),
        ({"output_size": (10, 99999)}, "1 to 16384"),
    ],
)
def test_options_that_do_not_fit(make_model: MakeModel, options: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Rectifier(make_model(), **options)


def test_the_graphs_image_has_a_fixed_size(make_model: MakeModel) -> None:
    with pytest.raises(UsageError, match=r"output_size needs output='frame' \(--output frame\)"):
        Rectifier(make_model(HALF_TURN, in_graph=True), output="model", output_size=(10, 10))


def test_use_after_close_is_an_error(make_model: MakeModel, frame: np.ndarray) -> None:
    rectifier = Rectifier(make_model())
    rectifier.close()
    rectifier.close()
    assert "closed" in repr(rectifier)
    with pytest.raises(UsageError, match="closed"):
        rectifier.rectify(frame)


def test_concurrent_use_without_waiting_is_an_error_and_harms_nothing(make_model: MakeModel) -> None:
    big = np.zeros((4000, 4000, 3), np.uint8)
    outcomes: list[object] = []

    def work() -> None:
        barrier.wait()
        for _ in range(5):
            try:
                outcomes.append(rectifier.rectify(big).corners)
            except UsageError as error:
                outcomes.append(error)

    barrier = threading.Barrier(4)
    with Rectifier(make_model(), blocking=False) as rectifier:
        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    errors = [outcome for outcome in outcomes if isinstance(outcome, UsageError)]
    results = [outcome for outcome in outcomes if isinstance(outcome, np.ndarray)]
    assert len(errors) + len(results) == 20
    assert errors
    assert "another thread" in str(errors[0])
    assert results
    for corners in results:
        np.testing.assert_array_equal(corners, results[0])


def test_repr_says_model_kind_interpreter_and_threads(make_model: MakeModel) -> None:
    with Rectifier(make_model(), threads=1) as rectifier:
        text = repr(rectifier)
    assert str(rectifier.package) in text
    assert rectifier.package.version in text
    assert text.startswith("<Rectifier 'test', pose-only, on ")
    assert text.endswith("1 thread>")


def test_opening_and_closing_many_times_leaks_no_file(make_model: MakeModel, frame: np.ndarray) -> None:
    def open_files() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    with Rectifier(make_model()) as rectifier:
        rectifier.rectify(frame)
    before = open_files()
    for _ in range(20):
        with Rectifier(make_model()) as rectifier:
            rectifier.rectify(frame)
    assert open_files() == before


def test_frames_of_many_channels_are_rectified_channel_by_channel(make_model, frame):
    many = np.concatenate([frame, frame[:, ::-1], frame[::-1]], axis=2)[..., :7]
    with Rectifier(make_model(shape=(32, 48, 7)), output_size=(60, 50)) as rectifier:
        result = rectifier.rectify(many)
    assert result.image.shape == (50, 60, 7)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    for channel in range(7):
        alone = cv2.warpPerspective(np.ascontiguousarray(many[..., channel]), result.homography, (60, 50), flags=flags)
        np.testing.assert_array_equal(result.image[..., channel], alone)
