"""What a frame leaves behind and takes in between, as NumPy reports it to tracemalloc (OpenCV's arrays are NumPy's)."""

from __future__ import annotations

import gc
import tracemalloc
import weakref
from collections.abc import Callable, Iterator

import cv2
import numpy as np
import pytest

from stn_rectify.runtime import CapturedFrame, CornerSmoother, Pipeline, Rectifier

FRAME_SIZE = (480, 640, 3)


@pytest.fixture
def traced() -> Iterator[None]:
    tracemalloc.start()
    yield
    tracemalloc.stop()


def frames(count: int) -> list[np.ndarray]:
    rng = np.random.default_rng(5)
    blocks = rng.integers(0, 256, (count, 6, 8, 3), np.uint8)
    return [cv2.resize(block, FRAME_SIZE[1::-1], interpolation=cv2.INTER_CUBIC) for block in blocks]


def peak_bytes(call: Callable[[], object]) -> int:
    """Most that was allocated at one time while it ran."""
    gc.collect()
    before = tracemalloc.get_traced_memory()[0]
    tracemalloc.reset_peak()
    call()
    return tracemalloc.get_traced_memory()[1] - before


@pytest.mark.parametrize("model", ["single", "fast"])
def test_no_buffer_of_a_frames_size_is_made_for_a_frame(traced: None, model: str) -> None:
    first, second = frames(2)
    assert peak_bytes(lambda: cv2.flip(first, 1)) >= first.nbytes  # such buffers are seen
    with Rectifier(model, output_size=(32, 24)) as rectifier:
        for frame in (first, second):
            rectifier.rectify(frame)  # makes what the next frames take over
        # A half of the frame alone is a quarter of it.
        assert peak_bytes(lambda: rectifier.rectify(first)) < 0.23 * first.nbytes


@pytest.mark.slow
def test_memory_is_flat_over_hundreds_of_frames(traced: None) -> None:
    pool = frames(7)
    with Rectifier("fast") as rectifier:
        pipeline = Pipeline(rectifier, smoother=CornerSmoother())

        def process(first: int, last: int) -> int:
            for index in range(first, last):
                pipeline.process(CapturedFrame("test", index, index / 30, pool[index % len(pool)]))
            gc.collect()
            return tracemalloc.get_traced_memory()[0]

        settled = process(0, 100)
        assert process(100, 400) - settled < 300 * 50  # 50 bytes a frame would be 15 kB


def test_the_last_frame_is_not_held() -> None:
    with Rectifier("general", output_size=(32, 24)) as rectifier:
        (frame,) = frames(1)
        held = weakref.ref(frame)
        result = rectifier.rectify(frame)
        del frame
        assert held() is None
    assert result.image.shape == (24, 32, 3)
