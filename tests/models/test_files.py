"""Model files: what they say of themselves, and those that cannot be loaded, each told in one line what to do."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers
from keras.src.utils import python_utils

from stn_rectify.models import files
from stn_rectify.models.files import RECOGNIZER, REFINE, REFINE_SUFFIX, SCAN, network_file
from stn_rectify.models.network.keras_file import load_model, network_kind, save_model
from stn_rectify.runtime.errors import DataError, UsageError


class Unregistered(layers.Layer):
    """A user's layer: the file has its name, not its code."""

    def call(self, x):
        return x * 2


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (
            Unregistered(),
            "needs the class 'Unregistered', which is not part of Keras or stn_rectify: give stn-convert --custom-",
        ),
        (
            layers.Lambda(lambda x: x * 2),
            "has a Lambda layer, whose code is not run unasked: give stn-convert --custom",
        ),
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


def test_an_hdf5_file_is_loaded_by_its_own_name(tmp_path):
    model = tiny_model()
    model.save(tmp_path / "old.h5")
    loaded = load_model(tmp_path / "old.h5")
    np.testing.assert_array_equal(loaded.get_weights()[0], model.get_weights()[0])
    (tmp_path / "old.h5").rename(tmp_path / "old.keras")
    with pytest.raises(DataError, match=r"is an HDF5 file: rename it to old\.h5"):
        load_model(tmp_path / "old.keras")


def test_weights_alone_are_no_model(tmp_path):
    tiny_model().save_weights(tmp_path / "only.weights.h5")
    with pytest.raises(DataError, match=r"holds weights alone, no model: give the file that model\.save"):
        load_model(tmp_path / "only.weights.h5")


def test_code_that_was_given_is_run(tmp_path, monkeypatch):
    monkeypatch.delitem(vars(python_utils), "given_factor", raising=False)  # lent to the code of Lambda layers
    frame = keras.Input((4,))
    keras.Model(frame, Unregistered()(frame)).save(tmp_path / "odd.keras")
    assert load_model(tmp_path / "odd.keras", {"Unregistered": Unregistered}).layers
    globals()["given_factor"] = 3  # as where the model was built; the file does not have it
    keras.Model(frame, layers.Lambda(lambda x: x * given_factor)(frame)).save(tmp_path / "lambda.keras")  # noqa: F821
    del globals()["given_factor"]
    with pytest.raises(DataError, match="uses the name 'given_factor': define it in the file of --custom-objects"):
        load_model(tmp_path / "lambda.keras", {"another": 3})
    loaded = load_model(tmp_path / "lambda.keras", {"given_factor": 3})
    np.testing.assert_array_equal(loaded.predict(np.ones((1, 4)), verbose=0), np.full((1, 4), 3))


def tiny_model():
    return keras.Sequential([keras.Input((4,)), layers.Dense(2)])


@pytest.mark.parametrize(
    ("name", "kind"),
    [("a.keras", SCAN), ("a.stn.keras", SCAN), ("a.refine.keras", REFINE), ("a.recognizer.keras", RECOGNIZER)],
)
def test_a_file_says_its_kind_and_is_a_keras_file_all_the_same(tmp_path, name, kind):
    model = tiny_model()
    save_model(model, tmp_path / name, kind)
    assert [file.name for file in tmp_path.iterdir()] == [name]
    assert network_kind(tmp_path / name) == kind
    for load in (load_model, keras.models.load_model):
        loaded = load(tmp_path / name)
        for before, after in zip(model.get_weights(), loaded.get_weights(), strict=True):
            np.testing.assert_array_equal(after, before)
    model.save(tmp_path / name)  # as Keras writes it: judged by its name
    assert network_kind(tmp_path / name) == kind


def test_what_says_the_kind_is_the_same_bytes_whenever_it_is_written(tmp_path):
    for name in ("a.keras", "b.keras"):
        save_model(tiny_model(), tmp_path / name, SCAN)
    entries = []
    for name in ("a.keras", "b.keras"):
        with zipfile.ZipFile(tmp_path / name) as archive:
            entries.append((archive.read("stn_rectify.json"), archive.getinfo("stn_rectify.json").date_time))
    assert entries[0] == entries[1]


@pytest.mark.parametrize(
    ("kind", "name", "renamed"),
    [
        (REFINE, "a.keras", "a.refine.keras"),
        (SCAN, "a.refine.keras", "a.keras"),
        (RECOGNIZER, "a.keras", "a.recognizer.keras"),
        (SCAN, "a.recognizer.keras", "a.keras"),
    ],
)
def test_a_kind_that_contradicts_the_name_is_one_clear_line(tmp_path, kind, name, renamed):
    save_model(tiny_model(), tmp_path / name, kind)
    with pytest.raises(DataError, match=f"holds a {kind} network, but .*: rename it to {renamed}$"):
        network_kind(tmp_path / name)
    shutil.move(tmp_path / name, tmp_path / renamed)
    assert network_kind(tmp_path / renamed) == kind


def test_a_kind_of_a_newer_version_or_a_damaged_one_is_one_clear_line(tmp_path):
    save_model(tiny_model(), tmp_path / "new.keras", "volume")
    with pytest.raises(DataError, match="of an unknown kind, 'volume': a newer version wrote it, update"):
        network_kind(tmp_path / "new.keras")
    tiny_model().save(tmp_path / "damaged.keras")
    with zipfile.ZipFile(tmp_path / "damaged.keras", "a") as archive:
        archive.writestr("stn_rectify.json", "[]")
    with pytest.raises(DataError, match=r"stn_rectify\.json in it is damaged"):
        network_kind(tmp_path / "damaged.keras")


def test_a_file_that_cannot_be_written_leaves_nothing(tmp_path):
    (tmp_path / "a.keras").mkdir()
    with pytest.raises(DataError, match="cannot be written"):
        save_model(tiny_model(), tmp_path / "a.keras", SCAN)
    assert [file.name for file in tmp_path.iterdir()] == ["a.keras"]


def test_a_damaged_archive_is_judged_by_its_name(tmp_path):
    save_model(tiny_model(), tmp_path / "whole.keras", "scan")
    content = (tmp_path / "whole.keras").read_bytes()
    directory = content.rindex(b"PK\x01\x02")  # of the entry with the kind
    for place in range(directory, directory + 46, 3):
        for value in (0x00, 0x7F, 0xFF):
            (tmp_path / "a.keras").write_bytes(content[:place] + bytes([value]) + content[place + 1 :])
            assert network_kind(tmp_path / "a.keras") == "scan"


def test_weights_may_be_a_bundled_network_by_its_name(tmp_path, monkeypatch):
    for name in ("cards.keras", "cards.refine.keras", "cards.turn.keras"):
        (tmp_path / name).write_bytes(b"")
    monkeypatch.setattr(files, "_BUNDLED", tmp_path)
    assert network_file(Path("cards"), ".keras") == tmp_path / "cards.keras"
    assert network_file(Path("cards"), REFINE_SUFFIX) == tmp_path / "cards.refine.keras"
    assert network_file(Path("some/own.keras"), ".keras") == Path("some/own.keras")
    assert files.bundled_networks(".keras") == ("cards",)
    with pytest.raises(UsageError, match=r"^pages is no .keras file and no bundled network of this kind \(cards\)"):
        network_file(Path("pages"), ".keras")
