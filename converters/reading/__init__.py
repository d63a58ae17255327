"""The input of a conversion, taken apart: Keras models and SavedModels, the files beside them, frames.

In: paths. Out: `StnParts` (trunk → θ → grid → sampler → recognizer, as functions and float arrays) and a `FrameSet` to
calibrate with; or the reason why a model cannot be converted.
"""
