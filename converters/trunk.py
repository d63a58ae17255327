"""The trunk: all layers before θ, by TensorFlow's full-integer post-training quantization."""

from __future__ import annotations

import os
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from stn_rectify.converters.flatbuffer_graph import FlatbufferGraph, Tensor
from stn_rectify.runtime.errors import ModelFileError

__all__ = ["Trunk", "quantize_trunk"]


@dataclass(frozen=True)
class Trunk:
    """A quantized trunk, open for more operators.

    Attributes:
        graph: the flatbuffer.
        frame: its input, int8.
        features: int8, what θ is a linear function of.
        score: int8 [1, 1], or None.
    """

    graph: FlatbufferGraph
    frame: Tensor
    features: Tensor
    score: Tensor | None


def quantize_trunk(trunk: keras.Model, frames: npt.NDArray[np.float32], value_range: tuple[float, float]) -> Trunk:
    """Converts the trunk to int8.

    Args:
        trunk: frame → {"features", "score"}.
        frames: calibration frames [N, H, W, C], in ``value_range``.
        value_range: what 0 and 255 are to the model; they become -128 and 127 exactly.

    Raises:
        ModelFileError: TensorFlow cannot quantize a layer to integers.
    """
    shape = tuple(trunk.inputs[0].shape[1:])

    def representative_dataset() -> Iterator[dict[str, npt.NDArray[np.float32]]]:
        for number, frame in enumerate(frames):
            sample = frame[None].copy()
            if number == 0:
                # The quantizer takes the range it sees: two pixels give it the whole of it.
                sample.reshape(-1)[:2] = value_range
            yield {"frame": sample}

    with tempfile.TemporaryDirectory() as folder:
        archive = keras.export.ExportArchive()
        archive.track(trunk)
        archive.add_endpoint(
            "serving_default",
            lambda frame: trunk(frame, training=False),
            input_signature=[tf.TensorSpec((1, *shape), tf.float32, name="frame")],
        )
        archive.write_out(folder, verbose=False)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=["serving_default"])
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = representative_dataset
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.int8
        try:
            with _without_tensorflow_notes():
                flatbuffer = converter.convert()
        except Exception as error:  # the converter raises whatever its parts raise
            reason = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
            raise ModelFileError(f"TensorFlow cannot quantize the localization network: {reason}") from error
    graph = FlatbufferGraph(flatbuffer)
    signature = graph.model.signatureDefs[0]
    inputs, outputs = (
        {entry.name.decode(): graph.tensor(entry.tensorIndex) for entry in entries}
        for entries in (signature.inputs, signature.outputs)
    )
    return Trunk(graph, inputs["frame"], outputs["features"], outputs.get("score"))


@contextmanager
def _without_tensorflow_notes() -> Iterator[None]:
    """Keeps the converter's notes to its own developers off the terminal; they come from C++, past every logger."""
    sys.stderr.flush()
    kept = os.dup(2)
    with open(os.devnull, "w") as nowhere, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        os.dup2(nowhere.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
