"""A Spatial Transformer as the Keras tutorials have it, trained here: from its .h5 file to a proved .tflite."""

from __future__ import annotations

import numpy as np
import pytest

from tests.benchmarks.conversion.tutorial_digits import carry_over, cluttered, draw_digits, train


@pytest.mark.slow
def test_an_h5_file_of_a_tutorial_says_the_same_classes_as_a_proved_file(tmp_path):
    rng = np.random.default_rng(0)
    digits, labels = draw_digits(3200, rng)
    frames, unseen = cluttered(digits[:3000], rng, 1), cluttered(digits[3000:], rng, 1)
    file = tmp_path / "digits.h5"
    train(frames, labels[:3000], 6, 32, file, verbose=0)
    found = carry_over(file, frames[:100], unseen, labels[3000:])
    print(found)
    assert "integers proved" in found.line
    assert "outside the frame cut" in found.line
    assert found.accuracy_h5 > 0.5  # it has learned to read: ten classes
    assert found.poses_px > 1  # and to look elsewhere in each frame
    assert found.same_class >= 0.97
    assert abs(found.accuracy_tflite - found.accuracy_h5) <= 0.03
    assert found.levels < 3
