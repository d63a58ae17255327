from __future__ import annotations

import numpy as np
import pytest

from stn_rectify.runtime import MissRule, Rectification, UsageError


def result(score: float) -> Rectification:
    return Rectification(np.zeros((1, 1), np.uint8), np.zeros((4, 2)), np.eye(3), score, 1.0)


@pytest.mark.parametrize(
    ("min_score", "score", "is_miss", "is_found"),
    [
        pytest.param(None, 0.0, True, False, id="no usable pose"),
        pytest.param(None, 0.01, False, False, id="no threshold: unsure is no miss"),
        pytest.param(None, 0.51, False, True, id="no threshold: found above a half"),
        pytest.param(0.8, 0.79, True, False, id="below the threshold"),
        pytest.param(0.8, 0.8, False, True, id="at the threshold"),
        pytest.param(0.2, 0.3, False, True, id="a low threshold is what counts as found"),
        pytest.param(0.0, 0.0, True, False, id="no usable pose is a miss at any threshold"),
        pytest.param(1.0, 1.0, False, True, id="quite sure"),
    ],
)
def test_misses(min_score: float | None, score: float, is_miss: bool, is_found: bool) -> None:
    rule = MissRule(min_score)
    assert rule.is_miss(result(score)) is is_miss
    assert rule.is_found(result(score)) is is_found


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ((1.1,), "min_score is 1.1: must be a number from 0 to 1"),
        ((float("nan"),), "min_score is nan"),
        ((None, "drop"), "on_miss is 'drop': choose 'pass' or 'skip'"),
    ],
)
def test_values_out_of_range_are_refused(values: tuple[object, ...], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        MissRule(*values)


def test_a_rule_without_a_score_takes_the_models() -> None:
    assert MissRule(None, "skip").with_default(0.3) == MissRule(0.3, "skip")
    assert MissRule(0.8).with_default(0.3) == MissRule(0.8)
    assert MissRule(0.0).with_default(0.3) == MissRule(0.0)
    assert MissRule().with_default(None) == MissRule()
