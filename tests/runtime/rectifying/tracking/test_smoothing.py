from __future__ import annotations

import numpy as np
import pytest

from stn_rectify.runtime import DataError, UsageError
from stn_rectify.runtime.geometry import corner_error, is_valid_quadrilateral
from stn_rectify.runtime.rectifying.tracking.smoothing import CornerSmoother

SQUARE = np.array([[100, 100], [300, 110], [290, 260], [105, 250]], np.float64)
DIAGONAL = float(np.linalg.norm(SQUARE[:2] - SQUARE[2:], axis=1).mean())
FRAME_S = 1 / 30


def tremble(corners: np.ndarray) -> float:
    return float(np.sqrt((np.diff(corners, 2, axis=0) ** 2).mean()))


def run(smoother: CornerSmoother, found: np.ndarray, times: np.ndarray | None = None) -> np.ndarray:
    times = np.arange(len(found)) * FRAME_S if times is None else times
    return np.array([smoother.smooth(corners, time) for corners, time in zip(found, times, strict=True)])


def still(frames: int = 200, sigma: float = 1.0) -> np.ndarray:
    return SQUARE + np.random.default_rng(0).normal(0, sigma, (frames, 4, 2))


def moving(sizes_per_s: float, times: np.ndarray) -> np.ndarray:
    return SQUARE + (sizes_per_s * DIAGONAL * times)[:, None, None] * np.array([0.8, 0.6])


def test_a_target_at_rest_trembles_a_quarter_or_less() -> None:
    found = still()
    given = run(CornerSmoother(), found)
    assert tremble(given) < tremble(found) / 4
    assert np.abs(given - SQUARE).mean() < np.abs(found - SQUARE).mean() / 2


@pytest.mark.parametrize("sizes_per_s", [0.3, 1.0, 3.0])
def test_a_steady_movement_is_left_behind_by_what_the_parameters_say(sizes_per_s: float) -> None:
    """A low pass of the first order lags by speed / (2π · cutoff)."""
    times = np.arange(300) * FRAME_S
    truth = moving(sizes_per_s, times)
    behind = np.linalg.norm((truth - run(CornerSmoother(1.0, 15.0), truth))[-1], axis=1) / DIAGONAL
    np.testing.assert_allclose(behind, sizes_per_s / (2 * np.pi * (1 + 15 * sizes_per_s)), rtol=0.01)
    assert (behind < 1 / (2 * np.pi * 15)).all()


def test_what_moves_as_a_whole_keeps_its_shape() -> None:
    times = np.arange(60) * FRAME_S
    given = run(CornerSmoother(), moving(1.0, times))
    np.testing.assert_allclose(given - given[:, :1], np.broadcast_to(SQUARE - SQUARE[0], given.shape), atol=1e-9)


@pytest.mark.parametrize("scale", [0.25, 2.0, 3.0])
def test_frames_of_another_size_are_smoothed_alike(scale: float) -> None:
    found = still(sigma=3.0) + np.linspace(0, 200, 200)[:, None, None]
    given = run(CornerSmoother(), found * scale)
    np.testing.assert_allclose(given / scale, run(CornerSmoother(), found), rtol=1e-12)


def test_real_time_counts_not_the_number_of_frames() -> None:
    """A movement seen at 30 frames/s and with every other frame dropped now and then ends at about the same place."""
    times = np.arange(240) * FRAME_S
    truth = moving(0.5, times)
    kept = np.random.default_rng(1).random(240) < 0.6
    kept[[0, -1]] = True
    steady = run(CornerSmoother(), truth)[-1]
    irregular = run(CornerSmoother(), truth[kept], times[kept])[-1]
    assert corner_error(irregular, steady) < 0.003
    assert corner_error(steady, truth[-1]) > 0.009  # so that the line above says something


def test_a_jump_is_followed_at_once() -> None:
    smoother = CornerSmoother(jump=0.2)
    run(smoother, still(30))
    there = SQUARE + 0.25 * DIAGONAL
    np.testing.assert_array_equal(smoother.smooth(there, 30 * FRAME_S), there)
    np.testing.assert_allclose(smoother.smooth(there, 31 * FRAME_S), there)  # nothing is left of the place before


def test_less_than_a_jump_is_smoothed() -> None:
    smoother = CornerSmoother(jump=0.2)
    run(smoother, np.repeat(SQUARE[None], 30, axis=0))
    there = SQUARE + np.array([0.1 * DIAGONAL, 0])
    given = smoother.smooth(there, 30 * FRAME_S)
    assert (given[:, 0] < there[:, 0]).all()
    assert (given[:, 0] > SQUARE[:, 0]).all()


def test_a_target_that_turned_onto_its_next_side_is_a_jump() -> None:
    smoother = CornerSmoother()
    run(smoother, still(30))
    turned = np.roll(SQUARE, 1, axis=0)
    np.testing.assert_array_equal(smoother.smooth(turned, 30 * FRAME_S), turned)


def test_the_corners_given_are_never_further_off_than_a_jump() -> None:
    rng = np.random.default_rng(2)
    found = SQUARE + np.cumsum(rng.normal(0, 15, (500, 1, 2)), axis=0) + rng.normal(0, 3, (500, 4, 2))
    given = run(CornerSmoother(jump=0.1), found)
    assert (np.linalg.norm(given - found, axis=-1).mean(axis=-1) <= 0.1 * DIAGONAL * 1.1).all()


@pytest.mark.parametrize(
    "step_s",
    [
        pytest.param(0.6, id="gap"),
        pytest.param(0.0, id="time stands still"),
        pytest.param(-3600.0, id="the clock was set back"),
        pytest.param(float("nan"), id="no time"),
    ],
)
def test_it_starts_afresh_where_time_makes_no_sense(step_s: float) -> None:
    smoother = CornerSmoother(max_gap_s=0.5)
    run(smoother, still(30))
    there = SQUARE + 5
    np.testing.assert_array_equal(smoother.smooth(there, 29 * FRAME_S + step_s), there)


def test_reset_forgets_the_target() -> None:
    smoother = CornerSmoother()
    run(smoother, still(30))
    smoother.reset()
    np.testing.assert_array_equal(smoother.smooth(SQUARE + 5, 30 * FRAME_S), SQUARE + 5)


def test_where_the_mean_is_no_quadrilateral_the_new_one_is_given() -> None:
    """Upside down, the corners' mean is a point."""
    smoother = CornerSmoother(min_cutoff=1 / (2 * np.pi * FRAME_S), beta=0.0, jump=9.0)  # both weigh the same
    upside_down = np.roll(SQUARE, 2, axis=0)
    smoother.smooth(SQUARE, 0.0)
    assert not is_valid_quadrilateral((SQUARE + upside_down) / 2)
    np.testing.assert_array_equal(smoother.smooth(upside_down, FRAME_S), upside_down)


def test_corners_that_are_no_quadrilateral_are_refused() -> None:
    for wrong in (SQUARE[::-1], SQUARE[:3], SQUARE * np.nan, np.zeros((4, 2))):
        with pytest.raises(DataError, match="no quadrilateral"):
            CornerSmoother().smooth(wrong, 0.0)


@pytest.mark.parametrize(
    "values",
    [{"min_cutoff": 0}, {"beta": -1}, {"d_cutoff": float("nan")}, {"jump": 0}, {"max_gap_s": -1}, {"beta": np.inf}],
)
def test_parameters_out_of_range_are_refused(values: dict[str, float]) -> None:
    with pytest.raises(UsageError, match=next(iter(values))):
        CornerSmoother(**values)
