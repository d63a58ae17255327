"""Recognizers that are not files of ours: OCR engines, functions, programs, and what other packages bring.

In: rectified images. Out: what a recognizer may say (`stn_rectify.runtime.recognition.recognition.Recognized`).
`load_recognizer` opens one by its name, those of `stn_rectify.runtime.recognition.recognizer` included. Nothing here
is imported before it is asked for: an engine is a package of its own.
"""

from stn_rectify.runtime.recognition.readers.by_name import load_recognizer
from stn_rectify.runtime.recognition.readers.command import CommandRecognizer
from stn_rectify.runtime.recognition.readers.rapidocr import RapidOcrRecognizer
from stn_rectify.runtime.recognition.readers.tesseract import TesseractRecognizer

__all__ = ["CommandRecognizer", "RapidOcrRecognizer", "TesseractRecognizer", "load_recognizer"]
