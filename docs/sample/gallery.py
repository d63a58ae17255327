"""Draws the pictures of docs/gallery.md: synthesised frames, and what the bundled models make of them.

    python docs/sample/gallery.py docs/gallery/

Nothing is picked: of each kind it is the first frame of the seed, of scenes and plates the first ones. Where a picture
shows a mistake, the model made it.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import cv2
import matplotlib
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from stn_rectify.models.synthesis import FrameSynthesiser, SceneSynthesiser
from stn_rectify.runtime import CapturedFrame, Pipeline, Rectifier
from stn_rectify.runtime.sinks import draw_overview

SEED, SIZE = 7, (640, 480)
KINDS = ("page", "label", "card", "sign", "display", "receipt", "plate", "poster")
PLATES = ("KVB 2 107", "RT 418 ZE", "9G 6031")


def main() -> None:
    """Writes kinds.jpg, scene.jpg and plates.jpg."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path, help="where the pictures go")
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    write(folder / "kinds.jpg", first_of_each_kind())
    write(folder / "scene.jpg", first_scenes(2))
    write(folder / "plates.jpg", first_plates())


def first_of_each_kind() -> list[NDArray[np.uint8]]:
    """`general` on the first frame of each kind."""
    synthesise, found = FrameSynthesiser(seed=SEED, frame_size=SIZE), dict[str, NDArray[np.uint8]]()
    with Rectifier("general") as rectifier:
        pipeline, index = Pipeline(rectifier), 0
        while len(found) < len(KINDS):
            sample = synthesise(index)
            if sample.kind in KINDS and sample.kind not in found:
                found[sample.kind] = overview(pipeline, sample.frame)
            index += 1
    return [found[kind] for kind in KINDS]


def first_scenes(count: int) -> list[NDArray[np.uint8]]:
    """`general` on the first frames that show three targets or more."""
    synthesise, pictures, index = SceneSynthesiser(seed=SEED, frame_size=SIZE), list[NDArray[np.uint8]](), 0
    with Rectifier("general") as rectifier:
        pipeline = Pipeline(rectifier, max_targets=6)
        while len(pictures) < count:
            scene = synthesise(index)
            if len(scene.kinds) >= 3:
                pictures.append(overview(pipeline, scene.frame))
            index += 1
    return pictures


def first_plates() -> list[NDArray[np.uint8]]:
    """`plates` on the first frames that show a plate of `PLATES`, read by its recognizer."""
    with tempfile.TemporaryDirectory() as folder, Rectifier("plates") as rectifier:
        for text in PLATES:
            plate(text).save(Path(folder) / f"{text}.png")
        pipeline = Pipeline(rectifier, recognizer="plates")
        synthesise = FrameSynthesiser(seed=SEED, frame_size=SIZE, targets=Path(folder), empty_fraction=0.0)
        return [overview(pipeline, synthesise(index).frame) for index in range(4)]


def plate(text: str) -> Image.Image:
    """A plate of one row: black on white, in the bold face that matplotlib brings."""
    font = ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans-Bold.ttf", 84)
    picture = Image.new("RGB", (560, 120), "white")
    draw = ImageDraw.Draw(picture)
    draw.rounded_rectangle((3, 3, 556, 116), 12, outline="black", width=5)
    draw.text((280, 58), text, fill="black", font=font, anchor="mm")
    return picture


def overview(pipeline: Pipeline, frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """What --save writes: the frame with the targets marked, and beside it what was rectified."""
    done = pipeline.process(CapturedFrame("frame", 0, 0.0, frame))
    return draw_overview(frame, done.result, done.targets, done.rule)


def write(path: Path, pictures: list[NDArray[np.uint8]]) -> None:
    """A sheet of two columns, each cell as wide as a phone's screen shows it well."""
    width, height = 640, 300
    cells = [np.full((height, width, 3), 255, np.uint8) for _ in range(len(pictures) + len(pictures) % 2)]
    for cell, picture in zip(cells, pictures, strict=False):
        scale = min((width - 8) / picture.shape[1], (height - 8) / picture.shape[0])
        small = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        y, x = (height - small.shape[0]) // 2, (width - small.shape[1]) // 2
        cell[y : y + small.shape[0], x : x + small.shape[1]] = small
    sheet = np.vstack([np.hstack(cells[at : at + 2]) for at in range(0, len(cells), 2)])
    cv2.imwrite(str(path), sheet, [cv2.IMWRITE_JPEG_QUALITY, 82])


if __name__ == "__main__":
    main()
