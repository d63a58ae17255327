"""Each operator that is taken of ONNX files gives what onnxruntime gives."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

from stn_rectify.converters.reading.onnx.onnx_file import read_onnx_file
from stn_rectify.converters.reading.onnx.operators.by_name import OPERATORS as TAKEN
from stn_rectify.converters.reading.onnx.original import OriginalModel
from stn_rectify.converters.reading.onnx.translation import translate
from stn_rectify.converters.tflite.object_tree import operator_name, read_model
from stn_rectify.converters.tflite.quantizer import quantize
from stn_rectify.runtime.errors import ModelFileError
from tests.converters.reading.onnx.onnx_models import FRAME, model, node, saved, weights

W = {"w": weights(4, 3, 3, 3), "b": weights(4)}
ROW = int(np.prod(FRAME[1:]))


def conv(filters: int = 4, rows: int = 3, columns: int = 3, **attributes: Any) -> Any:
    constants = {"w": weights(filters, 3 // attributes.get("group", 1), rows, columns), "b": weights(filters)}
    return model([node("Conv", "frame w b", "out", **attributes)], constants)


def one(operator: str, constants: dict[str, Any] | None = None, *, opset: int = 20, **attributes: Any) -> Any:
    names = " ".join(["frame", *(constants or {})])
    return model([node(operator, names, "out", **attributes)], constants or {}, opset=opset)


def behind_conv(*nodes: Any, **constants: Any) -> Any:
    """Nodes that read ``c``, the image of a convolution."""
    return model([node("Conv", "frame w b", "c"), *nodes], {**W, **constants})


def flattened(*nodes: Any, **constants: Any) -> Any:
    """Nodes that read ``f``, a row made of the image of a convolution, [1, 280]."""
    return behind_conv(node("Flatten", "c", "f"), *nodes, **constants)


ROW_OF_CONV = 4 * 7 * 10
OPERATORS = {
    "conv": conv(),
    "conv of one window": conv(6, 9, 12),
    "conv padded": conv(pads=[1, 1, 1, 1]),
    "conv padded and strided": conv(pads=[1, 1, 1, 1], strides=[2, 2]),
    "conv padded on one side": conv(pads=[0, 2, 1, 0], strides=[2, 1]),
    "conv same": conv(auto_pad="SAME_UPPER", strides=[2, 2]),
    "conv same lower": conv(auto_pad="SAME_LOWER", strides=[2, 2]),
    "conv dilated": conv(pads=[2, 2, 2, 2], dilations=[2, 2]),
    "conv of 1x5": conv(4, 1, 5, pads=[0, 2, 0, 2]),
    "depthwise": conv(3, group=3, pads=[1, 1, 1, 1]),
    "depthwise strided": conv(6, group=3, pads=[1, 1, 1, 1], strides=[2, 2]),
    "depthwise strided unevenly": conv(6, group=3, pads=[1, 1, 1, 1], strides=[2, 1]),
    "grouped": behind_conv(node("Conv", "c w2", "out", group=2, strides=[2, 2]), w2=weights(6, 2, 3, 3)),
    "max pool": one("MaxPool", kernel_shape=[2, 2], strides=[2, 2]),
    "max pool padded": one("MaxPool", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]),
    "max pool ceiled": one("MaxPool", kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1),
    "max pool ceiled and padded": one("MaxPool", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1], ceil_mode=1),
    "max pool of 1 in 2": one("MaxPool", kernel_shape=[1, 1], strides=[2, 2]),
    "average pool": one("AveragePool", kernel_shape=[2, 3], strides=[2, 3]),
    "average pool padded": one("AveragePool", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]),
    "average pool counting zeros": one(
        "AveragePool", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1], count_include_pad=1
    ),
    "average pool ceiled": one("AveragePool", kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1),
    "global average pool": one("GlobalAveragePool"),
    "global max pool": one("GlobalMaxPool"),
    "batch normalization": behind_conv(
        node("BatchNormalization", "c s o m v", "out"),
        s=weights(4), o=weights(4, seed=1), m=weights(4, seed=2), v=np.abs(weights(4, seed=3)),
    ),
    "prelu": behind_conv(node("PRelu", "c a", "out"), a=weights(4, 1, 1)),
    "prelu of one slope": behind_conv(node("PRelu", "c a", "out"), a=weights(1)),
    "leaky relu": one("LeakyRelu", alpha=0.2),
    "relu6": one("Clip", {"low": np.float32(0), "high": np.float32(6)}),
    "clip": one("Clip", {"low": np.float32(0.2), "high": np.float32(0.7)}),
    "clip from below": model([node("Clip", "frame low", "out")], {"low": np.float32(0.5)}),
    "clip from above": model([node("Clip", "frame _ high", "out")], {"high": np.float32(0.5)}),
    "hard sigmoid": one("HardSigmoid", alpha=1 / 6),
    "hard sigmoid of its own": one("HardSigmoid"),
    "hard swish": one("HardSwish"),
    "gelu": one("Gelu"),
    "gelu by tanh": one("Gelu", approximate="tanh"),
    **{
        name.lower(): one(name)
        for name in (
            "Relu", "Sigmoid", "Tanh", "Abs", "Atan", "Ceil", "Cos", "Erf", "Exp", "Floor", "Identity", "Mish", "Neg",
            "Reciprocal", "Round", "Selu", "Sign", "Sin", "Softplus", "Softsign", "Tan", "Elu",
        )
    },
    **{
        name.lower(): model([node("Sigmoid", "frame", "s"), node(name, "s", "out")]) for name in ("Acos", "Log", "Sqrt")
    },
    **{name.lower(): one(name, {"k": weights(12)}) for name in ("Max", "Min")},
    "sum of three": one("Sum", {"k": weights(12), "l": weights(3, 1, 1)}),
    "remainder": one("Mod", {"k": np.float32(0.7)}, fmod=1),
    "remainder of whole numbers": model(
        [
            node("Cast", "frame", "whole", to=TensorProto.INT32), node("Mod", "whole k", "m"),
            node("Cast", "m", "out", to=TensorProto.FLOAT),
        ],
        {"k": np.int32(3)},
    ),
    **{
        name.lower(): model(
            [node("Floor", "frame", "f"), node(name, "f k", "c"), node("CastLike", "c frame", "out")],
            {"k": np.float32(0)},
        )
        for name in ("Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual")
    },
    "conditions": model(
        [
            node("Greater", "frame low", "a"), node("Less", "frame high", "b"), node("Not", "b", "c"),
            node("And", "a c", "d"), node("Or", "d b", "e"), node("Where", "e frame high", "out"),
        ],
        {"low": np.float32(-0.5), "high": np.float32(0.5)},
    ),
    "dropout that drops nothing": one("Dropout"),
    "smallest": one("ReduceMin", {"k": np.int64([-1])}),
    "product of axes": one("Einsum", {"k": weights(3, 5)}, equation="nchw,cd->nhwd"),
    "grid and sampler": model(
        [
            node("ReduceMean", "frame k", "m", keepdims=0), node("Gemm", "m w b", "t"), node("Reshape", "t l", "theta"),
            node("AffineGrid", "theta sizes", "grid"), node("GridSample", "frame grid", "out"),
        ],
        {
            "k": np.int64([2, 3]), "w": weights(3, 6), "b": np.float32([0.9, 0.2, 0.1, -0.3, 0.8, 0.4]),
            "l": np.int64([1, 2, 3]), "sizes": np.int64([1, 3, 6, 8]),
        },
    ),
    "softmax over channels": one("Softmax", axis=1),
    "log softmax": one("LogSoftmax", axis=-1),
    "add for each channel": one("Add", {"k": weights(3, 1, 1)}),
    "product for each column": one("Mul", {"k": weights(12)}),
    "constant less": model([node("Sub", "k frame", "out")], {"k": np.float32(1)}),
    "divided": one("Div", {"k": np.float32([2, 3, 4]).reshape(1, 3, 1, 1)}),
    "square": one("Pow", {"k": np.float32(2)}),
    "images added": behind_conv(node("Relu", "c", "d"), node("Add", "c d", "out")),
    "scale of a channel (squeeze and excitation)": behind_conv(
        node("GlobalAveragePool", "c", "m"), node("Sigmoid", "m", "s"), node("Mul", "c s", "out")
    ),
    "flattened, dense": flattened(node("Gemm", "f w3 b3", "out", transB=1), w3=weights(5, ROW_OF_CONV), b3=weights(5)),
    "flattened, scaled, dense": flattened(
        node("Mul", "f k", "g"), node("Relu", "g", "h"), node("MatMul", "h w3", "out"),
        k=weights(ROW_OF_CONV), w3=weights(ROW_OF_CONV, 5),
    ),
    "flattened, normalized": flattened(
        node("BatchNormalization", "f s o m v", "g"), node("MatMul", "g w3", "out"),
        s=weights(ROW_OF_CONV), o=weights(ROW_OF_CONV, seed=1), m=weights(ROW_OF_CONV, seed=2),
        v=np.abs(weights(ROW_OF_CONV, seed=3)), w3=weights(ROW_OF_CONV, 5),
    ),
    "flattened twice, added": flattened(
        node("Relu", "c", "d"), node("Flatten", "d", "e"), node("Add", "f e", "g"), node("MatMul", "g w3", "out"),
        w3=weights(ROW_OF_CONV, 5),
    ),
    "flattened beside another": flattened(
        node("Reshape", "frame k", "g"), node("Concat", "f g", "out", axis=1), k=np.int64([1, -1])
    ),
    "flattened, sliced": flattened(
        node("Slice", "f s e a", "out"), s=np.int64([3]), e=np.int64([200]), a=np.int64([1])
    ),
    "flattened, an image again": flattened(node("Reshape", "f k", "out"), k=np.int64([0, 2, 14, 10])),
    "alpha and beta": flattened(
        node("Gemm", "f w3 b3", "out", alpha=0.5, beta=2.0), w3=weights(ROW_OF_CONV, 5), b3=weights(5)
    ),
    "channels shuffled": behind_conv(
        node("Reshape", "c k", "d"), node("Transpose", "d", "e", perm=[0, 2, 1, 3, 4]), node("Reshape", "e l", "out"),
        k=np.int64([1, 2, 2, 7, 10]), l=np.int64([1, 4, 7, 10]),
    ),
    "transposed": one("Transpose", perm=[0, 3, 1, 2]),
    "transposed, convolved": model(
        [node("Transpose", "frame", "t", perm=[0, 1, 3, 2]), node("Conv", "t w b", "out")], W
    ),
    "mean": one("ReduceMean", {"k": np.int64([2, 3])}, keepdims=0),
    "mean of channels": one("ReduceMean", {"k": np.int64([1])}),
    "mean before operator set 18": one("ReduceMean", opset=17, axes=[-1], keepdims=0),
    "sum of all": one("ReduceSum"),
    "largest": one("ReduceMax", {"k": np.int64([-2])}, keepdims=0),
    "squeezed": behind_conv(node("GlobalMaxPool", "c", "d"), node("Squeeze", "d k", "out"), k=np.int64([2, 3])),
    "unsqueezed": one("Unsqueeze", {"k": np.int64([1, -1])}),
    "slice": one(
        "Slice", {"s": np.int64([-9, 1]), "e": np.int64([99, -1]), "a": np.int64([3, 2]), "t": np.int64([2, 1])}
    ),
    "reversed": one("Slice", {"s": np.int64([-1]), "e": np.int64([-99]), "a": np.int64([2]), "t": np.int64([-1])}),
    "a channel": one("Gather", {"k": np.int64(-1)}, axis=1),
    "channels in another order": one("Gather", {"k": np.int64([2, 1, 0])}, axis=1),
    "split": model(
        [node("Split", "frame k", "a d", axis=1), node("Concat", "d a", "out", axis=1)], {"k": np.int64([1, 2])}
    ),
    "padded": one("Pad", {"k": np.int64([0, 0, 1, 2, 0, 0, 3, 0])}),
    "padded by reflection": one("Pad", {"k": np.int64([0, 0, 1, 2, 0, 0, 3, 0])}, mode="reflect"),
    "cut by padding": one("Pad", {"k": np.int64([0, 0, -1, 2, 0, 0, -2, 0])}),
    "expanded": model(
        [node("ReduceMean", "frame k", "m"), node("Expand", "m l", "out")],
        {"k": np.int64([2, 3]), "l": np.int64([1, 1, 2, 5])},
    ),
    "tiled": one("Tile", {"k": np.int64([1, 2, 1, 3])}),
    "half the size": one("Resize", {"r": np.float32([]), "s": np.float32([1, 1, 2, 0.5])}, mode="linear"),
    "corners aligned": model(
        [node("Resize", "frame _ _ k", "out", mode="linear", coordinate_transformation_mode="align_corners")],
        {"k": np.int64([1, 3, 5, 7])},
    ),
    "nearest": model(
        [node("Resize", "frame _ _ k", "out", mode="nearest", coordinate_transformation_mode="asymmetric",
              nearest_mode="floor")],
        {"k": np.int64([1, 3, 18, 24])},
    ),
    "depth to space": behind_conv(node("DepthToSpace", "c", "out", blocksize=2, mode="CRD")),
    "depth to space by columns": behind_conv(node("DepthToSpace", "c", "out", blocksize=2)),
    "sizes of the frame": model(
        [node("Shape", "frame", "s", end=1), node("Concat", "s m", "k", axis=0), node("Reshape", "frame k", "out")],
        {"m": np.int64([-1])},
    ),
    "a known branch": model(
        [
            helper.make_node(
                "If", ["yes"], ["out"], name="branch",
                then_branch=helper.make_graph(
                    [node("Relu", "frame", "inner")], "then", [], [helper.make_tensor_value_info("inner", 1, None)]
                ),
                else_branch=helper.make_graph(
                    [node("Neg", "frame", "other")], "else", [], [helper.make_tensor_value_info("other", 1, None)]
                ),
            )
        ],
        {"yes": np.array(True)},
    ),
    "bytes": model([node("Cast", "frame", "out", to=TensorProto.FLOAT)], dtype=TensorProto.UINT8),
    "written into a matrix": model(
        [node("ReduceMean", "frame k", "m", keepdims=0), node("ScatterND", "zeros places m", "out")],
        {
            "k": np.int64([2, 3]), "zeros": np.zeros((1, 2, 3), np.float32),
            "places": np.int64([[[0, 0, 0], [0, 1, 1], [0, 1, 2]]]),
        },
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", OPERATORS)
def test_an_operator_gives_what_onnxruntime_gives(tmp_path, name):
    file = read_onnx_file(saved(OPERATORS[name], tmp_path / "net.onnx"))
    translation = translate(file, (9, 12, 3))
    frame = np.random.default_rng(9).normal(0.3, 1, (1, 9, 12, 3)).astype(np.float32)
    frame = np.rint(frame * 40 + 100).astype(np.uint8) if name == "bytes" else frame
    (theirs,) = OriginalModel(file, ["out"]).run(frame)
    (ours,) = translation.concrete(frame)
    lying = [value for label, value in translation.values.values() if label == "out" and value.columns is None]
    theirs = lying[0].original(theirs) if lying else theirs
    assert (ours.shape, ours.dtype) == (theirs.shape, theirs.dtype)
    np.testing.assert_allclose(np.asarray(ours, np.float64), theirs, atol=2e-5, rtol=2e-5)


def test_each_operator_that_is_taken_is_compared():
    compared = set()
    for made in OPERATORS.values():
        compared.update(node.op_type for node in made.graph.node)
    assert set(TAKEN) - compared == {"Swish"}  # of operator set 24, newer than these packages


ERF = {"k": np.float32(2**0.5), "one": np.float32(1), "half": np.float32(0.5)}
ONE_OPERATOR = {
    "gelu by erf, TorchScript": (
        behind_conv(
            node("Div", "c k", "d"), node("Erf", "d", "e"), node("Add", "e one", "f"), node("Mul", "c f", "g"),
            node("Mul", "g half", "out"), **ERF,
        ),
        "GELU",
    ),
    "gelu by erf, dynamo": (
        behind_conv(
            node("Mul", "c k", "d"), node("Erf", "d", "e"), node("Add", "one e", "f"), node("Mul", "half c", "g"),
            node("Mul", "g f", "out"), **{**ERF, "k": np.float32(0.5**0.5)},
        ),
        "GELU",
    ),
    "prelu": (OPERATORS["prelu"], "PRELU"),
    "hard swish": (one("HardSwish"), "HARD_SWISH"),
}  # fmt: skip


@pytest.mark.parametrize("name", ONE_OPERATOR)
def test_an_activation_becomes_one_int8_operator(tmp_path, name):
    made, operator = ONE_OPERATOR[name]
    file = read_onnx_file(saved(made, tmp_path / "net.onnx"))
    translation = translate(file, (9, 12, 3))
    frames = np.random.default_rng(9).random((8, 9, 12, 3), np.float32)
    (theirs,) = OriginalModel(file, ["out"]).run(frames[:1])
    (ours,) = translation.concrete(frames[:1])
    np.testing.assert_allclose(np.asarray(ours), theirs.transpose(0, 2, 3, 1), atol=2e-5)
    flatbuffer = quantize(lambda image: {"out": translation.concrete(image)[0]}, frames, (0.0, 1.0), "part")
    assert operator in {operator_name(code) for code in read_model(flatbuffer).operatorCodes}


REFUSED = {
    "recurrent": (
        model([node("Reshape", "frame k", "s"), node("GRU", "s w r", "_ out", hidden_size=2)],
              {"k": np.int64([9, 1, 36]), "w": weights(1, 6, 36), "r": weights(1, 6, 2)}),
        r"node 'GRU_out' \(GRU\) .*replace it by Conv1D or Dense",
    ),
    "layer normalization": (
        one("LayerNormalization", {"k": weights(12)}), r"\(LayerNormalization\).*replace it by BatchNormalization"
    ),
    "transposed convolution": (
        one("ConvTranspose", {"w": weights(3, 4, 2, 2)}), r"\(ConvTranspose\).*replace it by UpSampling2D and a Conv2D"
    ),
    "samples in space": (
        model([node("Unsqueeze", "frame k", "u"), node("GridSample", "u g", "out")],
              {"k": np.int64([2]), "g": weights(1, 1, 4, 4, 3)}),
        "samples in space; samplers of images can be converted",
    ),
    "samples by cubic": (
        model([node("GridSample", "frame g", "out", mode="cubic")], {"g": weights(1, 4, 4, 2)}),
        "samples by cubic; sample bilinearly",
    ),
    "in training": (
        model([node("Dropout", "frame r t", "out")], {"r": np.float32(0.5), "t": np.array(True)}),
        r"'Dropout_out'.*call model\.eval\(\) before the export",
    ),
    "random": (
        model([node("RandomUniformLike", "frame", "u"), node("Add", "frame u", "out")]),
        r"'RandomUniformLike_u'.*call model\.eval\(\)",
    ),
    "a cubic resize": (
        one("Resize", {"r": np.float32([]), "s": np.float32([1, 1, 2, 2])}, mode="cubic"), "resizes by cubic.*bilinear"
    ),
    "weights of the frame": (
        model([node("Conv", "frame frame", "out")]), "weights that depend on the frame; they must be constants"
    ),
    "dilated pool": (
        one("MaxPool", kernel_shape=[2, 2], dilations=[2, 2]), "has a dilation, for which there is no INT8 operator"
    ),
    "a resize by 0.5 of 9 rows": (
        one("Resize", {"r": np.float32([]), "s": np.float32([1, 1, 0.5, 0.5])}, mode="linear"),
        "to no whole size; say the",
    ),
    "a window too large": (conv(4, 10, 3), "windows of 10x3 on an image of 9x12"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_taken_is_refused_by_name_with_what_to_do(tmp_path, name):
    made, message = REFUSED[name]
    file = read_onnx_file(saved(made, tmp_path / "net.onnx"))
    with pytest.raises(ModelFileError, match=f"^net: .*{message}") as refused:
        translate(file, (9, 12, 3))
    assert "\n" not in str(refused.value)
