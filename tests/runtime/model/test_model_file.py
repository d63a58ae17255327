"""Model files: what is read from a good one, and what is said of a damaged one or of wrong metadata."""

from __future__ import annotations

import copy
import json
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stn_rectify.runtime import ModelFile, ModelFileError, bundled_models

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


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=r"nowhere\.tflite does not exist"):
        ModelFile.open(tmp_path / "nowhere.tflite")


def test_a_name_of_before_is_still_taken_but_not_listed() -> None:
    assert ModelFile.open("scenes").metadata.name == "general"
    assert "scenes" not in bundled_models()


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
        ("format", "stn-rectify/9", "its format is 'stn-rectify/9', this version of stn-rectify reads 'stn-rectify/1'"),
        ("name", 3, "Expected `str`, got `int` - at `$.name`"),
        ("kind", "both", "one of in-graph|pose-only"),
        ("transform", "thin-plate", "one of affine|projective|tps"),
        ("padding", None, "Expected `str`, got `null` - at `$.padding`"),
        ("padding", "reflect", "one of zeros|border"),
        ("padding", "zeros\n", "one of zeros|border"),
        ("outputs.rectified", {"height": 8, "width": 8, "channels": 3}, "null in a pose-only one"),
        ("parameters", True, "Expected `int`, got `bool` - at `$.parameters`"),
        ("macs", -1, "Expected `int` >= 0 - at `$.macs`"),
        ("macs", 10**400, "Expected `int` <= 9007199254740992 - at `$.macs`"),
        ("converter", [], "Expected `object`, got `array` - at `$.converter`"),
        ("converter", {"tensorflow": 2}, "Expected `str`, got `int` - at `$.converter[...]`"),
        ("input.colour", "CMYK", "one of RGB|BGR|GREY|OTHER"),
        ("input.colour", "GREY", "3 channels do not fit the colour GREY - at `$.input`"),
        ("input.width", 0, "Expected `int` >= 1 - at `$.input.width`"),
        ("input.width", 64.0, "Expected `int`, got `float` - at `$.input.width`"),
        ("input.width", 64, "metadata promises INT8 [1, 32, 64, 3]"),
        ("input.scale", 0, "Expected `float` > 0.0 - at `$.input.scale`"),
        ("input.scale", True, "Expected `float`, got `bool` - at `$.input.scale`"),
        ("input.scale", float("nan"), "JSON is malformed"),
        ("input.scale", float("inf"), "JSON is malformed"),
        ("input.scale", 10**400, "out of range"),
        ("input.value_range", [0, 10**400], "out of range"),
        ("input.value_range", [1.0, 1.0], "the value_range [1.0, 1.0] is empty - at `$.input`"),
        ("input.value_range", [0.0], "Expected `array` of length 2 - at `$.input.value_range`"),
        ("input.zero_point", 200, "Expected `int` <= 127 - at `$.input.zero_point`"),
        ("outputs.theta.size", 6, "theta.size is 6, but the transform projective has 8 numbers"),
        ("outputs.theta.fractional_bits", 99, "Expected `int` <= 31 - at `$.outputs.theta.fractional_bits`"),
        ("outputs.score.scale", "x", "Expected `float`, got `str` - at `$.outputs.score.scale`"),
        ("outputs", None, "a dense file must have dense and no outputs, and any other outputs and no dense"),
    ],
)
def test_wrong_metadata_is_named(rewrite: Rewrite, model_parts: Parts, key: str, value: object, message: str) -> None:
    metadata = copy.deepcopy(model_parts[1])
    *parents, last = key.split(".")
    target = metadata
    for parent in parents:
        target = target[parent]
    target[last] = value
    with pytest.raises(ModelFileError, match=re.escape(message)) as caught:
        ModelFile.open(rewrite(metadata=metadata))
    assert key == "format" or "convert" in str(caught.value)  # what to do


def test_keys_of_a_newer_version_are_skipped(rewrite: Rewrite, model_parts: Parts) -> None:
    metadata = copy.deepcopy(model_parts[1]) | {"licence": {"name": "MIT"}}
    metadata["input"]["mean"] = [0.5, 0.5, 0.5]
    assert ModelFile.open(rewrite(metadata=metadata)).metadata == ModelFile.open(rewrite()).metadata


def test_every_key_is_needed(rewrite: Rewrite, model_parts: Parts) -> None:
    for key in model_parts[1]:
        if key != "flatbuffer":
            metadata = {k: v for k, v in model_parts[1].items() if k != key}
            with pytest.raises(ModelFileError, match=key):
                ModelFile.open(rewrite(metadata=metadata))
