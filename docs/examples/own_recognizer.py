"""Reads QR codes at an angle by a recognizer of one's own: python own_recognizer.py IMAGE..."""

import sys

import cv2
import numpy as np
import numpy.typing as npt

from stn_rectify.runtime import ImageSource, MissRule, Pipeline, Rectifier


def read_code(image: npt.NDArray[np.uint8]) -> str | None:
    """Any function from the rectified image (BGR uint8) to a text will do; None says that there is nothing to read."""
    text, *_ = cv2.QRCodeDetector().detectAndDecode(image)
    return text or None


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit("usage: python own_recognizer.py IMAGE...")
    with Rectifier() as rectifier:
        pipeline = Pipeline(rectifier, rule=MissRule(min_score=0.5), recognizer=read_code)
        for frame in ImageSource(sys.argv[1:]):
            result = pipeline.process(frame).result
            print(f"{frame.source}: {result.label or 'no code'} (target's score {result.score:.2f})")
