"""From a frame to its target upright: located, refined look by look, sampled out of the frame.

In: BGR uint8 frames and a `ModelFile`. Out: `Location` and `Rectification` (`results/`). `CornerSmoother` steadies
the corners of frames that follow one another, `TargetTracker` numbers their targets.
"""

from stn_rectify.runtime.rectifying.rectifier import Rectifier
from stn_rectify.runtime.rectifying.tracking.smoothing import CornerSmoother
from stn_rectify.runtime.rectifying.tracking.tracks import TargetTracker

__all__ = ["CornerSmoother", "Rectifier", "TargetTracker"]
