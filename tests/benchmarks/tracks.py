"""Several targets in a video: how many are found, whether they keep their numbers, how they tremble, what it takes.

    python tests/benchmarks/tracks.py --model MODEL.tflite                     # a dense model
    python tests/benchmarks/tracks.py --model MODEL.tflite --write tracks.mkv  # the last setting's video, to look at

A synthesised video, 640×480 at 30 frames/s: targets of the synthesis kit over one of its grounds, with sensor noise of
its own in each frame. One stays, two cross, one is small and fast, one comes, leaves and comes again, one turns and
tilts. All settings see each frame one after the other, in an order that goes round. For each setting:

- found: share of the visible targets (nine tenths of them in the frame and under no other) that a result has at an
  intersection over union of 0.7 or more; of all, and the least of any target.
- false: results at no more than 0.3 from any target, visible or not, per frame.
- switches: how often a target's number is another one than in the frame where it was last found; for who comes
  again after more than a second the number must be another one, and that is no switch.
- jitter: root mean square of the second difference of a corner's error from frame to frame, pixels.
- scanned: share of the frames in which the whole frame was looked at.
- ms: median and mean time of `Pipeline.process`, milliseconds.
"""

from __future__ import annotations

import argparse
import signal
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise

import cv2
import numpy as np

from stn_rectify.models.synthesis.material.bank import build_bank
from stn_rectify.models.synthesis.photography.pasting import paste_texture
from stn_rectify.models.synthesis.surroundings.backgrounds import draw_background
from stn_rectify.models.synthesis.targets.kinds import TargetTexture
from stn_rectify.runtime import (
    CapturedFrame,
    CornerSmoother,
    Location,
    MissRule,
    Pipeline,
    Processed,
    Rectifier,
    TargetTracker,
)
from stn_rectify.runtime.arrays import Image
from stn_rectify.runtime.rectifying.searching.candidates import overlap
from stn_rectify.runtime.sinks import VideoSink

SIZE = (640, 480)
FRAME_RATE = 30.0
NOISE_LEVELS = 4.0  # standard deviation of a pixel's noise, of 255
FOUND, ELSEWHERE = 0.7, 0.3  # intersection over union
VISIBLE = 0.9
GIVEN_UP_S = 1.0  # what `TargetTracker` waits for a target


@dataclass(frozen=True)
class Actor:
    """A target and how it moves.

    Attributes:
        kind: of the target.
        width: of it as it is seen from the front, pixels.
        centre: seconds → x and y, pixels.
        turn: seconds → radians in the plane of the picture.
        tilt: seconds → radians out of it.
    """

    kind: str
    width: float
    centre: Callable[[float], tuple[float, float]]
    turn: Callable[[float], float] = lambda seconds: 0.05
    tilt: Callable[[float], float] = lambda seconds: 0.2


ACTORS = {
    "stays": Actor("page", 150, lambda s: (110.0, 330.0)),
    "crosses": Actor("card", 130, lambda s: (-80 + 70 * s, 110.0)),
    "is crossed": Actor("label", 120, lambda s: (760 - 75 * s, 125.0)),
    "small, fast": Actor("plate", 90, lambda s: (430 + 150 * np.sin(2.2 * s), 420 + 20 * np.sin(3.1 * s))),
    "comes twice": Actor("card", 120, lambda s: (700 - 260 * np.sin(0.9 * s), 260.0)),
    "turns": Actor(
        "display", 150, lambda s: (320.0, 285.0), lambda s: 0.5 * np.sin(1.1 * s), lambda s: 0.5 * np.sin(0.8 * s)
    ),
}


@dataclass
class Setting:
    """A pipeline and what came of it.

    Attributes:
        pipeline: of these options.
        times_ms: of each frame.
        scanned: frames that were scanned.
        false: results where there is nothing.
        found: of each actor, the frames in which it was found: number, track, corners' error [4, 2].
    """

    pipeline: Pipeline
    times_ms: list[float] = field(default_factory=list)
    scanned: int = 0
    false: int = 0
    found: dict[str, list[tuple[int, int | None, np.ndarray]]] = field(default_factory=lambda: defaultdict(list))


def corners_at(actor: Actor, aspect: float, seconds: float) -> np.ndarray:
    """A plane in space, seen by a pinhole camera: [4, 2], pixels."""
    plane = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * (actor.width / 2, actor.width / 2 / aspect)
    turn, tilt = actor.turn(seconds), actor.tilt(seconds)
    c, s = np.cos(turn), np.sin(turn)
    points = plane @ np.array([[c, s], [-s, c]])
    distance = 1.5 * SIZE[0]
    scale = distance / (distance + points[:, :1] * np.sin(tilt))
    return points * (np.cos(tilt), 1) * scale + actor.centre(seconds)


def covered(corners: np.ndarray, above: list[np.ndarray]) -> float:
    """The share of a target that is outside the frame or under others."""
    target = np.zeros(SIZE[::-1], np.uint8)
    cv2.fillConvexPoly(target, np.rint(corners).astype(np.int32), 1)
    for other in above:
        cv2.fillConvexPoly(target, np.rint(other).astype(np.int32), 0)
    return 1 - float(target.sum()) / max(1.0, cv2.contourArea(corners.astype(np.float32)))


def video(
    seed: int, frames: int, actors: Mapping[str, Actor] = ACTORS
) -> Iterator[tuple[np.ndarray, dict[str, np.ndarray], set[str]]]:
    """Frames, the corners of the actors in each, and which of them are visible."""
    bank, rng = build_bank(seed, [], []), np.random.default_rng(seed)
    ground = draw_background(rng, bank, SIZE)
    textures: dict[str, TargetTexture] = {}
    for number, (name, actor) in enumerate(actors.items()):
        of_kind = [texture for texture in bank.targets if texture.kind == actor.kind]
        textures[name] = of_kind[number % len(of_kind)]
    for index in range(frames):
        places = {name: corners_at(actor, textures[name].aspect, index / FRAME_RATE) for name, actor in actors.items()}
        frame = ground.copy()
        for name, corners in places.items():
            paste_texture(frame, textures[name].image, corners, radius=textures[name].corner_radius)
        noise = np.empty(frame.shape, np.int16)
        cv2.setRNGSeed(int(rng.integers(2**31)))
        cv2.randn(noise, 0, NOISE_LEVELS)
        frame = np.asarray(cv2.add(cv2.GaussianBlur(frame, (0, 0), 0.7), noise, dtype=cv2.CV_8U))
        drawn = list(places.values())
        hidden = {name: covered(corners, drawn[place + 1 :]) for place, (name, corners) in enumerate(places.items())}
        yield frame, places, {name for name, share in hidden.items() if share <= 1 - VISIBLE}


class Counting(Rectifier):
    """Counts its scans."""

    scans = 0

    def locate_all(self, frame: Image, max_targets: int | None = None, *, boxes: object = None) -> list[Location]:
        self.scans += boxes is None
        return super().locate_all(frame, max_targets, boxes=boxes)


def take(
    setting: Setting, rectifier: Counting, frame: CapturedFrame, places: dict[str, np.ndarray], visible: set[str]
) -> Processed:
    """Has the setting process a frame, and writes down what it found."""
    scans, started = rectifier.scans, time.perf_counter()
    done = setting.pipeline.process(frame)
    setting.times_ms.append((time.perf_counter() - started) * 1000)
    setting.scanned += rectifier.scans > scans
    for target in done.targets:
        shares = {name: overlap(target.corners, corners) for name, corners in places.items()}
        best = max(shares, key=lambda name: shares[name])
        setting.false += shares[best] <= ELSEWHERE
        known = setting.found[best]
        if best in visible and shares[best] >= FOUND and (not known or known[-1][0] != frame.index):
            known.append((frame.index, target.track, target.corners - places[best]))
    return done


def switches(found: list[tuple[int, int | None, np.ndarray]]) -> int:
    """How often a target's number changed."""
    count = 0
    for (earlier, before, _), (later, after, _) in pairwise(found):
        count += before != after and (later - earlier) / FRAME_RATE <= GIVEN_UP_S
    return count


def jitter(tracks: Iterable[list[tuple[int, int | None, np.ndarray]]]) -> float:
    """Root mean square of the second difference of the corners' errors, pixels."""
    second = []
    for found in tracks:
        for (a, _, first), (b, _, middle), (c, _, last) in zip(found, found[1:], found[2:], strict=False):
            if (a + 1, b + 1) == (b, c):
                second.append(last - 2 * middle + first)
    return float(np.sqrt((np.array(second) ** 2).sum(axis=-1).mean())) if second else float("nan")


def watch(
    settings: dict[tuple[int, bool], Setting],
    rectifier: Counting,
    frames: Iterator[tuple[np.ndarray, dict[str, np.ndarray], set[str]]],
    sink: VideoSink | None,
) -> tuple[dict[str, int], int]:
    """Has all settings process the frames, until Ctrl-C; gives how often each actor was visible, and their number."""
    seen: dict[str, int] = defaultdict(int)
    order, count, stopped = list(settings.values()), 0, threading.Event()
    signal.signal(signal.SIGINT, lambda *_: stopped.set())  # between two frames, so that all settings have seen them
    for index, (image, places, visible) in enumerate(frames):
        if stopped.is_set():
            print("\rstopped: these are the numbers so far", file=sys.stderr)
            break
        print(f"\r{index}  ", end="", file=sys.stderr, flush=True)
        frame = CapturedFrame("tracks", index, index / FRAME_RATE, image, index / FRAME_RATE)
        for setting in order[index % len(order) :] + order[: index % len(order)]:
            done = take(setting, rectifier, frame, places, visible)
            if sink is not None and setting is order[-1]:
                sink.write_targets(done.frame, done.result, done.targets, done.rule)
        count += 1
        for name in visible:
            seen[name] += 1
    return seen, count


def report(settings: dict[tuple[int, bool], Setting], seen: dict[str, int], frames: int, *, details: bool) -> None:
    """Prints the table."""
    print("\r", end="", file=sys.stderr)
    print(
        f"{'scan every':>10}{'smooth':>8}{'found':>8}{'least':>7}{'false':>7}{'switches':>10}{'jitter px':>11}", end=""
    )
    print(f"{'scanned':>9}{'ms p50':>8}{'mean':>7}")
    for (every, smooth), setting in settings.items():
        shares = {name: len(setting.found[name]) / count for name, count in seen.items()}
        total = sum(map(len, setting.found.values())) / sum(seen.values())
        changed = {name: switches(found) for name, found in setting.found.items()}
        print(
            f"{every:10}{'yes' if smooth else 'no':>8}{100 * total:7.1f}%{100 * min(shares.values()):6.0f}%"
            f"{setting.false / frames:7.2f}{sum(changed.values()):10}{jitter(setting.found.values()):11.2f}"
            f"{100 * setting.scanned / frames:8.0f}%{np.median(setting.times_ms):8.1f}{np.mean(setting.times_ms):7.1f}"
        )
        for name in ACTORS if details else ():
            print(
                f"{'':12}{name:14}{100 * shares.get(name, 0):6.0f}% of {seen[name]:3}, "
                f"switches: {changed.get(name, 0)}, jitter {jitter([setting.found[name]]):.2f} px"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="a model file or a bundled model's name (general)")
    parser.add_argument("--max-targets", type=int, default=8)
    parser.add_argument("--min-score", type=float, help="lowest score of a target (the file's)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=10.0, help="of the video (10)")
    parser.add_argument("--every", type=int, nargs="+", default=[1, 5], help="values of scan_every (1 5)")
    parser.add_argument("--details", action="store_true", help="a line for each target of each setting")
    parser.add_argument("--write", metavar="FILE", help="a video of what the last setting found")
    arguments = parser.parse_args()
    with Counting(arguments.model) as rectifier:
        settings = {
            (every, smooth): Setting(
                Pipeline(
                    rectifier,
                    max_targets=arguments.max_targets,
                    rule=MissRule(arguments.min_score),
                    smoother=CornerSmoother() if smooth else None,
                    tracker=TargetTracker(),
                    scan_every=every,
                )
            )
            for every in arguments.every
            for smooth in (False, True)
        }
        sink = None if arguments.write is None else VideoSink(arguments.write, framerate=FRAME_RATE)
        seen, frames = watch(settings, rectifier, video(arguments.seed, round(arguments.seconds * FRAME_RATE)), sink)
        if sink is not None:
            sink.close()
    if seen:
        report(settings, seen, frames, details=arguments.details)


if __name__ == "__main__":
    main()
