"""Makes upright what one's own detector has found, here all that is bright: python own_detector.py FOLDER IMAGE..."""

import sys
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from stn_rectify.runtime import ImageSource, Rectifier


def find_boxes(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.int32]:
    """Any boxes x0, y0, x1, y1 will do, tight or up to twice as large; so will what ultralytics and others give."""
    grey = cv2.GaussianBlur(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), (0, 0), 3)
    _, bright = cv2.threshold(grey, 0, 255, cv2.THRESH_OTSU)
    _, _, regions, _ = cv2.connectedComponentsWithStats(bright)
    x, y, width, height, area = regions[1:].T  # the first one is what is dark
    boxes: npt.NDArray[np.int32] = np.stack([x, y, x + width, y + height], axis=1)[area > 0.01 * grey.size]
    return boxes


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit("usage: python own_detector.py FOLDER IMAGE...")
    folder = Path(sys.argv[1])
    folder.mkdir(exist_ok=True)
    with Rectifier(margin=0.02) as rectifier:
        for frame in ImageSource(sys.argv[2:]):
            for result in rectifier.rectify_all(frame.image, boxes=find_boxes(frame.image)):
                file = result.save(folder / f"{Path(frame.source).stem}.{result.box}.png")
                print(f"{file}: score {result.score:.2f}")
