"""A function of TensorFlow with its weights in it as constants."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf
from tensorflow.python.eager.lift_to_graph import UnliftableError
from tensorflow.python.framework import convert_to_constants as frozen

from stn_rectify.runtime.errors import ModelFileError

_STORING = ("AssignVariableOp", "AssignAddVariableOp", "AssignSubVariableOp")


def with_constant_weights(name: str, concrete: Any) -> Any:
    """Makes the variables of a function constants.

    What it stores for its next call is left out: a count, or the state of random numbers that are not used.

    Args:
        name: of the model, for messages.
        concrete: a ``ConcreteFunction``.

    Raises:
        ModelFileError: if its outputs depend on what it stores.
    """
    stored = _stored(concrete)
    if not stored:
        return frozen.convert_variables_to_constants_v2(concrete)
    open_one = _all_but(concrete, stored)
    inputs = [tensor for tensor in open_one.inputs if tensor.op.name not in stored]
    try:
        return rebuilt(open_one, inputs)
    except UnliftableError as error:
        raise ModelFileError(
            f"{name}: what it gives depends on numbers that it changes with each call, random ones perhaps; give the "
            ".keras file, or export it without the layers that draw them: RandomFlip and its kind stay at work in an "
            "export"
        ) from error


def rebuilt(function: Any, inputs: list[Any], change: Callable[[Any], None] = lambda node: None) -> Any:
    """The same function of fewer inputs, or of changed nodes; what only the order of operations ties to it is left out.

    Args:
        function: whose weights are constants.
        inputs: those of its inputs that are kept.
        change: what is done to each node.

    Raises:
        UnliftableError: if the outputs need another input.
    """
    definition = function.graph.as_graph_def()
    for node in definition.node:
        node.attr.pop("_output_shapes", None)
        # In which order functions were called says nothing once they are one graph, but ties all to its input.
        computed_from = [source for source in node.input if not source.startswith("^")]
        del node.input[:]
        node.input.extend(computed_from)
        change(node)
    whole = tf.compat.v1.wrap_function(lambda: tf.graph_util.import_graph_def(definition, name=""), [])
    ends = ([whole.graph.get_tensor_by_name(t.name) for t in side] for side in (inputs, function.outputs))
    return whole.prune(*ends)


def _stored(concrete: Any) -> list[str]:
    """The names of the captured variables that a function stores to."""
    definition = concrete.graph.as_graph_def()
    nodes = [*definition.node, *(node for one in definition.library.function for node in one.node_def)]
    if not any(node.op in _STORING for node in nodes):
        return []
    captured = [inside.op.name for _, inside in concrete.graph.captures]
    inlined = _all_but(concrete, captured)  # its functions become one graph; all stays open
    written = [op.inputs[0] for op in inlined.graph.get_operations() if op.type in _STORING]
    return sorted({_first(tensor).op.name for tensor in written})


def _all_but(concrete: Any, names: list[str]) -> Any:
    """Makes all captured variables constants but these, which become inputs.

    TensorFlow's own parts do it; its public function does not pass the names on.
    """
    data = frozen._FunctionConverterDataInEager(
        concrete, lower_control_flow=True, aggressive_inlining=False, variable_names_denylist=names
    )
    return frozen._construct_concrete_function(concrete, *frozen._replace_variables_by_constants(data))


def _first(tensor: Any) -> Any:
    while tensor.op.type == "Identity":
        tensor = tensor.op.inputs[0]
    return tensor
