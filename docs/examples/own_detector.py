"""Makes upright what a detector of one's own has found, here all that is bright: python own_detector.py IMAGE..."""

import sys

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
    with Rectifier(margin=0.02) as rectifier:
        for frame in ImageSource(sys.argv[1:]):
            for result in rectifier.rectify_all(frame.image, boxes=find_boxes(frame.image)):
                file = f"{frame.source}.{result.box}.png"
                cv2.imwrite(file, result.image)
                print(f"{file}: score {result.score:.2f}")
