"""Model files of two networks: what the metadata say of the refine network, and what does not fit."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest

from stn_rectify.runtime import ModelFile, ModelFileError
from tests.runtime.model.spoilt_files import Parts, Rewrite, check_missing_keys, check_wrong_metadata


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
        ("", 3, "Expected `object | null`, got `int` - at `$.refine`"),
        ("margin", -0.1, "Expected `float` >= 0.0 - at `$.refine.margin`"),
        ("margin", 4.1, "Expected `float` <= 4.0 - at `$.refine.margin`"),
        ("margin", float("inf"), "JSON is malformed"),
        ("passes", 1.5, "Expected `int`, got `float` - at `$.refine.passes`"),
        ("passes", 101, "Expected `int` <= 100 - at `$.refine.passes`"),
        ("theta", {"size": 6, "fractional_bits": 20}, "theta.size is 6, but the transform projective has 8 numbers"),
        ("input", None, "Expected `object`, got `null` - at `$.refine.input`"),
        ("score", {"scale": 0, "zero_point": 0}, "Expected `float` > 0.0 - at `$.refine.score.scale`"),
        ("macs", "many", "Expected `int`, got `str` - at `$.refine.macs`"),
    ],
)
def test_wrong_metadata_of_the_refine_network_is_named(
    rewrite: Rewrite, refined_parts: Parts, key: str, value: object, message: str
) -> None:
    check_wrong_metadata(rewrite, refined_parts, "refine", key, value, message)


def test_every_key_of_the_refine_network_is_needed(rewrite: Rewrite, refined_parts: Parts) -> None:
    check_missing_keys(rewrite, refined_parts, "refine")


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
