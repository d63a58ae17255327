"""The meaning of the numbers that a recognizer of someone else's ends with: probabilities, or logits."""

from __future__ import annotations

from stn_rectify.runtime.model.flatbuffer import Subgraph, Tensor
from stn_rectify.runtime.model.operators import operator_name

# The meaning of an operator's results. Softmax of logarithms of probabilities gives these back.
_ACTIVATIONS = {
    "CONV_2D": "logits",
    "FULLY_CONNECTED": "logits",
    "LOGISTIC": "sigmoid",
    "LOG_SOFTMAX": "logits",
    "RELU_0_TO_1": "softmax",
    "SOFTMAX": "softmax",
}
# Operators that hand on the same numbers in another shape or dtype.
_HAND_ON = ("DEQUANTIZE", "EXPAND_DIMS", "QUANTIZE", "RESHAPE", "SQUEEZE", "TRANSPOSE")
_LEVELS = {"INT8": (-128, 127), "UINT8": (0, 255)}


def score_activation(network: Subgraph, *, is_sequence: bool) -> str | None:
    """Reads off a network's graph whether its output is probabilities or logits.

    The quantization of the last result decides, if it leaves only values from 0 to 1: they are probabilities. Else the
    last operator that computes something does, and of other operators' quantized results, that they are logits.

    Args:
        network: a graph with one output.
        is_sequence: whether the network reads a text. Then probabilities have to add up to 1 in each step, and those of
            a sigmoid are treated like a softmax's, which are divided by their sum.

    Returns:
        ``"softmax"``, ``"sigmoid"`` or ``"logits"``, as `class_probabilities` takes them; None if the graph does not
        tell, as that of a float network which ends in a sum of probabilities.
    """
    operator, tensor = _computed(network)
    quantized = network.tensors[tensor].scale > 0
    activation = _ACTIVATIONS.get(operator)
    if activation in (None, "logits") and quantized and operator != "LOG_SOFTMAX":
        activation = "softmax" if _lies_from_0_to_1(network.tensors[tensor]) else "logits"
    return "softmax" if is_sequence and activation == "sigmoid" else activation


def _computed(network: Subgraph) -> tuple[str, int]:
    """The last operator but for those that only hand on numbers, and its result's position; no name if none is left."""
    tensor = network.outputs[0]
    for operator in reversed(network.operators):
        if tensor in operator.outputs:
            name = operator_name(operator.code.builtin)
            if name not in _HAND_ON or not operator.inputs:
                return name, tensor
            tensor = operator.inputs[0]
    return "", tensor


def _lies_from_0_to_1(tensor: Tensor) -> bool:
    """Tells whether all levels stand for values from 0 to 1, with half a level of slack, as scales are rounded."""
    if tensor.dtype not in _LEVELS or tensor.scale <= 0:
        return False
    low, high = ((level - tensor.zero_point) * tensor.scale for level in _LEVELS[tensor.dtype])
    return low == 0 and high <= 1 + tensor.scale / 2
