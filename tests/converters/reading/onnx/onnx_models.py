"""ONNX models built node by node, for the tests: no PyTorch is needed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

FRAME = (1, 3, 9, 12)


def node(operator: str, inputs: str, outputs: str, **attributes: Any) -> onnx.NodeProto:
    """A node, called by operator and last output; names are parted by blanks, "_" is one that is left out."""
    names = ["" if name == "_" else name for name in inputs.split()]
    given = ["" if name == "_" else name for name in outputs.split()]
    return helper.make_node(operator, names, given, name=f"{operator}_{given[-1]}", **attributes)


def model(
    nodes: Sequence[onnx.NodeProto],
    constants: Mapping[str, Any] = {},
    *,
    shape: Sequence[int | str | None] = FRAME,
    outputs: Sequence[str] = ("out",),
    opset: int = 20,
    dtype: int = TensorProto.FLOAT,
) -> onnx.ModelProto:
    """A model whose input is ``frame``."""
    graph = helper.make_graph(
        list(nodes),
        "graph",
        [helper.make_tensor_value_info("frame", dtype, shape)],
        [onnx.ValueInfoProto(name=name) for name in outputs],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)


def weights(*shape: int, seed: int = 0, size: float = 0.5) -> np.ndarray:
    """Normally distributed numbers, float32."""
    return np.random.default_rng(seed).normal(0, size, shape).astype(np.float32)


def stn(
    *,
    size: tuple[int, int] = (20, 24),
    channels: int = 3,
    aligned: int = 0,
    padding: str = "zeros",
    batch: int | str = 1,
    before: Sequence[onnx.NodeProto] = (),
    seen: str = "frame",
    mode: str = "linear",
) -> onnx.ModelProto:
    """A Spatial Transformer; its outputs are class scores alone.

    Args:
        size: height and width of the frame, and of the sampler's image.
        channels: of both.
        aligned: what ``align_corners`` is.
        padding: of the sampler.
        batch: that it is exported for; a name: any.
        before: nodes in front.
        seen: name of the value that localization network and sampler see.
        mode: of the sampler.
    """
    height, width = size
    rows, columns = (height - 4) // 4 + 1, (width - 4) // 4 + 1
    constants = {
        "kernel": weights(6, channels, 4, 4, seed=1),
        "dense": weights(6, 6 * rows * columns, seed=2, size=0.02),
        "identity": np.float32([0.8, 0.1, 0.05, -0.1, 0.7, -0.05]),
        "row": np.int64([batch if isinstance(batch, int) and batch > 1 else -1, 6 * rows * columns]),
        "matrix": np.int64([-1, 2, 3]),
        "sizes": np.int64([batch if isinstance(batch, int) else 1, channels, height, width]),
        "read": weights(5, channels, 3, 3, seed=3),
        "scores": weights(5, 4, seed=4, size=2.0),
    }
    nodes = [
        *before,
        node("Conv", f"{seen} kernel", "c", strides=[4, 4]),
        node("Relu", "c", "r"),
        node("Reshape", "r row", "flat"),
        node("Gemm", "flat dense identity", "theta", transB=1),
        node("Reshape", "theta matrix", "matrices"),
        node("AffineGrid", "matrices sizes", "grid", align_corners=aligned),
        node("GridSample", f"{seen} grid", "image", align_corners=aligned, padding_mode=padding, mode=mode),
        node("Conv", "image read", "c2", strides=[2, 2]),
        node("Relu", "c2", "r2"),
        node("ReduceMean", "r2 places", "means", keepdims=0),
        node("MatMul", "means scores", "out"),
    ]
    constants["places"] = np.int64([2, 3])
    if isinstance(batch, str):
        # The sizes of the grid are read from the frame, as torch.onnx.export does with an open batch size.
        nodes.insert(0, node("Shape", "frame", "sizes"))
        del constants["sizes"]
    return model(nodes, constants, shape=(batch, channels, height, width))


def saved(made: onnx.ModelProto, file: Path) -> Path:
    """The file that a model was written to."""
    onnx.save(made, file)
    return file
