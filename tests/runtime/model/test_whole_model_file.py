"""Dense files with a network that sees the whole frame: what the metadata say of it, and what does not fit."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path

import pytest

from stn_rectify.runtime import ModelFile, ModelFileError
from tests.runtime.model.spoilt_files import Parts, Rewrite, check_missing_keys, check_wrong_metadata, parts_of

HALF = (0.5, 0, 0, 0, 0.5, 0, 0, 0)


@pytest.fixture
def parts(make_dense_model: Callable[..., Path]) -> Parts:
    """Flatbuffer and metadata of a good file of four networks."""
    return parts_of(make_dense_model(whole={"theta": HALF}, refine={"theta": HALF}, turn=0.7))


def test_it_stands_between_the_levels_and_the_others(rewrite: Rewrite, parts: Parts) -> None:
    model = ModelFile.open(rewrite(*parts))
    assert (model.networks, len(model.level_signatures)) == (4, 2)
    assert model.metadata.whole is not None
    assert model.metadata.whole.weight == 0.5
    assert model.whole_signature is not None
    assert set(model.whole_signature.outputs) == {"theta", "score"}
    signatures = (model.whole_signature, model.refine_signature, model.turn_signature)
    assert [signature and signature.subgraph for signature in signatures] == [2, 3, 4]


def test_it_may_be_the_only_one_behind_the_levels(make_dense_model: Callable[..., Path]) -> None:
    model = ModelFile.open(make_dense_model(whole={"theta": HALF[:6], "score": False}))
    assert (model.networks, model.refine_signature, model.turn_signature) == (2, None, None)
    assert model.whole_signature is not None
    assert set(model.whole_signature.outputs) == {"theta"}


def test_files_without_it_are_read_as_ever(make_dense_model: Callable[..., Path], model: Path) -> None:
    for file in (make_dense_model(), model):
        assert ModelFile.open(file).whole_signature is None


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("", 3, "Expected `object | null`, got `int` - at `$.whole`"),
        ("weight", 0, "Expected `float` > 0.0 - at `$.whole.weight`"),
        ("weight", 1.01, "Expected `float` <= 1.0 - at `$.whole.weight`"),
        ("weight", float("nan"), "JSON is malformed"),
        ("theta", {"size": 32, "fractional_bits": 20}, "theta.size is 32, but the transform projective has 8 numbers"),
        ("theta", {"size": 8, "fractional_bits": 99}, "Expected `int` <= 31 - at `$.whole.theta.fractional_bits`"),
        ("score", {"scale": 0, "zero_point": 0}, "Expected `float` > 0.0 - at `$.whole.score.scale`"),
        ("input", None, "Expected `object`, got `null` - at `$.whole.input`"),
        ("macs", -1, "Expected `int` >= 0 - at `$.whole.macs`"),
    ],
)
def test_wrong_metadata_of_it_is_named(rewrite: Rewrite, parts: Parts, key: str, value: object, message: str) -> None:
    check_wrong_metadata(rewrite, parts, "whole", key, value, message)


def test_every_key_of_it_is_needed(rewrite: Rewrite, parts: Parts) -> None:
    check_missing_keys(rewrite, parts, "whole")


def test_metadata_and_subgraphs_must_agree_on_it(rewrite: Rewrite, parts: Parts) -> None:
    without = {name: value for name, value in parts[1].items() if name != "whole"}
    with pytest.raises(ModelFileError, match="has 5 subgraphs, but its metadata tells of 4"):
        ModelFile.open(rewrite(parts[0], without))


def test_networks_in_another_order_are_refused(rewrite: Rewrite, make_dense_model: Callable[..., Path]) -> None:
    """A refine network where the look at the whole frame should be."""
    flatbuffer, metadata = parts_of(make_dense_model(refine={"theta": HALF}))
    metadata = copy.deepcopy(metadata)
    metadata["whole"] = {name: metadata["refine"][name] for name in ("input", "theta", "score", "parameters", "macs")}
    metadata["whole"]["weight"], metadata["refine"] = 0.5, None
    with pytest.raises(ModelFileError, match="has no signature 'whole' for its 3th subgraph"):
        ModelFile.open(rewrite(flatbuffer, metadata))


def test_other_files_than_dense_ones_have_none(rewrite: Rewrite, refined_parts: Parts, parts: Parts) -> None:
    flatbuffer, metadata = refined_parts
    with pytest.raises(ModelFileError, match="there is a whole network, which has a place in dense files only"):
        ModelFile.open(rewrite(flatbuffer, {**metadata, "whole": parts[1]["whole"]}))


def test_other_channels_than_the_frames_are_refused(rewrite: Rewrite, parts: Parts) -> None:
    metadata = copy.deepcopy(parts[1])
    metadata["whole"]["input"] |= {"channels": 5, "colour": "OTHER"}
    with pytest.raises(ModelFileError, match=r"whole\.input has 5 channels, colour OTHER, but the frame has 3"):
        ModelFile.open(rewrite(parts[0], metadata))


def test_a_tensor_of_another_shape_than_promised_is_named(rewrite: Rewrite, parts: Parts) -> None:
    metadata = copy.deepcopy(parts[1])
    metadata["whole"]["theta"] = {"size": 6, "fractional_bits": 20}
    with pytest.raises(ModelFileError, match=r"its tensor 'theta' of 'whole' is INT32 \[1, 8\], but its metadata"):
        ModelFile.open(rewrite(parts[0], metadata))
