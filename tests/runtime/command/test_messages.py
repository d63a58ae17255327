"""The lines for people: one line for a result, whatever a recognizer says."""

from __future__ import annotations

import numpy as np
import pytest

from stn_rectify.runtime.command.messages import result_line
from stn_rectify.runtime.results import Rectification
from stn_rectify.runtime.sources import CapturedFrame

IMAGE = np.zeros((4, 4, 3), np.uint8)


@pytest.mark.parametrize(
    ("label", "score", "said"),
    [
        ("8", 0.974, "score 0.90 · 8 0.97 · 1.0 ms"),
        ("AB 12", None, "score 0.90 · AB 12 · 1.0 ms"),
        (None, 0.99, "score 0.90 · nothing known 0.99 · 1.0 ms"),
        (None, None, "score 0.90 · 1.0 ms"),
        ("a\nb\n\n c", None, "· a / b / c ·"),
        ("x" * 200, 0.5, f"· {'x' * 79}… 0.50 ·"),
    ],
    ids=["score", "no score", "nothing known", "no recognizer", "lines", "long"],
)
def test_a_result_is_one_line(label: str | None, score: float | None, said: str) -> None:
    frame = CapturedFrame("a.jpg", 0, 0.0, IMAGE)
    line = result_line(frame, Rectification(IMAGE, np.zeros((4, 2)), np.eye(3), 0.9, 1.0, label, score))
    assert said in line
    assert "\n" not in line
