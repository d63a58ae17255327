"""What `convert` refuses before any work."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from stn_rectify.converters.conversion import convert
from stn_rectify.converters.networks.stn import read_stn
from stn_rectify.converters.options import ConversionOptions
from stn_rectify.runtime.errors import DataError, UsageError
from tests.converters.keras_models import save_frames, save_recognizing_model, stn_with_trunk


def test_a_model_that_cannot_be_read_is_not_taken_for_an_output_that_cannot_be_written(tmp_path):
    model = tmp_path / "stn"
    stn_with_trunk(keras.layers.Conv2D(4, 3, strides=4, activation="relu")).export(model, verbose=False)
    (model / "notes").symlink_to("/proc/self/mem")  # its first byte cannot be read, by root neither
    frames = save_frames(tmp_path, (16, 16, 3))
    with pytest.raises(DataError, match="stn cannot be read: Input/output error"):
        convert(model, tmp_path / "out", ConversionOptions(frames))


def test_an_output_that_cannot_be_written_is_not_taken_for_a_model_that_cannot_be_read(tmp_path):
    model = tmp_path / "stn.keras"
    stn_with_trunk(keras.layers.Conv2D(4, 3, strides=4, activation="relu")).save(model)
    frames = save_frames(tmp_path, (16, 16, 3))
    (tmp_path / "out").touch()
    with pytest.raises(UsageError, match=r"cannot write .*out: "):
        convert(model, tmp_path / "out", ConversionOptions(frames))


def test_labels_beyond_the_recognizers_classes_are_refused(tmp_path):
    """They would count as wrong answers."""
    model = save_recognizing_model(tmp_path, "digits", classes=5)
    frames = save_frames(tmp_path, (32, 32, 1), 12, labels=np.full(12, 5))
    with pytest.raises(DataError, match=r"frames1\.npz: label 5 is no class of the recognizer"):
        convert(model, tmp_path / "out", ConversionOptions(frames))


OTHER_FILES = {
    "net.tflite": (b"TFL3", "a TensorFlow Lite file, already converted: give the .keras file"),
    "packed.tflite": (b"PK\x05\x06" + bytes(18), "a TensorFlow Lite file, already converted"),  # as with metadata
    "renamed.keras": (bytes(4) + b"TFL3", "a TensorFlow Lite file, already converted"),
    "net.onnx": (b"\x08\x07", "not an ONNX model, or was cut short"),
    "net.pt": (
        b"PK\x05\x06" + bytes(18),
        r"a file of PyTorch: export the network \(torch.onnx.export\)",
    ),  # an empty zip archive
    "saved_model.pb": (b"\x08\x01", "a graph of TensorFlow: give the folder of its SavedModel"),
    "net.h5": (b"hello", r"not an \.h5 file, or was cut short"),
}


@pytest.mark.parametrize("name", OTHER_FILES)
def test_a_file_of_another_kind_is_told_with_what_to_give_instead(tmp_path, name):
    content, message = OTHER_FILES[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=f"{name} is {message}"):
        read_stn(tmp_path / name, ConversionOptions(tmp_path))
