"""Frames that somebody has annotated, as labelling tools and data sets write them.

In: a folder, or the file of a tool. Out: `Annotations`: the frames' files, and for each target its four corners in
frame pixels, its label and its text. A file for each format (`formats.py` lists them), which only reads what is
written; `corners.py` then checks and orders the corners of all of them.
"""

from stn_rectify.runtime.annotations.formats import has_annotations, read_annotations
from stn_rectify.runtime.annotations.frames import AnnotatedFrame, AnnotatedTarget, Annotations

__all__ = ["AnnotatedFrame", "AnnotatedTarget", "Annotations", "has_annotations", "read_annotations"]
