"""From scene to camera frame: light, shadow, glare, exposure, white balance, blur, noise and compression."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from stn_rectify.models.synthesis.drawing.images import resized
from stn_rectify.runtime.arrays import Image

#: Gain maps are uint8 with this value for a gain of one.
_UNIT_GAIN = 128


def take_photograph(rng: np.random.Generator, scene: Image, noise: npt.NDArray[np.int16]) -> Image:
    """The scene as a camera would deliver it.

    Args:
        rng: the sample's random numbers.
        scene: uint8 [H, W, 3].
        noise: int16 [S, S, 3], standard deviation 32, from which the sensor's noise is cut.

    Returns:
        uint8 [H, W, 3].
    """
    frame = scene
    if rng.random() < 0.75:
        frame = _illuminated(rng, frame)
    if rng.random() < 0.2:
        frame = _glaring(rng, frame)
    frame = _exposed(rng, frame)
    frame = _blurred(rng, frame)
    if rng.random() < 0.75:
        frame = _noisy(rng, frame, noise)
    if rng.random() < 0.3:
        frame = _compressed(rng, frame)
    if rng.random() < 0.06:
        grey = cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY)
        frame = np.asarray(cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR), np.uint8)
    return frame


def _illuminated(rng: np.random.Generator, frame: Image) -> Image:
    """Uneven light and, for a third, a shadow with a sharp or soft edge."""
    height, width = frame.shape[:2]
    nodes = np.exp(rng.normal(0, rng.uniform(0.05, 0.35), (3, 4))).astype(np.float32)
    gain = np.asarray(cv2.resize(nodes, (width // 2, height // 2), interpolation=cv2.INTER_CUBIC), np.float32)
    if rng.random() < 0.35:
        corners = rng.uniform(-1, 2, (int(rng.integers(3, 6)), 2)) * (width // 2, height // 2)
        shadow = np.ones_like(gain)
        cv2.fillPoly(shadow, [corners.astype(np.int32)], (rng.uniform(0.3, 0.85),))
        gain *= cv2.GaussianBlur(shadow, (0, 0), rng.uniform(0.4, 0.02 * height))
    coarse = np.clip(gain * _UNIT_GAIN, 0, 255).astype(np.uint8)
    gain_map = cv2.cvtColor(resized(coarse, width, height), cv2.COLOR_GRAY2BGR)
    return np.asarray(cv2.multiply(frame, gain_map, scale=1 / _UNIT_GAIN), np.uint8)


def _glaring(rng: np.random.Generator, frame: Image) -> Image:
    """One to three soft highlights."""
    height, width = frame.shape[:2]
    coarse = np.zeros((height // 4, width // 4), np.uint8)
    for _ in range(int(rng.integers(1, 4))):
        centre = np.round(rng.random(2) * coarse.shape[::-1]).astype(int).tolist()
        axes = np.maximum(1, np.round(rng.uniform(0.02, 0.3, 2) * coarse.shape[0])).astype(int).tolist()
        cv2.ellipse(coarse, centre, axes, rng.uniform(0, 180), 0, 360, (rng.uniform(60, 255),), -1)
    soft = np.asarray(cv2.GaussianBlur(coarse, (0, 0), rng.uniform(0.01, 0.12) * coarse.shape[0]), np.uint8)
    light = cv2.cvtColor(resized(soft, width, height), cv2.COLOR_GRAY2BGR)
    return np.asarray(cv2.add(frame, light), np.uint8)


def _exposed(rng: np.random.Generator, frame: Image) -> Image:
    """Exposure (too little and too much included), white balance, black level and gamma, in one table."""
    exposure = float(np.exp(rng.normal(0, 0.2)))
    conditions = rng.random()
    if conditions < 0.18:
        exposure *= rng.uniform(0.1, 0.5)
    elif conditions < 0.28:
        exposure *= rng.uniform(1.4, 2.4)
    balance = np.exp(rng.normal(0, 0.28 if rng.random() < 0.2 else 0.08, 3))
    levels = np.linspace(0, 1, 256)[:, None] ** np.exp(rng.normal(0, 0.15))
    black = rng.uniform(0, 40) if rng.random() < 0.2 else 0.0
    table = np.clip(black + (255 - black) * levels * balance * exposure, 0, 255).astype(np.uint8)
    return np.asarray(cv2.LUT(frame, table[None]), np.uint8)


def _blurred(rng: np.random.Generator, frame: Image) -> Image:
    """Defocus, motion, or a coarse sensor whose picture was enlarged."""
    height, width = frame.shape[:2]
    unit = height / 240
    if rng.random() < 0.6:
        frame = np.asarray(cv2.GaussianBlur(frame, (0, 0), unit * (0.3 + abs(rng.normal(0, 0.8)))), np.uint8)
    style = rng.random()
    if style < 0.12:
        length = max(3, int(unit * rng.uniform(3, 10)))
        kernel = np.zeros((length, length), np.float32)
        cv2.line(kernel, (0, int(rng.integers(length))), (length - 1, int(rng.integers(length))), (1.0,))
        kernel = kernel if rng.random() < 0.5 else np.ascontiguousarray(kernel.T)
        return np.asarray(cv2.filter2D(frame, -1, kernel / kernel.sum()), np.uint8)
    if style < 0.24:
        scale = rng.uniform(0.3, 0.7)
        return resized(resized(frame, int(width * scale), int(height * scale)), width, height)
    return frame


def _noisy(rng: np.random.Generator, frame: Image, noise: npt.NDArray[np.int16]) -> Image:
    height, width = frame.shape[:2]
    if height > noise.shape[0] or width > noise.shape[1]:
        noise = np.tile(noise, (1 + height // noise.shape[0], 1 + width // noise.shape[1], 1))
    y, x = rng.integers(noise.shape[0] - height + 1), rng.integers(noise.shape[1] - width + 1)
    part = noise[y : y + height, x : x + width]
    deviation = rng.uniform(1, 8) if rng.random() < 0.8 else rng.uniform(5, 16)
    return np.asarray(cv2.addWeighted(frame, 1.0, part, deviation / 32, 0.0, dtype=cv2.CV_8U), np.uint8)


def _compressed(rng: np.random.Generator, frame: Image) -> Image:
    quality = int(rng.integers(12, 90))
    _, encoded = cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR), np.uint8)
