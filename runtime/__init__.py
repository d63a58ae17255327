"""Makes what a camera sees at an angle upright, on a Raspberry Pi class device.

    from stn_rectify.runtime import Rectifier

    with Rectifier() as rectifier:
        result = rectifier.rectify("photo.jpg")  # or a frame of OpenCV, BGR uint8 [H, W, 3]
        if result.found:
            result.save("upright.png")

Importing this package loads nothing yet. The first use of a name, as in ``from stn_rectify.runtime import Rectifier``,
loads NumPy, OpenCV and Pillow; the first `Rectifier` loads the interpreter.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

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

if TYPE_CHECKING:
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

__version__: str

#: Rooms whose names are public as well; ``stn_rectify.runtime.geometry`` is there without an import of its own.
_ROOMS = ("annotations", "geometry", "sinks", "web")
_HOMES = {
    "errors": "DataError ModelFileError SourceError StnRectifyError StnRectifyWarning UsageError",
    "model.limits": "ModelLimits",
    "model.model_file": "ModelFile bundled_models",
    "pipeline": "Pipeline Processed",
    "recognition.label_rules": "LabelRules",
    "recognition.readers": "CommandRecognizer RapidOcrRecognizer TesseractRecognizer load_recognizer",
    "recognition.recognition": "Recognition",
    "recognition.recognizer": "Recognizer",
    "recognition.schedule": "RecognitionSchedule",
    "recognition.stage": "LabelVote RecognitionStage",
    "rectifying.rectifier": "Rectifier",
    "rectifying.tracking.smoothing": "CornerSmoother",
    "rectifying.tracking.tracks": "TargetTracker",
    "results": "Location MissRule Rectification",
    "sinks": "JsonlSink ResultSink SaveSink",
    "sinks.overview": "draw_overview",
    "sources": (
        "CameraInfo CameraSource CapturedFrame FrameSource FrameView ImageSource PiCameraSource ReconnectingSource "
        "VideoSource list_cameras open_camera open_source open_video"
    ),
}


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return importlib.import_module(f"{__name__}.{name}")
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name == "__version__":
        from stn_rectify.runtime.process.installation import installed_version

        return installed_version()
    home = next(home for home, names in _HOMES.items() if name in names.split())
    globals()[name] = value = getattr(importlib.import_module(f"{__name__}.{home}"), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
