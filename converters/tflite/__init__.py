"""TensorFlow Lite files as data: quantized by TensorFlow, read, built operator by operator, joined, run.

In: TensorFlow functions, flatbuffers. Out: flatbuffers, and what they hold, cost and compute in an interpreter of a
process of its own. Nothing here knows what a Spatial Transformer is.
"""
