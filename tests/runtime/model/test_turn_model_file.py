"""Model files with a turn network: what the metadata say of it, and what does not fit."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path

import pytest

from stn_rectify.runtime import ModelFile, ModelFileError
from tests.runtime.model.spoilt_files import Parts, Rewrite, check_wrong_metadata, parts_of


@pytest.fixture
def parts(make_model: Callable[..., Path]) -> Parts:
    """Flatbuffer and metadata of a good file of three networks."""
    file = make_model(refine={"theta": (0.7, 0, 0, 0, 0.7, 0, 0, 0)}, turn=0.7)
    return parts_of(file)


def test_a_file_of_three_networks_is_read(rewrite: Rewrite, parts: Parts) -> None:
    model = ModelFile.open(rewrite(*parts))
    assert model.networks == 3
    assert model.metadata.turn is not None
    assert (model.metadata.turn.threshold, model.metadata.turn.scores.size) == (0.7, 4)
    assert model.turn_signature is not None
    assert set(model.turn_signature.outputs) == {"scores"}
    assert model.refine_signature is not None
    assert set(model.refine_signature.outputs) == {"theta", "score"}


def test_the_turn_network_may_stand_without_a_refine_network(make_model: Callable[..., Path]) -> None:
    model = ModelFile.open(make_model(turn=0.7))
    assert (model.networks, model.refine_signature) == (2, None)
    assert model.turn_signature is not None


def test_it_stands_behind_the_levels_of_a_dense_network(make_dense_model: Callable[..., Path]) -> None:
    model = ModelFile.open(make_dense_model(refine={"theta": (0.7, 0, 0, 0, 0.7, 0, 0, 0)}, turn=0.7))
    assert (model.networks, len(model.level_signatures)) == (3, 2)
    assert model.turn_signature is not None
    assert model.turn_signature.subgraph == 3


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("threshold", 1.2, "Expected `float` <= 1.0 - at `$.turn.threshold`"),
        ("scores", {"size": 3, "scale": 1, "zero_point": 0, "activation": "logits"}, "turn.scores has 3 classes"),
        ("scores", None, "Expected `object`, got `null` - at `$.turn.scores`"),
        ("macs", "many", "Expected `int`, got `str` - at `$.turn.macs`"),
        ("", 3, "Expected `object | null`, got `int` - at `$.turn`"),
    ],
)
def test_wrong_metadata_of_the_turn_network_is_named(
    rewrite: Rewrite, parts: Parts, key: str, value: object, message: str
) -> None:
    check_wrong_metadata(rewrite, parts, "turn", key, value, message)


def test_metadata_and_subgraphs_must_agree_on_it(rewrite: Rewrite, parts: Parts) -> None:
    without = {name: value for name, value in parts[1].items() if name != "turn"}
    with pytest.raises(ModelFileError, match="has 3 subgraphs, but its metadata tells of 2"):
        ModelFile.open(rewrite(parts[0], without))


def test_other_channels_than_the_frames_are_refused(rewrite: Rewrite, parts: Parts) -> None:
    metadata = copy.deepcopy(parts[1])
    metadata["turn"]["input"] |= {"channels": 5, "colour": "OTHER"}
    with pytest.raises(ModelFileError, match=r"turn\.input has 5 channels, colour OTHER, but the frame has 3"):
        ModelFile.open(rewrite(parts[0], metadata))


def test_a_picture_of_another_size_than_promised_is_named(rewrite: Rewrite, parts: Parts) -> None:
    metadata = copy.deepcopy(parts[1])
    metadata["turn"]["input"] |= {"width": 20, "height": 20}
    with pytest.raises(ModelFileError, match=r"its tensor 'frame' of 'turn' is INT8 \[1, 16, 16, 1\], but"):
        ModelFile.open(rewrite(parts[0], metadata))


def test_a_picture_that_is_no_square_is_refused(rewrite: Rewrite, parts: Parts) -> None:
    metadata = copy.deepcopy(parts[1])
    metadata["turn"]["input"]["width"] = 20
    with pytest.raises(ModelFileError, match=r"turn\.input is 20x16, but must be a square"):
        ModelFile.open(rewrite(parts[0], metadata))
