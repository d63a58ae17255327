"""Rectifies one image: python rectify_image.py photo.jpg upright.png"""

import sys

import cv2

from stn_rectify.runtime import Rectifier

frame = cv2.imread(sys.argv[1])
if frame is None:
    sys.exit(f"cannot read {sys.argv[1]}")

with Rectifier() as rectifier:
    result = rectifier.rectify(frame)

print("score", round(result.score, 3))
for name, (x, y) in zip(("top left", "top right", "bottom right", "bottom left"), result.corners, strict=True):
    print(f"{name}: {x:.1f}, {y:.1f}")
if result.score < 0.5:
    sys.exit("no target found")
cv2.imwrite(sys.argv[2], result.image)
