"""TensorFlow's full-integer post-training quantization of a part of a model: the trunk, a recognizer."""

from __future__ import annotations

import os
import re
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from stn_rectify.converters.tflite.object_tree import DTYPES, operator_name, read_model
from stn_rectify.converters.tflite.substitutes import substitute
from stn_rectify.runtime.errors import ModelFileError, first_line

#: A function of one TensorFlow tensor that can be traced, to named tensors.
TensorFunction = Callable[[Any], dict[str, Any]]
#: The same of several tensors, by their names.
NamedFunction = Callable[[dict[str, Any]], dict[str, Any]]

_STDERR = 2
_LONGEST_REASON = 200
_SHOWN_PARTS = 3  # of a node's path: layer, function, operation
_OPERAND = "operand"
_LEAST_SCALE = 1e-8  # TensorFlow gives what is always zero a range of 2e-6
_CROSSINGS = ("DEQUANTIZE", "QUANTIZE", "CAST")  # between integers and float
_IN_PLACE = ("Add", "AddV2", "Mul", "Sub")
# Operations without an int8 operator that TensorFlow makes part of PRELU or GELU, and in how many sums and products of
# computed tensors behind them: relu(x) - alpha * relu(-x), and x times a function of x and x³, or of erf(x).
_FUSED = {"Neg": 1, "Pow": 2, "Erf": 1, "Erfc": 1}
_OF_EACH_NUMBER = (
    "Add", "AddV2", "BiasAdd", "Erf", "Erfc", "Identity", "Mul", "Neg", "Pow", "RealDiv", "Relu", "Sub", "Tanh",
)  # fmt: skip
_CULPRIT = re.compile(r'fused\["(\w+):", "([^"@]+)')  # the first place that MLIR names: operation and node


def quantize(
    function: TensorFunction,
    images: npt.NDArray[np.float32],
    value_range: tuple[float, float],
    part: str,
    *,
    checked: bool = True,
) -> bytes:
    """Converts a function of one image to int8; its input becomes ``image``, its outputs keep their names.

    Args:
        function: image [1, H, W, C] → named tensors.
        images: calibration images [N, H, W, C], in ``value_range``.
        value_range: what pixel values 0 and 255 are to the model; they become -128 and 127 exactly.
        part: its name, for messages.
        checked: whether a layer that gives nothing but zeros, or still computes in float, is refused.

    Raises:
        ModelFileError: if TensorFlow cannot quantize a layer to integers, or a layer is refused.
    """

    samples = {"image": with_range(images, value_range)}
    return quantize_inputs(lambda inputs: function(inputs["image"]), samples, part, checked=checked)


def with_range(images: npt.NDArray[np.float32], value_range: tuple[float, float]) -> list[npt.NDArray[np.float32]]:
    """Images [N, …] as samples [1, …], two numbers of the first being the ends of a range.

    The quantizer takes the range it sees: they give it the whole of it.
    """
    first = images[:1].copy()
    first.reshape(-1)[:2] = value_range
    return [first, *(images[number : number + 1] for number in range(1, len(images)))]


def quantize_inputs(
    function: NamedFunction,
    samples: Mapping[str, Sequence[npt.NDArray[np.float32]]],
    part: str,
    *,
    checked: bool = True,
) -> bytes:
    """Converts a function of several tensors to int8; inputs and outputs keep their names.

    Args:
        function: named tensors [1, …] → named tensors.
        samples: of each input, as many of each, [1, …]; what the quantizer takes the ranges from.
        part: its name, for messages.
        checked: as above.

    Raises:
        ModelFileError: if TensorFlow cannot quantize a layer to integers, or a layer is refused.
    """

    def representative_dataset() -> Iterator[dict[str, npt.NDArray[np.float32]]]:
        for sample in zip(*samples.values(), strict=True):
            yield dict(zip(samples, sample, strict=True))

    def full_integer(converter: Any) -> None:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = representative_dataset
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.int8

    shapes = {name: values[0].shape[1:] for name, values in samples.items()}
    flatbuffer = _to_tflite(function, shapes, part, full_integer, keep_operands=True)
    if checked:
        _refuse_floats(flatbuffer, part)
        _refuse_dead_tensors(flatbuffer, part)
    return flatbuffer


class NoOperatorError(ModelFileError):
    """TensorFlow Lite has no operator for an operation.

    Attributes:
        operation: as TensorFlow calls it.
    """

    def __init__(self, message: str, operation: str) -> None:
        super().__init__(message)
        self.operation = operation


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
    return _to_tflite(
        lambda inputs: function(inputs["image"]), {"image": shape}, part, configure, keep_operands=keep_operands
    )


def _to_tflite(
    function: NamedFunction,
    shapes: Mapping[str, tuple[int, ...]],
    part: str,
    configure: Any,
    *,
    keep_operands: bool,
) -> bytes:
    """The same of a function of several tensors, [1, *shape] each."""
    inputs = list(shapes)
    signature = [tf.TensorSpec((1, *shape), tf.float32, name=name) for name, shape in shapes.items()]
    module = tf.Module()
    try:
        with tempfile.TemporaryDirectory() as folder, _without_tensorflow_notes():
            traced = tf.function(lambda *tensors: function(dict(zip(inputs, tensors, strict=True))), signature)
            concrete = traced.get_concrete_function()
            names = sorted(concrete.structured_outputs)
            frozen = convert_variables_to_constants_v2(concrete)
            if keep_operands:
                operands = _operands(frozen)
                names += [f"{_OPERAND} {number} {tensor.op.name}" for number, tensor in enumerate(operands)]
                frozen = frozen.prune(frozen.inputs, [*frozen.outputs, *operands])
            module.serve = tf.function(lambda *tensors: dict(zip(names, frozen(*tensors), strict=True)), signature)
            # By way of a file, because only a signature keeps the names of the outputs.
            options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
            tf.saved_model.save(module, folder, signatures=module.serve, options=options)
            converter = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=["serving_default"])
            configure(converter)
            return bytes(converter.convert())
    except Exception as error:  # the converter raises whatever its parts raise
        raise _refusal(error, f"TensorFlow cannot convert the {part}") from error


def to_float_tflite(function: TensorFunction, shape: tuple[int, ...], part: str) -> bytes:
    """The same in float32, without the names of the outputs, which saves the way through a file and its time.

    What cannot be converted so is converted by `to_tflite`, or refused in its words.

    Args:
        function: image [1, *shape] → named tensors.
        shape: height, width, channels.
        part: its name, for messages.

    Raises:
        ModelFileError: if TensorFlow cannot convert it.
    """
    signature = [tf.TensorSpec((1, *shape), tf.float32, name="image")]
    try:
        with _without_tensorflow_notes():
            concrete = tf.function(function, input_signature=signature).get_concrete_function()
            converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete], tf.Module())
            converter.experimental_lower_to_saved_model = False
            return bytes(converter.convert())
    except Exception:  # the converter raises whatever its parts raise
        return to_tflite(function, shape, part)


def _refusal(error: Exception, what: str) -> ModelFileError:
    """The converter's reason in one line; what it prints of its own graph is read, not shown."""
    culprit = _CULPRIT.search(str(error))
    if culprit is None:
        return ModelFileError(f"{what}: {first_line(error)[:_LONGEST_REASON]}")
    operation, node = culprit.groups()
    reason = f"operation {operation} ({_shortened(node)!r}) has no TensorFlow Lite operator"
    return NoOperatorError(f"{what}: {reason}", operation)


def _shortened(node: str) -> str:
    """The last parts of a node's path."""
    parts = node.split("/")
    return node if len(parts) <= _SHOWN_PARTS else f"…/{'/'.join(parts[-_SHOWN_PARTS:])}"


def float_operators(flatbuffer: bytes) -> dict[str, str]:
    """The operators of a quantized model that still compute in float: their names, and the name of a tensor each."""
    model = read_model(flatbuffer)
    names = [operator_name(code) for code in model.operatorCodes]
    found: dict[str, str] = {}
    for graph in model.subgraphs:
        floats = {k for k, tensor in enumerate(graph.tensors) if "float" in DTYPES[tensor.type]}
        for op in graph.operators:
            touched = floats.intersection(int(t) for t in (*op.inputs, *op.outputs))
            if touched and (name := names[op.opcodeIndex]) not in _CROSSINGS:
                found.setdefault(name, graph.tensors[int(op.outputs[0])].name.decode().split(";")[0])
    return found


def _refuse_floats(flatbuffer: bytes, part: str) -> None:
    """Refuses what would fail the proof in the end."""
    for operator, node in float_operators(flatbuffer).items():
        raise ModelFileError(
            f"the {part} computes in float even after quantization, in {_shortened(node)!r} ({operator}); replace that "
            f"by {substitute([operator])}"
        )


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
    """Gives the tensors that additions and products of two computed tensors read.

    Those inside a PReLU or a GELU are not among them: as outputs they would keep TensorFlow from making one operator of
    it, and what it is made of has none in int8.
    """
    image = {t.ref() for t in frozen.inputs}
    computed = set(image)  # from the image; what comes from constants alone is folded
    written_over = []
    for op in frozen.graph.get_operations():  # in the order they run
        inputs = [t.ref() for t in op.inputs]
        if computed.intersection(inputs):
            computed |= {t.ref() for t in op.outputs}
        if op.type in _IN_PLACE and computed.issuperset(inputs):
            written_over.append(op)
    fused = {name for op in frozen.graph.get_operations() for name in _fused_with(op, computed)}
    operands = {t.ref(): t for op in written_over if op.name not in fused for t in op.inputs if t.ref() not in image}
    return list(operands.values())


def is_fused(op: Any, computed: set[Any]) -> bool:
    """Tells of an operation without an int8 operator whether TensorFlow makes it part of PRELU or GELU.

    Args:
        op: of a frozen graph.
        computed: references of the tensors that are made from the image.
    """
    return op.type in _FUSED and len(list(_fused_with(op, computed))) == _FUSED[op.type]


def _fused_with(op: Any, computed: set[Any]) -> Iterator[str]:
    """Names of the sums and products of two computed tensors that one of `_FUSED` becomes one operator with."""
    if op.type not in _FUSED or not computed.intersection(t.ref() for t in op.inputs):
        return
    source = op.inputs[0]  # back to x, which is read elsewhere, too
    while len(source.consumers()) == 1 and (before := _only_source(source.op, computed)) is not None:
        source = before
    missing, tensor = _FUSED[op.type], op.outputs[0]
    while missing and len(readers := tensor.consumers()) == 1 and readers[0].type in _OF_EACH_NUMBER:
        others = [t for t in readers[0].inputs if t is not tensor and t.ref() in computed]
        if others:
            if not all(_made_of(t, source, computed) for t in others):
                return
            yield readers[0].name
            missing -= 1
        tensor = readers[0].outputs[0]


def _made_of(tensor: Any, source: Any, computed: set[Any]) -> bool:
    """Tells whether each number of a tensor is a function of one of ``source`` and constants."""
    while tensor is not source:
        before = _only_source(tensor.op, computed)
        if before is None:
            return False
        tensor = before
    return True


def _only_source(op: Any, computed: set[Any]) -> Any:
    """The one computed tensor that an operation of `_OF_EACH_NUMBER` reads; None of any other operation."""
    inputs = [t for t in op.inputs if t.ref() in computed]
    return inputs[0] if op.type in _OF_EACH_NUMBER and len(inputs) == 1 else None


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
