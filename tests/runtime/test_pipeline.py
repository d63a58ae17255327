from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from stn_rectify.runtime import (
    CapturedFrame,
    CornerSmoother,
    DataError,
    FrameView,
    MissRule,
    Pipeline,
    Rectifier,
    SourceError,
    TargetTracker,
    UsageError,
)
from stn_rectify.runtime.geometry import transform_points
from stn_rectify.runtime.sinks import result_values

MakeModel = Callable[..., Path]
HALF_TURN = (-1.0, 0, 0, 0, -1, 0, 0, 0)


def captured(image: np.ndarray, index: int = 0, position_s: float | None = None) -> CapturedFrame:
    return CapturedFrame("test", index, 1000 + index / 30, image, position_s)


def scored(frame: np.ndarray, score: int) -> np.ndarray:
    """The frame with a score (256ths) that the test models read off its first corner, and so a θ of its own."""
    frame = frame.copy()
    frame[:40, :40] = score
    return frame


def shifted(frame: np.ndarray, red: int) -> np.ndarray:
    """The frame with a last corner that moves the test models' target to the right."""
    frame = frame.copy()
    frame[200:, 280:] = red
    return frame


@pytest.fixture
def rectifier(make_model: MakeModel) -> Rectifier:
    return Rectifier(make_model())


def test_corners_are_pixels_of_the_frame_as_it_is_seen(rectifier: Rectifier, frame: np.ndarray) -> None:
    view = FrameView(rotation=90, roi=(0.1, 0.2, 0.8, 0.7))
    done = Pipeline(rectifier, view=view).process(captured(frame))
    expected = rectifier.rectify(view.apply(frame))
    np.testing.assert_array_equal(done.frame.image, view.apply(frame))
    np.testing.assert_array_equal(done.result.corners, expected.corners)
    np.testing.assert_array_equal(done.result.image, expected.image)
    assert (done.frame.source, done.frame.timestamp) == ("test", 1000)


def test_it_takes_what_rectify_takes(rectifier: Rectifier, frame: np.ndarray, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), frame)
    pipeline, expected = Pipeline(rectifier, view=FrameView(hflip=True)), rectifier.rectify(frame[:, ::-1].copy())
    given = (frame, tmp_path / "a.png", str(tmp_path / "a.png"), (tmp_path / "a.png").read_bytes())
    for number, (one, name) in enumerate(zip(given, ("array", *[str(tmp_path / "a.png")] * 2, "image"), strict=True)):
        done = pipeline.process(one)
        np.testing.assert_array_equal(done.result.corners, expected.corners)
        assert (done.frame.source, done.frame.index, done.frame.is_still) == (name, number, name != "array")
    with pytest.raises(DataError, match="the frame is list, not a NumPy array: pass"):
        pipeline.process([1])
    with pytest.raises(SourceError, match="cannot read the image"):
        pipeline.process(tmp_path / "none.png")


def test_results_know_their_frame_and_by_which_rule_they_count(rectifier: Rectifier, frame: np.ndarray) -> None:
    pipeline = Pipeline(rectifier, rule=MissRule(0.3))
    for score, found in ((100, True), (20, False)):
        done = pipeline.process(captured(scored(frame, score), 5))
        assert done.result.frame is done.frame
        assert done.result.found is done.is_found is found
        assert done.result.to_dict() == result_values(done.frame, done.result)
        assert all(target.frame is done.frame for target in done.targets)


def test_a_frame_below_the_least_score_is_passed_on_whole(rectifier: Rectifier, frame: np.ndarray) -> None:
    image = scored(frame, 100)
    done = Pipeline(rectifier, rule=MissRule(0.5)).process(captured(image))
    assert not done.is_skipped
    np.testing.assert_array_equal(done.result.image, image)
    np.testing.assert_array_equal(done.result.corners, [[-0.5, -0.5], [319.5, -0.5], [319.5, 239.5], [-0.5, 239.5]])
    np.testing.assert_allclose(done.result.homography, np.eye(3), atol=1e-12)
    assert 0.35 < done.result.score < 0.45  # what the model said is kept
    assert done.result.label is None


def test_a_frame_passed_on_whole_has_the_size_that_all_images_have(make_model: MakeModel, frame: np.ndarray) -> None:
    with Rectifier(make_model(), output_size=(80, 50)) as rectifier:
        done = Pipeline(rectifier, rule=MissRule(0.5)).process(captured(scored(frame, 100)))
    assert done.result.image.shape == (50, 80, 3)
    outline = [[-0.5, -0.5], [79.5, -0.5], [79.5, 49.5], [-0.5, 49.5]]
    np.testing.assert_allclose(transform_points(done.result.homography, outline), done.result.corners, atol=1e-9)


def test_without_a_least_score_results_stay_as_they_are(rectifier: Rectifier, frame: np.ndarray) -> None:
    image = scored(frame, 0)
    done = Pipeline(rectifier).process(captured(image))
    np.testing.assert_array_equal(done.result.corners, rectifier.rectify(image).corners)
    assert done.result.corners[0, 0] > 0


def test_misses_are_skipped_where_that_is_the_rule(rectifier: Rectifier, frame: np.ndarray) -> None:
    pipeline = Pipeline(rectifier, rule=MissRule(0.5, "skip"))
    skipped = [pipeline.process(captured(scored(frame, level))).is_skipped for level in (100, 200, 0, 255)]
    assert skipped == [True, False, True, False]


def test_smoothing_moves_image_corners_and_homography_together(rectifier: Rectifier, frame: np.ndarray) -> None:
    pipeline = Pipeline(rectifier, smoother=CornerSmoother())
    first = pipeline.process(captured(shifted(frame, 0), 0)).result
    image = shifted(frame, 128)
    raw, second = rectifier.rectify(image), pipeline.process(captured(image, 1)).result
    move, smooth_move = raw.corners - first.corners, second.corners - first.corners
    assert (np.abs(smooth_move[:, 0]) < 0.6 * np.abs(move[:, 0])).all()
    assert (np.abs(smooth_move[:, 0]) > 0).all()
    height, width = second.image.shape[:2]
    outline = [[-0.5, -0.5], [width - 0.5, -0.5], [width - 0.5, height - 0.5], [-0.5, height - 0.5]]
    np.testing.assert_allclose(transform_points(second.homography, outline), second.corners, atol=1e-9)
    at_smooth = rectifier.sample(image, rectifier.locate(image), corners=second.corners)
    np.testing.assert_array_equal(second.image, at_smooth.image)
    assert not np.array_equal(second.homography, raw.homography)
    assert second.score == raw.score
    assert second.latency_ms > 0


def test_smoothing_starts_afresh_after_a_miss(rectifier: Rectifier, frame: np.ndarray) -> None:
    pipeline = Pipeline(rectifier, rule=MissRule(0.5), smoother=CornerSmoother())
    pipeline.process(captured(shifted(scored(frame, 200), 0), 0))
    pipeline.process(captured(shifted(scored(frame, 100), 0), 1))  # a miss
    image = shifted(scored(frame, 200), 128)
    again = pipeline.process(captured(image, 2)).result
    np.testing.assert_array_equal(again.corners, rectifier.rectify(image).corners)


@pytest.mark.parametrize("position_s", [None, 1 / 30])
def test_in_a_file_time_is_where_the_frame_is(
    rectifier: Rectifier, frame: np.ndarray, position_s: float | None
) -> None:
    """Frames that were read an hour apart, and may be neighbours in their file."""
    pipeline = Pipeline(rectifier, smoother=CornerSmoother())
    pipeline.process(CapturedFrame("test", 0, 1000, shifted(frame, 0), None if position_s is None else 0.0))
    image = shifted(frame, 128)
    later = pipeline.process(CapturedFrame("test", 1, 4600, image, position_s)).result
    assert np.array_equal(later.corners, rectifier.rectify(image).corners) is (position_s is None)


def test_smoothing_needs_pixels_of_the_frame(make_model: MakeModel) -> None:
    with (
        Rectifier(make_model(HALF_TURN, in_graph=True), output="model") as rectifier,
        pytest.raises(UsageError, match=r"--smooth.* need output='frame'"),
    ):
        Pipeline(rectifier, smoother=CornerSmoother())


def test_smoothing_needs_a_pose_that_four_corners_tell(make_model: MakeModel) -> None:
    from stn_rectify.runtime.geometry import identity_theta

    with (
        Rectifier(make_model(tuple(0.5 * identity_theta("tps")))) as rectifier,
        pytest.raises(UsageError, match="follows the bend of its targets"),
    ):
        Pipeline(rectifier, smoother=CornerSmoother())


def test_a_least_score_needs_a_model_that_gives_one(make_model: MakeModel) -> None:
    with (
        Rectifier(make_model(score=False)) as rectifier,
        pytest.raises(UsageError, match="gives no score: leave min_score"),
    ):
        Pipeline(rectifier, rule=MissRule(0.5))


@pytest.fixture
def make_known(
    rewrite: Callable[..., Path], model_parts: tuple[bytes, dict[str, Any]], tmp_path: Path
) -> Callable[[float], Path]:
    """The test model whose file names a lowest score."""

    def make(min_score: float) -> Path:
        return rewrite(metadata={**model_parts[1], "min_score": min_score}).rename(tmp_path / f"{min_score}.tflite")

    return make


@pytest.mark.parametrize(
    ("rule", "levels_found"),
    [
        pytest.param(MissRule(None, "skip"), [100, 200], id="the model's own"),
        pytest.param(MissRule(0.5, "skip"), [200], id="the user's"),
        pytest.param(MissRule(0.0, "skip"), [50, 100, 200], id="none at all"),
    ],
)
def test_the_models_own_score_counts_where_nobody_gives_one(
    make_known: Callable[[float], Path], frame: np.ndarray, rule: MissRule, levels_found: list[int]
) -> None:
    with Rectifier(make_known(0.3)) as rectifier:
        pipeline = Pipeline(rectifier, rule=rule)
        done = {level: pipeline.process(captured(scored(frame, level))) for level in (0, 50, 100, 200)}
    assert [level for level, one in done.items() if not one.is_skipped] == levels_found
    assert [level for level, one in done.items() if one.is_found] == levels_found
    assert [level for level, one in done.items() if one.targets] == levels_found
    assert all(one.targets[0] is one.result for one in done.values() if one.targets)


def test_another_model_brings_its_own_score(make_known: Callable[[float], Path], frame: np.ndarray) -> None:
    image = captured(scored(frame, 100))
    pipeline = Pipeline(Rectifier(make_known(0.3)))
    assert pipeline.process(image).is_found
    pipeline.replace_rectifier(Rectifier(make_known(0.6))).close()
    done = pipeline.process(image)
    assert (done.is_found, done.targets, done.rule, pipeline.rule) == (False, (), MissRule(0.6), MissRule(0.6))
    with Rectifier(make_known(0.6)) as rectifier:
        np.testing.assert_array_equal(done.result.corners, rectifier.locate(image.image).corners)  # none thrown away
    asked = Pipeline(pipeline.rectifier, rule=MissRule(0.6)).process(image)
    np.testing.assert_array_equal(asked.result.image, image.image)  # passed on whole
    pipeline.rectifier.close()


def test_smoothing_numbers_the_target_and_a_pipeline_for_images_does_not(
    rectifier: Rectifier, frame: np.ndarray
) -> None:
    image = scored(frame, 200)
    pipeline = Pipeline(rectifier, smoother=CornerSmoother(), rule=MissRule(0.5))
    levels = {0: 200, 1: 200, 2: 0, 3: 200, 90: 200}
    tracks = [pipeline.process(captured(scored(frame, level), index)).result.track for index, level in levels.items()]
    assert tracks == [1, 1, None, 1, 2]
    assert Pipeline(rectifier).process(captured(image)).result.track is None
    assert Pipeline(rectifier, tracker=TargetTracker()).process(captured(image)).result.track == 1


@pytest.mark.parametrize("frames_follow", [True, False], ids=["a camera's", "images"])
def test_a_turn_network_that_comes_later_has_its_target_followed_too(
    make_model: MakeModel, frame: np.ndarray, frames_follow: bool
) -> None:
    with Rectifier(make_model()) as first, Rectifier(make_model(turn=0.8)) as turning:
        pipeline = Pipeline(first, rule=MissRule(0), frames_follow=frames_follow)
        tracks = [pipeline.process(captured(scored(frame, 200), 0)).result.track]
        for index, rectifier in enumerate((turning, first, turning), start=1):
            pipeline.replace_rectifier(rectifier)
            tracks.append(pipeline.process(captured(scored(frame, 200), index)).result.track)
    assert tracks == ([None, 1, 2, 3] if frames_follow else [None] * 4)


def test_no_number_comes_twice_where_another_pipeline_takes_the_place(rectifier: Rectifier, frame: np.ndarray) -> None:
    image = captured(scored(frame, 200))
    pipeline = Pipeline(rectifier, max_targets=2, frames_follow=True)
    tracks = [pipeline.process(image).result.track]
    for others in (
        Pipeline(rectifier, max_targets=3, frames_follow=True),
        Pipeline(rectifier, tracker=TargetTracker()),
    ):
        pipeline.become(others)
        tracks.append(pipeline.process(image).result.track)
    assert tracks == [1, 2, 3]


@pytest.mark.parametrize("wrong", [0, 101, 2.0, True, "3"])
def test_a_number_of_targets_that_is_none_is_refused(rectifier: Rectifier, wrong: object) -> None:
    with pytest.raises(UsageError, match=r"max_targets is .*: must be a whole number from 1 to 100"):
        Pipeline(rectifier, max_targets=wrong)
    if wrong != 101:
        with pytest.raises(UsageError, match=r"scan_every is .*: must be a whole number, 1 or more"):
            Pipeline(rectifier, scan_every=wrong)


def test_following_needs_a_refine_network(rectifier: Rectifier) -> None:
    with pytest.raises(UsageError, match=r"scan_every \(--scan-every\) follows targets by refinement passes"):
        Pipeline(rectifier, scan_every=5)


def test_a_rule_is_taken_up_with_the_next_frame(rectifier: Rectifier, frame: np.ndarray) -> None:
    pipeline = Pipeline(rectifier)
    image = captured(scored(frame, 100))
    pipeline.set_rule(MissRule(0.5, "skip"))
    assert pipeline.process(image).is_skipped
    assert pipeline.asked_rule == MissRule(0.5, "skip")
    pipeline.set_rule(MissRule())
    assert not pipeline.process(image).is_skipped
    with pytest.raises(UsageError, match="rule"):
        pipeline.set_rule(0.5)  # type: ignore[arg-type]


def test_smoothing_is_taken_up_with_the_next_frame_and_ended(rectifier: Rectifier, frame: np.ndarray) -> None:
    """As a pipeline that had it from the beginning does it, numbers of targets included."""
    images = [captured(shifted(frame, 128 * (index % 2)), index) for index in range(6)]
    from_now_on, from_the_start = Pipeline(rectifier), Pipeline(rectifier, smoother=CornerSmoother(0.5))
    assert from_now_on.process(images[0]).result.track is None
    from_now_on.set_smoother(CornerSmoother(0.5))
    for image in images[1:4]:
        ours, theirs = from_now_on.process(image).result, from_the_start.process(image).result
        np.testing.assert_array_equal(ours.corners, theirs.corners)
        assert ours.track == theirs.track == 1
    assert from_now_on.smoother is not None
    assert from_now_on.smoother.min_cutoff == 0.5
    from_now_on.set_smoother(None)
    raw = rectifier.rectify(images[4].image)
    np.testing.assert_array_equal(from_now_on.process(images[4]).result.corners, raw.corners)


def test_a_model_whose_image_is_its_own_is_not_smoothed_later_either() -> None:
    with Rectifier("digits", output="model") as rectifier:
        pipeline = Pipeline(rectifier)
        with pytest.raises(UsageError, match="--output frame"):
            pipeline.set_smoother(CornerSmoother())
        assert pipeline.smoother is None
        with pytest.raises(UsageError, match="margin needs"):
            rectifier.set_margin(0.1)
        assert rectifier.margin == 0


def test_another_view_makes_all_targets_new(rectifier: Rectifier, frame: np.ndarray) -> None:
    pipeline = Pipeline(rectifier, tracker=TargetTracker())
    assert [pipeline.process(captured(frame, index)).result.track for index in (0, 1)] == [1, 1]
    view = FrameView(roi=(0.1, 0.1, 0.8, 0.8))
    pipeline.set_view(view)
    done = pipeline.process(captured(frame, 2))
    assert done.result.track == 2
    assert (done.view, pipeline.view) == (view, view)
    assert done.captured is not None
    np.testing.assert_array_equal(done.captured.image, frame)
    np.testing.assert_array_equal(done.frame.image, view.apply(frame))
