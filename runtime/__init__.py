"""Makes what a camera sees at an angle upright, on a Raspberry Pi class device.

    from stn_rectify.runtime import Rectifier

    with Rectifier() as rectifier:
        result = rectifier.rectify(frame)  # BGR uint8 [H, W, 3]
        if result.score > 0.5:
            text = read(result.image)

Importing this package loads NumPy, OpenCV and Pillow. The interpreter is loaded with the first `Rectifier`.
"""

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
    "bundled_models",
    "draw_overview",
    "list_cameras",
    "load_recognizer",
    "open_camera",
    "open_video",
]
