"""Spatial Transformers in ONNX files, taken apart: whatever sizes, batches, orders and conventions they have."""

from __future__ import annotations

import re
import subprocess
import sys

import numpy as np
import onnx
import pytest
from onnx import TensorProto

from stn_rectify.converters.reading.composite_parts import split_composite
from stn_rectify.converters.reading.foreign.sampler_site import OtherStructureError
from stn_rectify.converters.reading.model_files import companion_files, sha256_of_source
from stn_rectify.converters.reading.onnx.onnx_file import read_onnx_file
from stn_rectify.converters.reading.onnx.onnx_parts import split_onnx
from stn_rectify.converters.reading.onnx.operators.by_name import OPERATORS
from stn_rectify.converters.reading.onnx.original import OriginalModel
from stn_rectify.runtime.errors import DataError, ModelFileError, UsageError
from tests.converters.reading.onnx.onnx_models import model, node, saved, stn, weights


def parts_of(made, folder, **options):
    return split_onnx(saved(made, folder / "net.onnx"), **options)


@pytest.mark.parametrize(
    ("aligned", "padding"),
    [
        (1, "border"),
        pytest.param(0, "zeros", marks=pytest.mark.slow),
        pytest.param(0, "border", marks=pytest.mark.slow),
        pytest.param(1, "zeros", marks=pytest.mark.slow),
    ],
)
def test_conventions_are_measured(tmp_path, aligned, padding):
    parts = parts_of(stn(aligned=aligned, padding=padding), tmp_path)
    assert (parts.transform, parts.padding, parts.classes) == ("affine", padding, 4)
    assert (parts.input_size, parts.output_size, parts.channels) == ((20, 24), (20, 24), 3)
    if aligned:
        assert "align_corners=True" in parts.convention.coordinates
        assert parts.convention.residual_px < 1e-4
    else:
        assert parts.convention is None
    # The linear function as it is in the file, to the last bit; its rows in the order that images lie in here.
    dense = weights(6, 6 * 5 * 6, seed=2, size=0.02).reshape(6, 6, 5, 6).transpose(0, 2, 3, 1).reshape(6, -1)
    if not aligned:
        assert np.array_equal(parts.kernel, dense.T)


@pytest.mark.parametrize("batch", [4, pytest.param("N", marks=pytest.mark.slow)])
def test_batches_of_any_size(tmp_path, batch):
    one, other = parts_of(stn(), tmp_path), parts_of(stn(batch=batch), tmp_path)
    frames = np.random.default_rng(1).random((7, 20, 24, 3), np.float32)
    expected, found = one.run(frames), other.run(frames)
    for name in expected:
        np.testing.assert_allclose(found[name], expected[name], atol=1e-5)


@pytest.mark.slow
def test_frames_of_bytes_and_channels_last(tmp_path):
    before = [
        node("Cast", "frame", "floats", to=TensorProto.FLOAT), node("Div", "floats full", "shares"),
        node("Transpose", "shares", "image_first", perm=[0, 3, 1, 2]),
    ]  # fmt: skip
    made = stn(before=before, seen="image_first")
    made.graph.initializer.append(onnx.numpy_helper.from_array(np.float32(255), "full"))
    made.graph.input[0].CopyFrom(onnx.helper.make_tensor_value_info("frame", TensorProto.UINT8, (1, 20, 24, 3)))
    parts = parts_of(made, tmp_path)
    assert parts.scaling.of_bytes
    assert parts.scaling.factor == pytest.approx(1 / 255)
    plain = parts_of(stn(), tmp_path)
    frames = np.random.default_rng(1).integers(0, 256, (3, 20, 24, 3)) / np.float32(255)
    for name, expected in plain.run(frames).items():
        np.testing.assert_allclose(parts.run(frames)[name], expected, atol=1e-4)


@pytest.mark.slow
def test_a_model_of_any_size_takes_the_one_that_is_said(tmp_path):
    nodes = [
        node("Conv", "frame k", "c", strides=[4, 4]), node("Relu", "c", "r"), node("GlobalAveragePool", "r", "g"),
        node("Flatten", "g", "f"), node("Gemm", "f d b", "theta"), node("Reshape", "theta m", "matrices"),
        node("Shape", "frame", "sizes"), node("AffineGrid", "matrices sizes", "grid"),
        node("GridSample", "frame grid", "out", padding_mode="border"),
    ]  # fmt: skip
    constants = {
        "k": weights(8, 3, 4, 4), "d": weights(8, 6), "b": np.float32([0.8, 0, 0, 0, 0.8, 0]), "m": np.int64([-1, 2, 3])
    }  # fmt: skip
    made = model(nodes, constants, shape=("N", 3, "H", "W"))
    with pytest.raises(ModelFileError, match="--input-shape HxW"):
        parts_of(made, tmp_path)
    assert parts_of(made, tmp_path, input_shape=(24, 16)).input_size == (24, 16)
    with pytest.raises(UsageError, match="takes frames of 20x24x3, not of --input-shape 24x16"):
        parts_of(stn(), tmp_path, input_shape=(24, 16))


REFUSED = {
    "nearest": (stn(mode="nearest"), r"'GridSample_image' \(GridSample\) samples by nearest; sample bilinearly"),
    "no sampler": (model([node("Relu", "frame", "out")]), "has no sampler"),
    "two inputs": (None, "has 2 inputs, 'frame'.*forward\\(\\) takes the frame alone"),
    "a row": (model([node("Relu", "frame", "out")], shape=(1, 36)), "its input is 'frame' \\[1, 36\\]"),
    "half precision": (
        model([node("Relu", "frame", "out")], dtype=TensorProto.FLOAT16), r"is float16: .*float32 input \(model\.float"
    ),
    "features": (
        stn(before=[node("Conv", "frame deep", "features", pads=[1, 1, 1, 1])], seen="features"),
        "the sampler must read the frame itself",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_converted_is_told_in_one_line(tmp_path, name):
    made, message = REFUSED[name]
    if made is None:
        made = stn()
        made.graph.input.append(onnx.helper.make_tensor_value_info("scale", TensorProto.FLOAT, (1,)))
    if name == "features":
        made.graph.initializer.append(onnx.numpy_helper.from_array(weights(3, 3, 3, 3), "deep"))
    with pytest.raises(ModelFileError, match=message) as refused:
        parts_of(made, tmp_path)
    assert "\n" not in str(refused.value)


def test_a_graph_that_was_read_otherwise_than_it_is_meant_is_refused(tmp_path, monkeypatch):
    relu = OPERATORS["Relu"]
    monkeypatch.setitem(OPERATORS, "Relu", lambda call: relu(call) if call.node.name == "Relu_r" else call.value(0))
    with pytest.raises(ModelFileError, match=r"gives class scores that are .* from what onnxruntime gives"):
        parts_of(stn(), tmp_path)


def test_so_is_one_that_is_no_stn_at_its_input(tmp_path, monkeypatch):
    made = stn(before=[node("Conv", "frame before", "features", pads=[1, 1, 1, 1])], seen="features")
    made.graph.initializer.append(onnx.numpy_helper.from_array(weights(3, 3, 3, 3, seed=5), "before"))
    with pytest.raises(OtherStructureError) as refused:
        parts_of(made, tmp_path)
    (sampler,) = split_composite(refused.value.graph).samplers
    assert (sampler.source, sampler.transform, sampler.padding) == ("map_1", "affine", "zeros")
    relu = OPERATORS["Relu"]
    monkeypatch.setitem(OPERATORS, "Relu", lambda call: relu(call) if call.node.name == "Relu_r" else call.value(0))
    with pytest.raises(ModelFileError, match=r"gives numbers of output 1 that are .* from what onnxruntime gives"):
        parts_of(made, tmp_path)


def test_numbers_to_compare_with_are_those_of_the_file_itself(tmp_path):
    made = stn()
    parts = parts_of(made, tmp_path)
    frames = np.random.default_rng(2).random((3, 20, 24, 3), np.float32)
    (scores,) = OriginalModel(read_onnx_file(tmp_path / "net.onnx"), ["out"]).run(frames)
    assert np.array_equal(parts.run(frames)["class_scores"], scores)


def test_weights_in_a_file_beside_it_belong_to_the_model(tmp_path):
    file = tmp_path / "net.onnx"
    onnx.save(stn(), file, save_as_external_data=True, location="net.onnx.data", size_threshold=0)
    beside = tmp_path / "net.onnx.data"
    assert companion_files(file) == (beside,)
    before = sha256_of_source(file)
    assert split_onnx(file).classes == 4
    beside.write_bytes(bytes(len(beside.read_bytes())))
    assert sha256_of_source(file) != before
    beside.unlink()
    with pytest.raises(DataError, match=r"its weights cannot be read .*beside it, net\.onnx\.data: copy that"):
        split_onnx(file)


@pytest.mark.parametrize("content", [b"", b"\x08\x07", b"hello, this is no model"])
def test_a_file_that_is_no_onnx_model_is_told_so(tmp_path, content):
    (tmp_path / "net.onnx").write_bytes(content)
    with pytest.raises(
        DataError, match=r"net\.onnx is not an ONNX model, or was cut short .*export it again"
    ) as refused:
        split_onnx(tmp_path / "net.onnx")
    assert "\n" not in str(refused.value)


def test_half_a_file_is_told_so(tmp_path):
    file = saved(stn(), tmp_path / "net.onnx")
    file.write_bytes(file.read_bytes()[:-2000])
    with pytest.raises(DataError, match="is not an ONNX model, or was cut short"):
        split_onnx(file)


def test_without_the_packages_what_to_install_is_said(tmp_path):
    saved(stn(), tmp_path / "net.onnx")
    code = (
        "import sys; sys.modules['onnx'] = None\n"
        "from stn_rectify.converters.networks.stn import read_stn\n"
        "from stn_rectify.converters.options import ConversionOptions\n"
        "from pathlib import Path\n"
        "try: read_stn(Path('net.onnx'), ConversionOptions(Path('.')))\n"
        "except Exception as error: print(type(error).__name__, error)"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    ).stdout
    assert found.startswith("StnRectifyError net.onnx: ONNX files need the packages onnx and onnxruntime")
    assert re.search(r"pip install .*\[onnx\]", found)
