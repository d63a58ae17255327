from __future__ import annotations

import contextlib
import copy
import json
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stn_rectify.runtime import ModelFile, ModelFileError, bundled_models
from stn_rectify.runtime.errors import DataError
from stn_rectify.runtime.flatbuffer import read_flatbuffer
from stn_rectify.runtime.operators import ALLOWED, operator_name

Parts = tuple[bytes, dict[str, Any]]
Rewrite = Callable[..., Path]


def test_a_good_file_is_read(make_model: Callable[..., Path]) -> None:
    model = ModelFile.open(make_model())
    assert (model.metadata.kind, model.metadata.transform) == ("pose-only", "projective")
    assert (model.metadata.input.width, model.metadata.input.height) == (48, 32)
    assert model.labels == ()
    assert set(model.signature.outputs) == {"theta", "score"}
    assert model.size_bytes == make_model().stat().st_size


def test_labels_are_its_lines(tmp_path: Path, model_parts: Parts) -> None:
    path = tmp_path / "labelled.tflite"
    flatbuffer, metadata = model_parts
    path.write_bytes(flatbuffer)
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("metadata.json", json.dumps(metadata))
        archive.writestr("labels.txt", "\ufeffnull\neins \nzwölf\n\n")
    assert ModelFile.open(path).labels == ("null", "eins", "zwölf")


def test_the_reader_agrees_with_the_interpreter(make_model: Callable[..., Path]) -> None:
    from stn_rectify.runtime.interpreter import open_interpreter

    model = ModelFile.open(make_model(in_graph=True))
    interpreter = open_interpreter(model.flatbuffer).tflite
    (subgraph,) = read_flatbuffer(model.flatbuffer).subgraphs
    for detail in interpreter.get_tensor_details():
        tensor = subgraph.tensors[detail["index"]]
        assert tensor.dtype == np.dtype(detail["dtype"]).name.upper()
        assert tensor.shape == tuple(detail["shape"])
        assert tensor.name == detail["name"]
    outputs = interpreter.get_signature_runner("serving_default").get_output_details()
    assert model.signature.outputs == {name: detail["index"] for name, detail in outputs.items()}


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=r"nowhere\.tflite does not exist"):
        ModelFile.open(tmp_path / "nowhere.tflite")


def test_an_unknown_bundled_name_lists_the_bundled_ones() -> None:
    with pytest.raises(ModelFileError, match="no bundled model 'xxx"):
        ModelFile.open("x" * 300)
    with pytest.raises(ModelFileError, match="no bundled model 'nonesuch'") as caught:
        ModelFile.open("nonesuch")
    for name in bundled_models():
        assert name in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(b"", "0 bytes", id="empty"),
        pytest.param(b"TFL3", "4 bytes", id="four bytes"),
        pytest.param(b"\x89PNG\r\n\x1a\n" + b"\0" * 99, "TFL3 are missing", id="a picture"),
        pytest.param(b"\x1c\0\0\0TFL3" + b"\0" * 99, "no readable metadata", id="no archive"),
    ],
)
def test_a_file_of_another_kind(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(content)
    with pytest.raises(ModelFileError, match=message):
        ModelFile.open(path)


def test_a_folder(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="is a folder"):
        ModelFile.open(tmp_path)


def test_truncated_at_any_length(tmp_path: Path, make_model: Callable[..., Path]) -> None:
    content = make_model().read_bytes()
    path = tmp_path / "cut.tflite"
    for length in [0, 1, 7, 8, 9, *range(20, len(content), 101), len(content) - 22, len(content) - 1]:
        path.write_bytes(content[:length])
        with pytest.raises(ModelFileError, match=r"cut\.tflite"):
            ModelFile.open(path)


def test_an_altered_byte_anywhere_in_the_flatbuffer(tmp_path: Path, model_parts: Parts, rewrite: Rewrite) -> None:
    content = bytearray(rewrite().read_bytes())
    path = tmp_path / "altered.tflite"
    for position in range(0, len(model_parts[0]), 97):
        content[position] ^= 1
        path.write_bytes(content)
        with pytest.raises(ModelFileError, match=r"copy it again|TFL3"):
            ModelFile.open(path)
        content[position] ^= 1


def test_an_altered_byte_in_the_metadata(tmp_path: Path, rewrite: Rewrite) -> None:
    content = rewrite().read_bytes()
    path = tmp_path / "altered.tflite"
    path.write_bytes(content.replace(b"projective", b"projectivf"))
    with pytest.raises(ModelFileError, match="Bad CRC"):
        ModelFile.open(path)


def test_random_damage_never_gives_another_error(model_parts: Parts) -> None:
    random = np.random.default_rng(0)
    for _ in range(500):
        damaged = bytearray(model_parts[0])
        for position in random.integers(0, min(len(damaged), 4000), 8):
            damaged[position] = random.integers(0, 256)
        with contextlib.suppress(DataError):
            read_flatbuffer(bytes(damaged))


@pytest.mark.parametrize("name", ["metadata.json", "labels.txt"])
def test_a_missing_associated_file(tmp_path: Path, model_parts: Parts, name: str) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(model_parts[0])
    other = {"metadata.json": "labels.txt", "labels.txt": "metadata.json"}[name]
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(other, "{}")
    with pytest.raises(ModelFileError, match=name):
        ModelFile.open(path)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("format", "stn-rectify/9", "reads 'stn-rectify/1'"),
        ("name", 3, "name is 3"),
        ("kind", "both", "expected in-graph or pose-only"),
        ("transform", "thin-plate", "expected affine or projective"),
        ("padding", None, "padding is None, expected zeros or border"),
        ("padding", "reflect", "expected zeros or border"),
        ("outputs.rectified", {}, "null in a pose-only file"),
        ("parameters", True, "parameters is True"),
        ("macs", -1, "macs is -1"),
        ("converter", [], "converter is"),
        ("input.colour", "CMYK", "input.colour is 'CMYK'"),
        ("input.colour", "GREY", "input has 3 channels"),
        ("input.width", 0, "input.width is 0"),
        ("input.width", 64, r"metadata promises INT8 \[1, 32, 64, 3\]"),
        ("input.scale", 0, "input.scale is 0"),
        ("input.scale", float("nan"), "input.scale is nan"),
        ("input.scale", 10**400, "input.scale is 1000.*expected a number"),
        ("input.value_range", [0, 10**400], "two numbers"),
        ("input.value_range", [1.0, 1.0], "is empty"),
        ("input.value_range", [0.0], "two numbers"),
        ("input.zero_point", 200, "zero_point is 200"),
        ("outputs.theta.size", 6, "theta.size is 6"),
        ("outputs.theta.fractional_bits", 99, "fractional_bits is 99"),
        ("outputs.score.scale", "x", "score.scale is 'x'"),
        ("outputs", None, "outputs is None"),
    ],
)
def test_wrong_metadata_is_named(rewrite: Rewrite, model_parts: Parts, key: str, value: object, message: str) -> None:
    metadata = copy.deepcopy(model_parts[1])
    *parents, last = key.split(".")
    target = metadata
    for parent in parents:
        target = target[parent]
    target[last] = value
    with pytest.raises(ModelFileError, match=message):
        ModelFile.open(rewrite(metadata=metadata))


def test_every_key_is_needed(rewrite: Rewrite, model_parts: Parts) -> None:
    for key in model_parts[1]:
        if key != "flatbuffer":
            metadata = {k: v for k, v in model_parts[1].items() if k != key}
            with pytest.raises(ModelFileError, match=key):
                ModelFile.open(rewrite(metadata=metadata))


@pytest.fixture(scope="module")
def refined_parts(make_model: Callable[..., Path]) -> Parts:
    """Flatbuffer and metadata of a good file of two networks."""
    content = make_model(refine={"theta": (0.7, 0, 0, 0, 0.7, 0, 0, 0)})
    with zipfile.ZipFile(content) as archive:
        metadata = json.loads(archive.read("metadata.json"))
    return content.read_bytes()[: metadata["flatbuffer"]["bytes"]], metadata


def test_a_file_of_two_networks_is_read(rewrite: Rewrite, refined_parts: Parts) -> None:
    model = ModelFile.open(rewrite(*refined_parts))
    assert model.networks == 2
    assert model.metadata.refine is not None
    assert (model.metadata.refine.input.width, model.metadata.refine.passes) == (40, 2)
    assert model.refine_signature is not None
    assert set(model.refine_signature.outputs) == {"theta", "score"}
    assert set(model.signature.outputs) == {"theta", "score"}


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("", 3, "refine is 3, expected an object"),
        ("margin", -0.1, "refine.margin is -0.1, expected a number from 0 to 4"),
        ("margin", float("inf"), "refine.margin is inf"),
        ("passes", 1.5, "refine.passes is 1.5"),
        ("passes", 101, "refine.passes is 101"),
        ("theta", {"size": 6, "fractional_bits": 20}, "refine.theta.size is 6"),
        ("input", None, "refine.input is None"),
        ("score", {"scale": 0, "zero_point": 0}, "refine.score.scale is 0"),
        ("macs", "many", "refine.macs is 'many'"),
    ],
)
def test_wrong_metadata_of_the_refine_network_is_named(
    rewrite: Rewrite, refined_parts: Parts, key: str, value: object, message: str
) -> None:
    metadata = copy.deepcopy(refined_parts[1])
    if key:
        metadata["refine"][key] = value
    else:
        metadata["refine"] = value
    with pytest.raises(ModelFileError, match=message):
        ModelFile.open(rewrite(refined_parts[0], metadata))


def test_every_key_of_the_refine_network_is_needed(rewrite: Rewrite, refined_parts: Parts) -> None:
    flatbuffer, metadata = refined_parts
    for key in metadata["refine"]:
        less = {name: value for name, value in metadata["refine"].items() if name != key}
        with pytest.raises(ModelFileError, match=f"lacks refine.{key}"):
            ModelFile.open(rewrite(flatbuffer, {**metadata, "refine": less}))


def test_metadata_and_subgraphs_must_tell_of_the_same_networks(
    rewrite: Rewrite, refined_parts: Parts, model_parts: Parts
) -> None:
    flatbuffer, metadata = refined_parts
    for without in ({**metadata, "refine": None}, {k: v for k, v in metadata.items() if k != "refine"}):
        with pytest.raises(ModelFileError, match="has 2 subgraphs, but its metadata tells of 1"):
            ModelFile.open(rewrite(flatbuffer, without))
    with pytest.raises(ModelFileError, match="has 1 subgraphs, but its metadata tells of 2"):
        ModelFile.open(rewrite(model_parts[0], metadata))


def test_a_refine_network_for_a_spline_or_of_other_channels(rewrite: Rewrite, refined_parts: Parts) -> None:
    flatbuffer, metadata = refined_parts
    spline = {"transform": "tps", "outputs": {**metadata["outputs"], "theta": {"size": 32, "fractional_bits": 20}}}
    with pytest.raises(ModelFileError, match="no homography to refine"):
        ModelFile.open(rewrite(flatbuffer, {**metadata, **spline}))
    other = copy.deepcopy(metadata)
    other["refine"]["input"] |= {"channels": 2, "colour": "OTHER"}
    with pytest.raises(ModelFileError, match=r"refine\.input has 2 channels, colour OTHER, but the frame has 3"):
        ModelFile.open(rewrite(flatbuffer, other))


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


def test_a_file_of_two_networks_truncated_at_any_length(tmp_path: Path, rewrite: Rewrite, refined_parts: Parts) -> None:
    content = rewrite(*refined_parts).read_bytes()
    path = tmp_path / "cut.tflite"
    for length in [*range(20, len(content), 211), len(content) - 22, len(content) - 1]:
        path.write_bytes(content[:length])
        with pytest.raises(ModelFileError, match=r"cut\.tflite"):
            ModelFile.open(path)


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
