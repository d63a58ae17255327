"""TensorFlow's full-integer post-training quantization of a part of a model: the trunk, a recognizer."""

from __future__ import annotations

import os
import re
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from stn_rectify.converters.tflite.object_tree import read_model
from stn_rectify.runtime.errors import ModelFileError, first_line

#: A function of one TensorFlow tensor that can be traced, to named tensors.
TensorFunction = Callable[[Any], dict[str, Any]]

_STDERR = 2
_LONGEST_REASON = 200
_SHOWN_PARTS = 3  # of a node's path: layer, function, operation
_OPERAND = "operand"
_LEAST_SCALE = 1e-8  # TensorFlow gives what is always zero a range of 2e-6
_IN_PLACE = ("Add", "AddV2", "Mul", "Sub")
_CULPRIT = re.compile(r'fused\["(\w+):", "([^"@]+)')  # the first place that MLIR names: operation and node


def quantize(
    function: TensorFunction,
    images: npt.NDArray[np.float32],
    value_range: tuple[float, float],
    part: str,
    *,
    refuse_dead: bool = True,
) -> bytes:
    """Converts a function of one image to int8; its input becomes ``image``, its outputs keep their names.

    Args:
        function: image [1, H, W, C] → named tensors.
        images: calibration images [N, H, W, C], in ``value_range``.
        value_range: what pixel values 0 and 255 are to the model; they become -128 and 127 exactly.
        part: its name, for messages.
        refuse_dead: whether a layer that gives nothing but zeros is refused.

    Raises:
        ModelFileError: if TensorFlow cannot quantize a layer to integers, or a layer gives nothing but zeros.
    """

    def representative_dataset() -> Iterator[dict[str, npt.NDArray[np.float32]]]:
        for number, image in enumerate(images):
            sample = image[None].copy()
            if number == 0:
                # The quantizer takes the range it sees: two pixels give it the whole of it.
                sample.reshape(-1)[:2] = value_range
            yield {"image": sample}

    def full_integer(converter: Any) -> None:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = representative_dataset
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.int8

    flatbuffer = to_tflite(function, images.shape[1:], part, full_integer, keep_operands=True)
    if refuse_dead:
        _refuse_dead_tensors(flatbuffer, part)
    return flatbuffer


def to_tflite(
    function: TensorFunction,
    shape: tuple[int, ...],
    part: str,
    configure: Any = lambda converter: None,
    *,
    keep_operands: bool = False,
) -> bytes:
    """Converts a function of one image [1, *shape] to a TensorFlow Lite flatbuffer; float32 unless configured.

    Args:
        function: image → named tensors.
        shape: height, width, channels.
        part: its name, for messages.
        configure: sets options of the ``tf.lite.TFLiteConverter``.
        keep_operands: make the operands of additions and products further outputs. TensorFlow's
            calibration looks at a tensor after the operators that read it have run, and those two write their result
            over an operand if nobody else wants it: it would get the result's range.

    Raises:
        ModelFileError: if TensorFlow cannot convert it.
    """
    signature = [tf.TensorSpec((1, *shape), tf.float32, name="image")]
    module = tf.Module()
    try:
        with tempfile.TemporaryDirectory() as folder, _without_tensorflow_notes():
            concrete = tf.function(function, input_signature=signature).get_concrete_function()
            names = sorted(concrete.structured_outputs)
            frozen = convert_variables_to_constants_v2(concrete)
            if keep_operands:
                operands = _operands(frozen)
                names += [f"{_OPERAND} {number} {tensor.op.name}" for number, tensor in enumerate(operands)]
                frozen = frozen.prune(frozen.inputs, [*frozen.outputs, *operands])
            module.serve = tf.function(lambda image: dict(zip(names, frozen(image), strict=True)), signature)
            # By way of a file, because only a signature keeps the names of the outputs.
            options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
            tf.saved_model.save(module, folder, signatures=module.serve, options=options)
            converter = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=["serving_default"])
            configure(converter)
            return bytes(converter.convert())
    except Exception as error:  # the converter raises whatever its parts raise
        raise ModelFileError(f"TensorFlow cannot convert the {part}: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    """Gives the converter's reason in one line; what it prints of its own graph is read, not shown."""
    culprit = _CULPRIT.search(str(error))
    if culprit is None:
        return first_line(error)[:_LONGEST_REASON]
    operation, node = culprit.groups()
    parts = node.split("/")
    place = node if len(parts) <= _SHOWN_PARTS else f"…/{'/'.join(parts[-_SHOWN_PARTS:])}"
    return f"operation {operation} ({place!r}) has no TensorFlow Lite operator"


def _refuse_dead_tensors(flatbuffer: bytes, part: str) -> None:
    """A tensor that is zero for every calibration image gets a scale of next to nothing; interpreters can die of it."""
    model = read_model(flatbuffer)
    ends = model.signatureDefs[0].outputs  # operands that were made outputs lost their own names
    outputs = {int(end.tensorIndex): end.name.decode().split(" ")[-1] for end in ends}
    for number, tensor in enumerate(model.subgraphs[0].tensors):
        scale = None if tensor.quantization is None else tensor.quantization.scale
        is_constant = model.buffers[tensor.buffer].data is not None
        if scale is not None and not is_constant and not np.all(np.asarray(scale) > _LEAST_SCALE):
            name = outputs.get(number, tensor.name.decode().split(";")[0])
            raise ModelFileError(
                f"the {part} computes nothing in {name!r}: it is zero for every calibration image; give frames like "
                "those of the device, or train the layer again"
            )


def _operands(frozen: Any) -> list[Any]:
    """Gives the tensors that additions and products of two computed tensors read."""
    image = {t.ref() for t in frozen.inputs}
    computed = set(image)  # from the image; what comes from constants alone is folded
    operands: dict[Any, Any] = {}
    for op in frozen.graph.get_operations():  # in the order they run
        inputs = [t.ref() for t in op.inputs]
        if computed.intersection(inputs):
            computed |= {t.ref() for t in op.outputs}
        if op.type in _IN_PLACE and computed.issuperset(inputs):
            operands |= {t.ref(): t for t in op.inputs if t.ref() not in image}
    return list(operands.values())


@contextmanager
def _without_tensorflow_notes() -> Iterator[None]:
    """Keeps the converter's notes to its own developers off the terminal; they come from C++, past every logger.

    A file gets them: they are the last words of a process that TensorFlow ends.
    """
    muting = _muted_stderr() if os.isatty(_STDERR) else nullcontext()
    with muting, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextmanager
def _muted_stderr() -> Iterator[None]:
    """Nothing that this process writes to standard error in the block is seen; not even by the file's number."""
    sys.stderr.flush()
    kept = os.dup(_STDERR)
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), _STDERR)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(kept, _STDERR)
            os.close(kept)
