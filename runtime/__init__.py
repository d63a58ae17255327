"""Makes what a camera sees at an angle upright, on a Raspberry Pi class device.

    from stn_rectify.runtime import Rectifier

    with Rectifier() as rectifier:
        result = rectifier.rectify(frame)  # BGR uint8 [H, W, 3]
        if result.score > 0.5:
            text = read(result.image)

Importing this package loads NumPy, OpenCV and Pillow. The interpreter is loaded with the first `Rectifier`.
"""

from stn_rectify.runtime.errors import DataError, ModelFileError, SourceError, StnRectifyError, UsageError
from stn_rectify.runtime.misses import MissRule
from stn_rectify.runtime.model_file import ModelFile, bundled_models
from stn_rectify.runtime.overview import draw_overview
from stn_rectify.runtime.pipeline import Pipeline, Processed
from stn_rectify.runtime.recognition.recognizer import Recognition, Recognizer
from stn_rectify.runtime.rectification import Rectification
from stn_rectify.runtime.rectifier import Rectifier
from stn_rectify.runtime.sinks import JsonlSink, ResultSink, SaveSink
from stn_rectify.runtime.smoothing import CornerSmoother
from stn_rectify.runtime.sources import (
    CameraInfo,
    CameraSource,
    CapturedFrame,
    FrameSource,
    FrameView,
    ImageSource,
    VideoSource,
    list_cameras,
)

__all__ = [
    "CameraInfo",
    "CameraSource",
    "CapturedFrame",
    "CornerSmoother",
    "DataError",
    "FrameSource",
    "FrameView",
    "ImageSource",
    "JsonlSink",
    "MissRule",
    "ModelFile",
    "ModelFileError",
    "Pipeline",
    "Processed",
    "Recognition",
    "Recognizer",
    "Rectification",
    "Rectifier",
    "ResultSink",
    "SaveSink",
    "SourceError",
    "StnRectifyError",
    "UsageError",
    "VideoSource",
    "bundled_models",
    "draw_overview",
    "list_cameras",
]
