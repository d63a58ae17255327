"""Model files that cannot be loaded, each told in one line what to do."""

from __future__ import annotations

import keras
import pytest
from keras import layers

from stn_rectify.models.network.keras_file import load_model
from stn_rectify.runtime.errors import DataError


class Unregistered(layers.Layer):
    """A user's layer: the file has its name, not its code."""

    def call(self, x):
        return x * 2


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (Unregistered(), "needs the class 'Unregistered', which is not part of Keras or stn_rectify: build"),
        (layers.Lambda(lambda x: x * 2), "has a Lambda layer, whose code cannot be loaded safely: replace it"),
    ],
    ids=["custom class", "lambda"],
)
def test_code_that_is_not_in_the_file_is_named(tmp_path, layer, message):
    frame = keras.Input((4,))
    file = tmp_path / "odd.keras"
    keras.Model(frame, layer(frame)).save(file)
    with pytest.raises(DataError, match=message) as refused:
        load_model(file)
    assert "safe_mode" not in str(refused.value)
    assert "\n" not in str(refused.value)


def test_an_hdf5_file_is_told_what_to_become(tmp_path):
    keras.Sequential([keras.Input((4,)), layers.Dense(2)]).save(tmp_path / "old.h5")
    with pytest.raises(DataError, match=r"is an HDF5 file: load it .* save it again as NAME\.keras"):
        load_model(tmp_path / "old.h5")
