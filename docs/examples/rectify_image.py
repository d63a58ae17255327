"""Rectifies one image: python rectify_image.py photo.jpg upright.png"""

import sys

from stn_rectify.runtime import Rectifier, StnRectifyError

if len(sys.argv) != 3:
    sys.exit("usage: python rectify_image.py IMAGE OUT.png")
try:
    with Rectifier() as rectifier:
        result = rectifier.rectify(sys.argv[1])
except StnRectifyError as error:
    sys.exit(str(error))

print("score", round(result.score, 3))
for name, (x, y) in zip(("top left", "top right", "bottom right", "bottom left"), result.corners, strict=True):
    print(f"{name}: {x:.1f}, {y:.1f}")
if not result.found:
    sys.exit("no target found")
result.save(sys.argv[2])
