"""Draws the sample frame: a typeset page that lies on a table, as a camera at an angle sees it.

    python docs/sample/photograph.py --desk stuff.jpg

writes ``runtime/data/demo.jpg`` and ``demo.truth.json``. The page is ``page.html``, printed by Chromium; the desk is
the photograph ``samples/data/stuff.jpg`` of OpenCV (Apache-2.0), seen at the page's angle. No camera saw the
page: its picture, its shadow, the light of a window, blur and noise are added here.
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
import subprocess
import tempfile
from pathlib import Path

import cv2
import numpy as np

HERE = Path(__file__).parent
DATA = HERE.parents[1] / "runtime" / "data"
#: Width and height of the page as it is printed, and of the frame, pixels.
PAGE_SIZE, FRAME_SIZE = (1000, 1414), (1280, 960)
#: The camera: its tilt from straight down and the page's turn on the table, degrees; how far away it is and its focal
#: length, in heights of the page and of the frame; where the page's middle is seen, pixels.
TILT, TURN, DISTANCE, FOCAL, MIDDLE = 46.0, -27.0, 2.0, 1.62, (600, 500)
#: The height of the photograph of the desk, in heights of the page, and where its middle lies from the page's.
DESK, DESK_MIDDLE = 2.6, (0.3, -0.12)
#: The page is drawn so many times as fine, and then shrunk.
FINER = 2
SQUARE = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]])


def main() -> None:
    """Draws the frame and writes what is to be found in it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--desk", type=Path, required=True, help="samples/data/stuff.jpg of OpenCV")
    options = parser.parse_args()
    desk = cv2.imread(str(options.desk))
    if desk is None:
        parser.error(f"{options.desk} is no picture that OpenCV reads")
    rng = np.random.default_rng(4)
    half = np.array([PAGE_SIZE[0] / PAGE_SIZE[1], 1.0]) / 2
    corners = seen(turned(half * SQUARE, TURN))
    scene = seen_at_an_angle(desk)
    fine = cv2.resize(scene, None, fx=FINER, fy=FINER, interpolation=cv2.INTER_CUBIC)
    page, inside = laid_out(printed_page(), corners, fine.shape)
    shadow = cv2.GaussianBlur(np.roll(inside, (20, 14), (0, 1)), (0, 0), 18)[..., None]
    fine = fine * (1 - 0.45 * shadow) * (1 - inside[..., None]) + page
    scene = cv2.resize(fine, FRAME_SIZE, interpolation=cv2.INTER_AREA)
    light = np.linspace(0.86, 1.04, FRAME_SIZE[0], dtype=np.float32)[None, :, None]  # a window at the right
    frame = cv2.GaussianBlur(scene, (0, 0), 0.7) * light + rng.normal(0, 2.5, scene.shape)
    cv2.imwrite(str(DATA / "demo.jpg"), np.clip(frame, 0, 255).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, 86])
    (DATA / "demo.truth.json").write_text(json.dumps({"demo.jpg": corners.round(2).tolist()}) + "\n")


def printed_page() -> np.ndarray:
    """The page, uint8 [1414, 1000, 3] BGR."""
    browser = next(
        (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None
    )
    if browser is None:
        raise SystemExit("Chromium prints the page: apt install chromium")
    with tempfile.TemporaryDirectory() as folder:
        picture = Path(folder) / "page.png"
        size = f"--window-size={PAGE_SIZE[0]},{PAGE_SIZE[1]}"
        flags = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", size, f"--screenshot={picture}"]
        subprocess.run([browser, *flags, str(HERE / "page.html")], check=True, capture_output=True, timeout=120)
        return cv2.imread(str(picture))


def laid_out(page: np.ndarray, corners: np.ndarray, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """The page at its place in a frame `FINER` times as fine, float32 [H, W, 3], and where it is, float32 [H, W]."""
    edges = (SQUARE + 1) / 2 * np.array(PAGE_SIZE) - 0.5
    to_frame = cv2.getPerspectiveTransform(edges.astype(np.float32), ((corners + 0.5) * FINER - 0.5).astype(np.float32))
    size = (shape[1], shape[0])
    inside = cv2.warpPerspective(np.ones(page.shape[:2], np.float32), to_frame, size)
    return cv2.warpPerspective(page.astype(np.float32), to_frame, size), inside


def seen_at_an_angle(desk: np.ndarray) -> np.ndarray:
    """The desk under the camera, uint8 [960, 1280, 3]; beyond the photograph's edges it goes on mirrored."""
    height, width = desk.shape[:2]
    half = np.array([width / height, 1.0]) / 2 * DESK
    inside = SQUARE * np.array([width, height]) / 2 + np.array([width, height]) / 2
    to_frame = cv2.getPerspectiveTransform(
        inside.astype(np.float32), seen(half * SQUARE + DESK_MIDDLE).astype(np.float32)
    )
    return cv2.warpPerspective(desk, to_frame, FRAME_SIZE, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)


def turned(points: np.ndarray, degrees: float) -> np.ndarray:
    """Points [N, 2] of the desk, turned clockwise as the camera sees them."""
    angle = math.radians(degrees)
    return points @ np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])


def seen(points: np.ndarray) -> np.ndarray:
    """Where a pinhole camera sees points [N, 2] of the desk: pixels. The unit is the page's height."""
    tilt = math.radians(TILT)
    depth = DISTANCE - points[:, 1] * math.sin(tilt)
    flat = np.column_stack([points[:, 0], points[:, 1] * math.cos(tilt)])
    return flat * FOCAL * FRAME_SIZE[1] / depth[:, None] + MIDDLE


if __name__ == "__main__":
    main()
