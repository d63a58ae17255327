"""Reading upright targets: recognizers, the frames for which they are asked, and the sum of their answers.

In: rectified images (`Rectification.image`). Out: a `Recognition`, and results with labels. A recognizer's file is read
here, on top of the model room; OCR engines, functions and programs are opened in `readers/`.
"""

from stn_rectify.runtime.recognition.ctc import CtcDecoder
from stn_rectify.runtime.recognition.label_rules import LabelRules
from stn_rectify.runtime.recognition.readers import (
    CommandRecognizer,
    RapidOcrRecognizer,
    TesseractRecognizer,
    load_recognizer,
)
from stn_rectify.runtime.recognition.recognition import Recognition
from stn_rectify.runtime.recognition.recognizer import Recognizer
from stn_rectify.runtime.recognition.schedule import PictureChange, RecognitionSchedule, Steadiness
from stn_rectify.runtime.recognition.stage import LabelVote, RecognitionStage, TargetTrack

__all__ = [
    "CommandRecognizer",
    "CtcDecoder",
    "LabelRules",
    "LabelVote",
    "PictureChange",
    "RapidOcrRecognizer",
    "Recognition",
    "RecognitionSchedule",
    "RecognitionStage",
    "Recognizer",
    "Steadiness",
    "TargetTrack",
    "TesseractRecognizer",
    "load_recognizer",
]
