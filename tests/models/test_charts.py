"""Charts as pixels: where lines and bars are, and that any numbers can be drawn."""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest

from stn_rectify.models.charts import curve_chart, error_histogram, histogram
from stn_rectify.runtime.drawing import FLOAT, INT8, TRUTH


def line_heights(chart):
    """Mean height of the loss line's pixels in each column that has some, pixels from above, below the legend."""
    is_line = (np.abs(chart.astype(int) - TRUTH).max(axis=2) < 30)[60:]
    columns = np.flatnonzero(is_line.any(axis=0))
    return [float(np.flatnonzero(is_line[:, x]).mean()) for x in columns]


def test_the_line_is_straight_where_the_loss_falls_by_the_same_factor():
    rows = [{"epoch": k, "loss": 0.5**k, "learning_rate": 1e-3, "seconds": 60.0} for k in range(1, 11)]
    heights = line_heights(curve_chart("stn.keras", rows))
    assert len(heights) > 800
    assert np.diff(heights).min() > -2  # it falls
    np.testing.assert_allclose(heights, np.linspace(heights[0], heights[-1], len(heights)), atol=3)


def test_an_outputs_loss_that_is_all_of_the_loss_is_not_drawn_over_it():
    rows = [{"epoch": k, "loss": 0.5**k} for k in range(1, 5)]
    twice = [{**row, "recognizer_loss": row["loss"]} for row in rows]
    np.testing.assert_array_equal(curve_chart("stn.keras", twice), curve_chart("stn.keras", rows))


@pytest.mark.parametrize(
    ("losses", "has_line"),
    [
        pytest.param([0.5], True, id="one epoch"),
        pytest.param([0.5] * 3, True, id="no change"),
        pytest.param([0.4, math.nan, 0.5], True, id="a hole"),
        pytest.param([0.0, 0.5], True, id="a zero"),
        pytest.param([math.nan], False, id="no number"),
        pytest.param([], False, id="no epoch"),
    ],
)
def test_any_losses_can_be_drawn(losses, has_line):
    rows = [{"epoch": k, "loss": loss, "learning_rate": 0.0} for k, loss in enumerate(losses, 1)]
    chart = curve_chart("stn.keras", rows)
    assert chart.min() < 100  # the title
    assert bool(line_heights(chart)) == has_line


def bars(picture, colour):
    """Heights of a colour's bars from left to right, pixels; lines of one or two pixels are none."""
    is_bar = (picture == colour).all(axis=2)[50:]  # below the legend
    edges = np.flatnonzero(np.diff(np.concatenate([[0], is_bar.any(axis=0), [0]])))
    return [is_bar[:, left:right].sum(axis=0).max() for left, right in edges.reshape(-1, 2) if right - left > 2]


def test_bars_are_as_high_as_the_share_of_the_values_and_those_beyond_the_edges_are_in_the_outermost():
    values = np.repeat([-5.0, 0.5, 1.5, 2.5, 9.0], [1, 1, 8, 2, 2])
    picture = histogram("what", [("float", FLOAT, values)], np.arange(4.0))
    assert picture.dtype == np.uint8
    assert picture.shape[1] == 560
    first, middle, last = bars(picture, FLOAT)
    assert middle > 100
    assert first / middle == pytest.approx(2 / 8, abs=0.03)
    assert last / middle == pytest.approx(4 / 8, abs=0.03)


def test_series_are_shares_of_their_own_and_stand_beside_each_other():
    few, many = np.full(3, 0.5), np.full(300, 0.5)
    picture = histogram("what", [("float", FLOAT, few), ("INT8", INT8, many)], np.arange(3.0))
    (left,), (right,) = bars(picture, FLOAT), bars(picture, INT8)
    assert left == pytest.approx(right, abs=2)


@pytest.mark.parametrize(
    "values",
    [
        pytest.param([], id="none"),
        pytest.param([math.nan] * 3, id="no numbers"),
        pytest.param([0.0], id="a single zero"),
        pytest.param([1e9, math.inf], id="far beyond"),
    ],
)
def test_any_errors_can_be_drawn(values):
    picture = error_histogram("corner error, px", [("float", FLOAT, np.array(values))])
    assert picture.min() < 100  # the title


def test_charts_leave_pyplot_alone():
    """It keeps every figure, and looks for a display."""
    code = (
        "import sys, numpy\n"
        "from stn_rectify.models.charts import histogram\n"
        "assert 'matplotlib' not in sys.modules\n"
        "histogram('what', [('float', (0, 0, 0), numpy.ones(3))], numpy.arange(3.0))\n"
        "assert 'matplotlib' in sys.modules and 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
