"""The flatbuffer in a model file: the reader against the interpreter, and operators, tensors and signatures refused."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stn_rectify.runtime import ModelFile, ModelFileError
from stn_rectify.runtime.errors import DataError
from stn_rectify.runtime.model.flatbuffer import read_flatbuffer
from stn_rectify.runtime.model.operators import ALLOWED, operator_name

Parts = tuple[bytes, dict[str, Any]]
Rewrite = Callable[..., Path]


def test_the_reader_agrees_with_the_interpreter(make_model: Callable[..., Path]) -> None:
    from stn_rectify.runtime.model.interpreter import open_interpreter

    model = ModelFile.open(make_model(in_graph=True))
    interpreter = open_interpreter(model.flatbuffer).tflite
    (subgraph,) = read_flatbuffer(model.flatbuffer).subgraphs
    for detail in interpreter.get_tensor_details():
        tensor = subgraph.tensors[detail["index"]]
        assert tensor.dtype == np.dtype(detail["dtype"]).name.upper()
        assert tensor.shape == tuple(detail["shape"])
        assert tensor.name == detail["name"]
        assert (tensor.scale, tensor.zero_point) == detail["quantization"]
    operators = [(operator_name(o.code.builtin), o.inputs, o.outputs) for o in subgraph.operators]
    assert operators == [
        (o["op_name"], tuple(o["inputs"]), tuple(o["outputs"])) for o in interpreter._get_ops_details()
    ]
    outputs = interpreter.get_signature_runner("serving_default").get_output_details()
    assert model.signature.outputs == {name: detail["index"] for name, detail in outputs.items()}


def test_random_damage_never_gives_another_error(model_parts: Parts) -> None:
    random = np.random.default_rng(0)
    for _ in range(500):
        damaged = bytearray(model_parts[0])
        for position in random.integers(0, min(len(damaged), 4000), 8):
            damaged[position] = random.integers(0, 256)
        with contextlib.suppress(DataError):
            read_flatbuffer(bytes(damaged))


def edited(flatbuffer: bytes, edit: Callable[[Any], None]) -> bytes:
    """The flatbuffer with a change made to its object form."""
    flatbuffers = pytest.importorskip("flatbuffers")
    schema = pytest.importorskip("tensorflow.lite.python.schema_py_generated")
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(flatbuffer))
    edit(model)
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def make_custom(name: bytes) -> Callable[[Any], None]:
    def edit(model: Any) -> None:
        code = model.operatorCodes[0]
        code.builtinCode, code.deprecatedBuiltinCode, code.customCode = 32, 32, name

    return edit


def test_a_rewritten_flatbuffer_is_still_good(rewrite: Rewrite, model_parts: Parts) -> None:
    """What the next tests change is all that is wrong with their files."""
    ModelFile.open(rewrite(edited(model_parts[0], lambda model: None)))


@pytest.mark.parametrize("name", ["GridSample", "FlexGatherNd"])
def test_a_custom_operator_is_named(rewrite: Rewrite, model_parts: Parts, name: str) -> None:
    with pytest.raises(ModelFileError, match=f"custom operator '{name}'"):
        ModelFile.open(rewrite(edited(model_parts[0], make_custom(name.encode()))))


@pytest.mark.parametrize(
    ("number", "name"),
    [(119, "WHILE"), (129, "CALL_ONCE"), (142, "VAR_HANDLE"), (148, "RANDOM_UNIFORM"), (203, "number 203")],
)
def test_an_operator_that_has_no_place_in_an_stn_is_named(
    rewrite: Rewrite, model_parts: Parts, number: int, name: str
) -> None:
    def edit(model: Any) -> None:
        code = model.operatorCodes[0]
        code.builtinCode, code.deprecatedBuiltinCode = number, min(number, 127)

    with pytest.raises(ModelFileError, match=f"uses the operator {name}, which has no place"):
        ModelFile.open(rewrite(edited(model_parts[0], edit)))


def test_operators_have_tensorflows_names_and_numbers() -> None:
    schema = pytest.importorskip("tensorflow.lite.python.schema_py_generated")
    for name, number in ALLOWED.items():
        assert getattr(schema.BuiltinOperator, name) == number
    for name, number in vars(schema.BuiltinOperator).items():
        if not name.startswith("_"):
            assert operator_name(number) in (name, f"number {number}")


def test_no_allowed_operator_calls_keeps_state_or_is_random() -> None:
    risky = r"CALL|IF$|WHILE|VAR|HASHTABLE|RANDOM|MULTINOMIAL|STABLEHLO|CUSTOM|DELEGATE|LSTM|RNN|_ND$"
    found = {name for name in ALLOWED if re.search(risky, name)}
    assert found == {"BATCH_TO_SPACE_ND", "SPACE_TO_BATCH_ND"}


@pytest.mark.parametrize(("code", "dtype"), [(0, "FLOAT32"), (1, "FLOAT16"), (5, "STRING"), (99, "TYPE_99")])
def test_a_tensor_that_is_no_integer_is_named(rewrite: Rewrite, model_parts: Parts, code: int, dtype: str) -> None:
    def edit(model: Any) -> None:
        tensor = model.subgraphs[0].tensors[1]
        tensor.type, tensor.name = code, b"the/culprit"

    with pytest.raises(ModelFileError, match=f"'the/culprit' is {dtype}, not an integer"):
        ModelFile.open(rewrite(edited(model_parts[0], edit)))


def test_a_missing_signature(rewrite: Rewrite, model_parts: Parts) -> None:
    def edit(model: Any) -> None:
        model.signatureDefs = []

    with pytest.raises(ModelFileError, match="no signature 'serving_default'"):
        ModelFile.open(rewrite(edited(model_parts[0], edit)))


def test_a_missing_output(rewrite: Rewrite, model_parts: Parts) -> None:
    def edit(model: Any) -> None:
        for output in model.signatureDefs[0].outputs:
            output.name = b"x" + output.name

    with pytest.raises(ModelFileError, match="'theta' is missing"):
        ModelFile.open(rewrite(edited(model_parts[0], edit)))


def other_signature(model: Any) -> None:
    model.signatureDefs[1].signatureKey = b"other"


def both_signatures_for_the_first(model: Any) -> None:
    model.signatureDefs[1].subgraphIndex = 0


def other_output(model: Any) -> None:
    model.signatureDefs[1].outputs[0].name = b"pose"


def float_tensor(model: Any) -> None:
    model.subgraphs[1].tensors[1].type, model.subgraphs[1].tensors[1].name = 0, b"the/culprit"


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (other_signature, "no signature 'refine' for its second subgraph"),
        (both_signatures_for_the_first, "no signature 'refine' for its second subgraph"),
        (other_output, "its tensor '(theta|score)' of 'refine' is missing"),
        (float_tensor, "'the/culprit' is FLOAT32, not an integer"),
    ],
)
def test_a_spoilt_refine_network_is_refused(
    rewrite: Rewrite, refined_parts: Parts, edit: Callable[[Any], None], message: str
) -> None:
    with pytest.raises(ModelFileError, match=message):
        ModelFile.open(rewrite(edited(refined_parts[0], edit), refined_parts[1]))
