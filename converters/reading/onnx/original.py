"""The ONNX model itself, run by onnxruntime: what the converted file is compared with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from stn_rectify.converters.reading.onnx.onnx_file import OnnxFile
from stn_rectify.runtime.arrays import Array
from stn_rectify.runtime.errors import ModelFileError, first_line

_AT_ONCE = 32


class OriginalModel:
    """An ONNX model, and what it makes of frames.

    Args:
        file: the model.
        names: of the values to give, outputs or not.

    Raises:
        ModelFileError: if onnxruntime does not take it.
    """

    def __init__(self, file: OnnxFile, names: Sequence[str]) -> None:
        import onnx
        import onnxruntime

        self._file, self._names = file, list(names)
        model = onnx.ModelProto()
        model.CopyFrom(file.model)
        known = {value.name for value in model.graph.output}
        model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in self._names if name not in known)
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4  # what it cannot do it raises
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        try:
            self._session = onnxruntime.InferenceSession(
                model.SerializeToString(), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # whatever it raises
            raise ModelFileError(
                f"{file.name}: onnxruntime cannot load it ({first_line(error)}); export the model again"
            ) from error
        self._count = file.batch or _AT_ONCE

    def run(self, frames: Array) -> list[Array]:
        """The values, in the order of their names, for frames [N, H, W, C] as the model takes them, [N, …] each.

        Raises:
            ModelFileError: if it does not run.
        """
        images = frames if self._file.is_channels_last else frames.transpose(0, 3, 1, 2)
        parts, first = [], 0
        while first < len(images):
            try:
                parts.append(self._batch(images[first : first + self._count]))
            except Exception as error:  # whatever it raises
                if self._file.batch is None and self._count > 1:
                    self._count = 1  # an open batch size, but one of 1 is built in
                    continue
                raise ModelFileError(
                    f"{self._file.name}: onnxruntime cannot run it ({first_line(error)}); export the model again"
                ) from error
            first += self._count
        return [np.concatenate(values) for values in zip(*parts, strict=True)]

    def _batch(self, images: Array) -> list[Array]:
        missing = (self._file.batch or len(images)) - len(images)
        given = np.ascontiguousarray(np.concatenate([images, *[images[-1:]] * missing]))
        found: list[Any] = self._session.run(self._names, {self._file.input: given})
        return [np.asarray(value)[: len(images)] for value in found]
