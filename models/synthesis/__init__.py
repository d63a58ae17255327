"""Procedural camera frames for training localization networks.

`FrameSynthesiser` draws planar targets (pages, cards, labels, number plates, signs, displays, posters) under
random homographies, on cluttered backgrounds, as a camera sees them. It needs no data set and no TensorFlow.

`synthesiser` draws frames, `scenes` frames of several targets, `upright` rectified targets: `targets` are pasted into
`surroundings` and seen by a camera (`photography`). `material` is made once for each seed; `drawing` is what all share.
"""

from stn_rectify.models.synthesis.scenes import SceneSynthesiser, SynthesisedScene
from stn_rectify.models.synthesis.synthesiser import FrameSynthesiser, SynthesisedFrame
from stn_rectify.models.synthesis.targets.kinds import TARGET_KINDS

__all__ = ["TARGET_KINDS", "FrameSynthesiser", "SceneSynthesiser", "SynthesisedFrame", "SynthesisedScene"]
