from __future__ import annotations

import cv2
import numpy as np
import pytest

from stn_rectify.runtime.model.metadata import InputSpec
from stn_rectify.runtime.rectifying.pixels.preprocess import Preprocessor, resize_antialiased


def spec(colour: str = "RGB", low: float = 0.0, high: float = 1.0, zero_point: int = -128) -> InputSpec:
    channels = {"RGB": 3, "BGR": 3, "GREY": 1}[colour]
    return InputSpec(32, 48, channels, colour, (low, high), (high - low) / 255, zero_point)


@pytest.mark.parametrize("channels", [None, 1, 2, 3, 4])
@pytest.mark.parametrize("shape", [(480, 640), (64, 64), (65, 131), (37, 29), (1, 1), (1, 999), (1080, 1920)])
def test_the_result_has_the_size_asked_for(shape: tuple[int, int], channels: int | None) -> None:
    image = np.zeros(shape if channels is None else (*shape, channels), np.uint8)
    assert resize_antialiased(image, 64, 48).shape == (48, 64, *image.shape[2:])


@pytest.mark.parametrize("shape", [(480, 640), (1080, 1920), (1079, 1919), (479, 641), (100, 70), (40, 30)])
def test_a_ramp_keeps_its_place(shape: tuple[int, int]) -> None:
    """A linear ramp is reproduced by any averaging that leaves things where they are."""
    height, width = shape
    y, x = np.mgrid[:height, :width]
    ramp = ((x + 0.5) / width * 100 + (y + 0.5) / height * 100).astype(np.float32)
    small = resize_antialiased(ramp, 64, 48)
    y, x = np.mgrid[:48, :64]
    expected = (x + 0.5) / 64 * 100 + (y + 0.5) / 48 * 100
    # Not at the borders, where bilinear sampling repeats the edge. 0.1 = 1/16 px of the result.
    assert np.abs(small - expected)[2:-2, 2:-2].max() < 0.1


def test_fine_stripes_become_grey() -> None:
    stripes = np.zeros((480, 640), np.uint8)
    stripes[:, ::2] = 255
    assert np.abs(resize_antialiased(stripes, 64, 64).astype(int) - 128).max() <= 1
    assert np.ptp(cv2.resize(stripes, (64, 64), interpolation=cv2.INTER_NEAREST)) in (0, 255)


def test_an_image_of_the_right_size_is_returned_as_it_is() -> None:
    image = np.zeros((48, 64, 3), np.uint8)
    assert resize_antialiased(image, 64, 48) is image


@pytest.mark.parametrize(
    ("low", "high", "zero_point"),
    [
        (0.0, 1.0, -128),
        (-1.0, 1.0, -1),
        (-1.0, 1.0, 0),
        (0.0, 255.0, -128),
        (-0.5, 0.5, -1),
        (-2.0, 3.0, -26),
    ],
)
def test_levels_are_the_quantized_values(low: float, high: float, zero_point: int) -> None:
    preprocessor = Preprocessor(spec(low=low, high=high, zero_point=zero_point))
    frame = np.repeat(np.arange(32 * 48, dtype=np.uint8).reshape(32, 48, 1), 3, axis=2)
    levels = preprocessor.network_input(frame)
    assert levels.dtype == np.int8
    values = (levels[0].astype(float) - zero_point) * (high - low) / 255
    assert np.abs(values - (low + (high - low) * frame / 255.0)).max() <= 0.5001 * (high - low) / 255
    np.testing.assert_array_equal(preprocessor.pixels(levels[0]), frame)


def test_a_narrow_scale_saturates() -> None:
    narrow = InputSpec(1, 2, 1, "GREY", (0.0, 1.0), 1 / 512, -128)
    levels = Preprocessor(narrow).network_input(np.array([[0, 255]], np.uint8))
    assert levels.ravel().tolist() == [-128, 127]


def test_the_network_sees_rgb() -> None:
    frame = np.zeros((32, 48, 3), np.uint8)
    frame[...] = (1, 2, 3)
    assert (Preprocessor(spec()).network_input(frame)[0, 0, 0] + 128).tolist() == [3, 2, 1]


def test_a_bgr_network_sees_the_frame_as_it_is_and_grey_ones_in_three_channels() -> None:
    frame = np.random.default_rng(5).integers(0, 256, (32, 48, 3), np.uint8)
    network = Preprocessor(spec("BGR"))
    np.testing.assert_array_equal(network.pixels(network.network_input(frame)[0]), frame)
    np.testing.assert_array_equal(
        network.network_input(frame[..., 1]), network.network_input(np.repeat(frame[..., 1:2], 3, axis=2))
    )


def test_a_grey_network_sees_luminance() -> None:
    frame = np.zeros((32, 48, 3), np.uint8)
    frame[...] = (0, 255, 0)
    assert Preprocessor(spec("GREY")).network_input(frame)[0, 0, 0, 0] + 128 == 150  # 0.587 · 255


@pytest.mark.parametrize("size", [(30, 20), (100, 90), (320, 240)])
def test_many_channels_are_resized_as_each_alone(size):
    image = np.random.default_rng(3).integers(0, 256, (240, 320, 6), dtype=np.uint8)
    small = resize_antialiased(image, *size)
    for channel in range(6):
        alone = resize_antialiased(image[..., channel], *size).astype(int)
        assert np.abs(small[..., channel] - alone).max() <= 2  # OpenCV rounds otherwise for another count of channels
