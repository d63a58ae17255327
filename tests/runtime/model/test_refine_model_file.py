"""Model files of two networks: what the metadata say of the refine network, and what does not fit."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stn_rectify.runtime import ModelFile, ModelFileError

Parts = tuple[bytes, dict[str, Any]]
Rewrite = Callable[..., Path]


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


def test_a_file_of_two_networks_truncated_at_any_length(tmp_path: Path, rewrite: Rewrite, refined_parts: Parts) -> None:
    content = rewrite(*refined_parts).read_bytes()
    path = tmp_path / "cut.tflite"
    for length in [*range(20, len(content), 211), len(content) - 22, len(content) - 1]:
        path.write_bytes(content[:length])
        with pytest.raises(ModelFileError, match=r"cut\.tflite"):
            ModelFile.open(path)
