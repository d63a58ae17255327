"""How much found corners tremble, and how far they lag behind, without and with smoothing over time.

    python tests/benchmarks/corner_jitter.py                                   # the bundled model, default smoothing
    python tests/benchmarks/corner_jitter.py --filter 0.5,15,1 --filter 2,15,1     # others beside it

Synthesised videos of 30 frames/s: a target of the synthesis kit on one of its grounds stands still, moves slowly, then
fast (to and fro, turning and tilting), each frame with sensor noise of its own. For each part:

- tremble: root mean square of the second difference of a corner's error from frame to frame, pixels. The error's, so
  that the true movement's own does not count.
- error: mean distance of the corners from the true ones, pixels.
- behind: how far the smoothed corners lie behind the unsmoothed ones along the true movement, milliseconds.

Below each size what smoothing adds to a frame's time: the filter, and the image taken again at the smoothed corners.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from stn_rectify.models.synthesis.material.bank import build_bank
from stn_rectify.models.synthesis.photography.pasting import paste_texture
from stn_rectify.models.synthesis.surroundings.backgrounds import draw_background
from stn_rectify.models.synthesis.targets.kinds import TargetTexture
from stn_rectify.runtime import Rectifier
from stn_rectify.runtime.rectifying.tracking.smoothing import CornerSmoother

FRAME_RATE = 30.0
PART_S = 3.0
#: Part → how fast the phase of the movement runs, radians per second.
PARTS = {"still": 0.0, "slow": 0.4, "fast": 1.8}
KINDS = ("card", "page", "plate")
SIZES = ((640, 480), (1280, 720))
FOUND = 0.5
NOISE_LEVELS = 4.0  # standard deviation of a pixel's noise, of 255


@dataclass(frozen=True)
class Track:
    """A video's corners.

    Attributes:
        truth: [N, 4, 2], pixels.
        found: [N, 4, 2], pixels.
        scores: [N].
        parts: [N], which of `PARTS` a frame is in.
        shares: [N], time of smoothing as a share of what the frame takes.
    """

    truth: np.ndarray
    found: np.ndarray
    scores: np.ndarray
    parts: np.ndarray
    shares: np.ndarray


def phases() -> tuple[np.ndarray, np.ndarray]:
    """The movement's phase in each frame, radians, and the number of the part it is in."""
    frames = round(PART_S * FRAME_RATE)
    parts = np.repeat(np.arange(len(PARTS)), frames)
    speeds = np.array(list(PARTS.values()))[parts]
    eased = np.convolve(np.pad(speeds, (8, 0), mode="edge"), np.full(9, 1 / 9), mode="valid")  # starts are gentle
    return np.cumsum(eased) / FRAME_RATE, parts


def true_corners(phase: float, aspect: float, size: tuple[int, int]) -> np.ndarray:
    """Where the target's corners are: a plane in space, seen by a pinhole camera."""
    half = np.array([np.sqrt(aspect), 1 / np.sqrt(aspect)])
    plane = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * half
    turn, tilt, swing = 0.15 + 0.25 * np.sin(phase), 0.3 * np.sin(0.7 * phase + 1), 0.4 * np.sin(1.3 * phase)
    c, s = np.cos(turn), np.sin(turn)
    points = np.column_stack([plane @ np.array([[c, s], [-s, c]]), np.zeros(4)])
    about_x = np.array([[1, 0, 0], [0, np.cos(tilt), -np.sin(tilt)], [0, np.sin(tilt), np.cos(tilt)]])
    about_y = np.array([[np.cos(swing), 0, np.sin(swing)], [0, 1, 0], [-np.sin(swing), 0, np.cos(swing)]])
    points = points @ about_x.T @ about_y.T + (0.9 * np.sin(phase), 0.5 * np.sin(2 * phase), 6.0)
    focal = 1.25 * size[1]
    return focal * points[:, :2] / points[:, 2:] + (np.array(size) - 1) / 2


def video(
    rng: np.random.Generator, target: TargetTexture, ground: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Frames and their true corners."""
    size = (ground.shape[1], ground.shape[0])
    for phase in phases()[0]:
        corners = true_corners(phase, target.aspect, size)
        frame = ground.copy()
        paste_texture(frame, target.image, corners, radius=target.corner_radius)
        frame = cv2.GaussianBlur(frame, (0, 0), 0.7)
        noise = np.empty(frame.shape, np.int16)
        cv2.setRNGSeed(int(rng.integers(2**31)))
        cv2.randn(noise, 0, NOISE_LEVELS)
        yield np.asarray(cv2.add(frame, noise, dtype=cv2.CV_8U)), corners


def tracks(rectifier: Rectifier, size: tuple[int, int], seed: int) -> list[Track]:
    """One for each kind of target."""
    bank, rng = build_bank(seed, [], []), np.random.default_rng(seed)
    made = []
    for number, kind in enumerate(KINDS):
        print(f"\r{size[0]}x{size[1]} {number + 1}/{len(KINDS)} {kind}  ", end="", file=sys.stderr, flush=True)
        target = next(texture for texture in bank.targets if texture.kind == kind)
        truth, found, scores, shares, smoother = [], [], [], [], CornerSmoother()
        for frame, corners in video(rng, target, draw_background(rng, bank, size)):
            started = time.perf_counter()
            location = rectifier.locate(frame)
            located = time.perf_counter()
            smooth = smoother.smooth(location.corners, len(truth) / FRAME_RATE)
            filtered = time.perf_counter()
            rectifier.sample(frame, location, corners=smooth)
            shares.append((filtered - located) / (time.perf_counter() - started))
            truth.append(corners)
            found.append(location.corners)
            scores.append(location.score)
        made.append(Track(np.array(truth), np.array(found), np.array(scores), phases()[1], np.array(shares)))
    print("\r" + " " * 40 + "\r", end="", file=sys.stderr)
    return made


def smoothed(track: Track, smoother: CornerSmoother) -> np.ndarray:
    """The found corners as the runtime would smooth them."""
    corners = track.found.copy()
    for number, (found, score) in enumerate(zip(track.found, track.scores, strict=True)):
        if score < FOUND:
            smoother.reset()
        else:
            corners[number] = smoother.smooth(found, number / FRAME_RATE)
    return corners


def velocities(track: Track) -> np.ndarray:
    """Of the true corners since the frame before, pixels per second: [N, 4, 2]."""
    return np.diff(track.truth, axis=0, prepend=track.truth[:1]) * FRAME_RATE


def figures(track_list: list[Track], corners: list[np.ndarray], part: int) -> tuple[float, float, float]:
    """Tremble and error in pixels, and how far behind in milliseconds, 0 at a standstill."""
    second, distances, along, squares = [], [], 0.0, 0.0
    for track, given in zip(track_list, corners, strict=True):
        seen = (track.parts == part) & (track.scores >= FOUND)
        error = given - track.truth
        runs = seen[2:] & seen[1:-1] & seen[:-2]
        second.append((error[2:] - 2 * error[1:-1] + error[:-2])[runs])
        distances.append(np.linalg.norm(error[seen], axis=-1))
        velocity = velocities(track)[seen]
        along += float(((track.found - given)[seen] * velocity).sum())
        squares += float((velocity**2).sum())
    tremble = float(np.sqrt((np.concatenate(second) ** 2).sum(axis=-1).mean()))
    behind_ms = 1000 * along / squares if squares > 1 else 0.0
    return tremble, float(np.concatenate(distances).mean()), behind_ms


def speed(track_list: list[Track], part: int) -> float:
    """Root mean square speed of the true corners, sizes of the target per second."""
    in_sizes = []
    for track in track_list:
        diagonal = np.linalg.norm(track.truth[:, :2] - track.truth[:, 2:], axis=-1).mean()
        in_sizes.append(np.sqrt((velocities(track)[track.parts == part] ** 2).sum(axis=-1).mean()) / diagonal)
    return float(np.mean(in_sizes))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="a model file or a bundled model's name (general)")
    parser.add_argument("--filter", action="append", default=[], metavar="MIN_CUTOFF,BETA,D_CUTOFF")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    filters = {"default": CornerSmoother()}
    filters |= {text: CornerSmoother(*(float(value) for value in text.split(","))) for text in arguments.filter}
    print(f"{'frame':10}{'part':7}{'sizes/s':>8}{'found':>7}  {'smoothing':14}", end="")
    print(f"{'tremble px':>11}{'error px':>10}{'behind ms':>11}")
    with Rectifier(arguments.model) as rectifier:
        for size in SIZES:
            made = tracks(rectifier, size, arguments.seed)
            given = {"none": [track.found for track in made]}
            given |= {name: [smoothed(track, smoother) for track in made] for name, smoother in filters.items()}
            for part, name in enumerate(PARTS):
                found = np.mean([(track.scores >= FOUND)[track.parts == part].mean() for track in made])
                for title, corners in given.items():
                    tremble, error, behind_ms = figures(made, corners, part)
                    print(
                        f"{size[0]}x{size[1]:<6}{name:7}{speed(made, part):8.2f}{100 * found:6.0f}%  {title:14}"
                        f"{tremble:11.2f}{error:10.2f}{behind_ms:11.0f}"
                    )
            share = np.median(np.concatenate([track.shares for track in made]))
            print(f"{size[0]}x{size[1]:<6}smoothing takes {share:.3f} of what a frame takes (median)")


if __name__ == "__main__":
    main()
