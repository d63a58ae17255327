"""Makes what a camera sees at an angle upright, on a Raspberry Pi class device.

    from stn_rectify.runtime import Rectifier

    with Rectifier() as rectifier:
        result = rectifier.rectify("photo.jpg")  # or a frame of OpenCV, BGR uint8 [H, W, 3]
        if result.found:
            result.save("upright.png")

Importing this package loads NumPy, OpenCV and Pillow. The interpreter is loaded with the first `Rectifier`.
"""

from typing import Any

from stn_rectify.runtime.errors import (
    DataError,
    ModelFileError,
    SourceError,
    StnRectifyError,
    StnRectifyWarning,
    UsageError,
)
from stn_rectify.runtime.model.limits import ModelLimits
from stn_rectify.runtime.model.model_file import ModelFile, bundled_models
from stn_rectify.runtime.pipeline import Pipeline, Processed
from stn_rectify.runtime.recognition.label_rules import LabelRules
from stn_rectify.runtime.recognition.readers import (
    CommandRecognizer,
    RapidOcrRecognizer,
    TesseractRecognizer,
    load_recognizer,
)
from stn_rectify.runtime.recognition.recognition import Recognition
from stn_rectify.runtime.recognition.recognizer import Recognizer
from stn_rectify.runtime.recognition.schedule import RecognitionSchedule
from stn_rectify.runtime.recognition.stage import LabelVote, RecognitionStage
from stn_rectify.runtime.rectifying.rectifier import Rectifier
from stn_rectify.runtime.rectifying.tracking.smoothing import CornerSmoother
from stn_rectify.runtime.rectifying.tracking.tracks import TargetTracker
from stn_rectify.runtime.results import Location, MissRule, Rectification
from stn_rectify.runtime.sinks import JsonlSink, ResultSink, SaveSink
from stn_rectify.runtime.sinks.overview import draw_overview
from stn_rectify.runtime.sources import (
    CameraInfo,
    CameraSource,
    CapturedFrame,
    FrameSource,
    FrameView,
    ImageSource,
    PiCameraSource,
    ReconnectingSource,
    VideoSource,
    list_cameras,
    open_camera,
    open_source,
    open_video,
)

__all__ = [
    "CameraInfo",
    "CameraSource",
    "CapturedFrame",
    "CommandRecognizer",
    "CornerSmoother",
    "DataError",
    "FrameSource",
    "FrameView",
    "ImageSource",
    "JsonlSink",
    "LabelRules",
    "LabelVote",
    "Location",
    "MissRule",
    "ModelFile",
    "ModelFileError",
    "ModelLimits",
    "PiCameraSource",
    "Pipeline",
    "Processed",
    "RapidOcrRecognizer",
    "Recognition",
    "RecognitionSchedule",
    "RecognitionStage",
    "Recognizer",
    "ReconnectingSource",
    "Rectification",
    "Rectifier",
    "ResultSink",
    "SaveSink",
    "SourceError",
    "StnRectifyError",
    "StnRectifyWarning",
    "TargetTracker",
    "TesseractRecognizer",
    "UsageError",
    "VideoSource",
    "__version__",
    "bundled_models",
    "draw_overview",
    "list_cameras",
    "load_recognizer",
    "open_camera",
    "open_source",
    "open_video",
]

__version__: str


def __getattr__(name: str) -> Any:
    """The version is looked up when somebody asks for it."""
    if name != "__version__":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from stn_rectify.runtime.process.installation import installed_version

    return installed_version()
