"""How often a target counts as steady, and its picture as changed: what the default thresholds lie between.

    python tests/benchmarks/recognition_thresholds.py [--model NAME]

Plates in the videos of corner_jitter.py (640x480, 30 frames/s; still, slow, fast), the same three texts on each of two
grounds. Steady: the share of frames for which `Steadiness` says so. Changed: the share of pairs of pictures, at most
half a second apart, for which `PictureChange` says so; beside it pairs from the same part of two videos, whose texts
differ in the last character, or in all.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass

import cv2
import numpy as np
from corner_jitter import FRAME_RATE, NOISE_LEVELS, PARTS, phases, true_corners

from stn_rectify.models.synthesis.material.bank import build_bank
from stn_rectify.models.synthesis.photography.pasting import paste_texture
from stn_rectify.models.synthesis.surroundings.backgrounds import draw_background
from stn_rectify.runtime import CornerSmoother, Rectification, Rectifier
from stn_rectify.runtime.recognition.schedule import PictureChange, Steadiness

TEXTS = ("AB12CD3", "AB12CD8", "XK94QM7")
GROUNDS = 2
SIZE = (640, 480)
ASPECT = 4.0
FOUND = 0.5
PAIRS = 150


@dataclass(frozen=True)
class Seen:
    """A video's results: as found, and smoothed."""

    found: list[Rectification]
    smooth: list[Rectification]


def plate(text: str) -> np.ndarray:
    """BGR uint8."""
    image = np.full((120, 480, 3), 235, np.uint8)
    cv2.rectangle(image, (3, 3), (476, 116), (20, 20, 20), 4)
    (width, height), _ = cv2.getTextSize(text, 0, 3, 10)
    origin = ((480 - width) // 2, (120 + height) // 2)
    cv2.putText(image, text, origin, 0, 3, (20, 20, 20), 10, cv2.LINE_AA)
    return image


def seen(rectifier: Rectifier, text: str, ground: np.ndarray) -> Seen:
    """What is found in a video of a plate."""
    found, smooth, smoother = [], [], CornerSmoother()
    for number, phase in enumerate(phases()[0]):
        frame = ground.copy()
        paste_texture(frame, plate(text), true_corners(phase, ASPECT, SIZE), radius=0.02)
        frame = cv2.GaussianBlur(frame, (0, 0), 0.7)
        noise = np.empty(frame.shape, np.int16)
        cv2.randn(noise, 0, NOISE_LEVELS)
        frame = cv2.add(frame, noise, dtype=cv2.CV_8U)
        location = rectifier.locate(frame)
        found.append(rectifier.sample(frame, location))
        corners = smoother.smooth(location.corners, number / FRAME_RATE)
        smooth.append(rectifier.sample(frame, location, corners=corners))
    return Seen(found, smooth)


def steady(results: list[Rectification], part: int) -> float:
    """Share of a part's frames with a steady target; NaN where none is seen."""
    steadiness, said = Steadiness(), []
    for result, its_part in zip(results, phases()[1], strict=True):
        if result.score < FOUND:
            steadiness.reset()
        elif its_part == part:
            said.append(steadiness.is_steady(result.corners))
    return float(np.mean(said)) if said else float("nan")


def changed(rng: np.random.Generator, first: list[Rectification], second: list[Rectification], part: int) -> float:
    """Share of pairs that count as changed; NaN where there are none."""
    numbers = np.flatnonzero(phases()[1] == part)
    said = []
    for number in rng.choice(numbers, PAIRS):
        other = rng.choice(numbers[abs(numbers - number) <= FRAME_RATE / 2])
        if min(first[number].score, second[other].score) >= FOUND:
            change = PictureChange()
            change.remember(first[number].image)
            said.append(change.has_changed(second[other].image))
    return float(np.mean(said)) if said else float("nan")


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=None)
    args = parser.parse_args()
    rng, bank = np.random.default_rng(3), build_bank(3, [], [])
    cv2.setRNGSeed(3)
    with Rectifier(args.model) as rectifier:
        videos = []
        for _ in range(GROUNDS):
            ground = draw_background(rng, bank, SIZE)
            videos.append({text: seen(rectifier, text, ground) for text in TEXTS})
        print(f"{rectifier.model.metadata.name}, %     steady   changed: same plate   last character   all characters")
    for smoothed in (False, True):
        for part, name in enumerate(PARTS):
            rows = []
            for video in videos:
                results = {text: one.smooth if smoothed else one.found for text, one in video.items()}
                first = results[TEXTS[0]]
                rows.append([steady(first, part), *(changed(rng, first, results[text], part) for text in TEXTS)])
            shares = 100 * np.nanmean(rows, axis=0)
            what = f"{name}, {'smoothed' if smoothed else 'as found'}"
            print(f"{what:17}  {shares[0]:6.0f}   {shares[1]:19.0f}   {shares[2]:14.0f}   {shares[3]:14.0f}")


if __name__ == "__main__":
    main()
