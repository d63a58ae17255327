"""The model file: what a .tflite holds, checked before an interpreter sees it, and the one door to the interpreter.

In: a path, or the name of a bundled model. Out: a `ModelFile` with its metadata and labels, an opened interpreter.
Nothing here knows of frames.
"""

from stn_rectify.runtime.model.model_file import ModelFile, bundled_models

__all__ = ["ModelFile", "bundled_models"]
