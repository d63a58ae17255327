"""An STN of anybody's making → file, end to end: as a team would, from what Keras wrote to a proved file."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import cv2
import keras
import numpy as np
import pytest
from keras import layers
from keras.src.saving.serialization_lib import in_safe_mode

from stn_rectify.converters.conversion import convert
from stn_rectify.converters.custom_code import CustomCode
from stn_rectify.converters.networks.dense import read_dense
from stn_rectify.converters.networks.reading import read_networks
from stn_rectify.converters.networks.stn import read_scan, read_stn
from stn_rectify.converters.options import ConversionOptions
from stn_rectify.models.network.keras_file import load_model
from stn_rectify.runtime.errors import DataError, ModelFileError, UsageError
from stn_rectify.runtime.model.metadata import InputSpec
from stn_rectify.runtime.model.model_file import ModelFile
from stn_rectify.runtime.rectifying.pixels.preprocess import Preprocessor
from tests.converters.foreign_models import layers as foreign
from tests.converters.foreign_models.keras_2 import save_keras_2_model
from tests.converters.keras_models import save_frames, smooth_frames, stn_with_trunk

SHAPE, SIZE = (28, 32, 3), (12, 14)
FILE = Path(foreign.__file__)
ROOT = Path(__file__).parents[3]


def classifier(make_sampled):
    """Class scores, and nothing else, of what a sampler makes of the frame."""
    keras.utils.set_random_seed(1)
    frame = keras.Input(SHAPE)
    seen = layers.Conv2D(4, 3, activation="relu")(make_sampled(frame))
    return keras.Model(frame, layers.Dense(4, activation="softmax")(layers.Flatten()(seen)))


def with_theta(frame):
    return foreign.BilinearInterpolation(SIZE)([frame, foreign.localization(SHAPE)(frame)])


def holding_its_network(frame):
    return foreign.SpatialTransformer(foreign.localization(SHAPE), SIZE)(frame)


def options(frames, **more):
    return ConversionOptions(calibration=frames, latency=False, **more)


@pytest.mark.parametrize(
    ("name", "sampled"),
    [
        ("theirs.keras", with_theta),
        pytest.param("theirs.h5", with_theta, marks=pytest.mark.slow),
        pytest.param("holding.keras", holding_its_network, marks=pytest.mark.slow),
        pytest.param("saved", with_theta, marks=pytest.mark.slow),
    ],
)
def test_a_custom_layer_becomes_a_proved_file(tmp_path, name, sampled):
    model, frames = classifier(sampled), save_frames(tmp_path, SHAPE, 24)
    source = tmp_path / name
    if source.suffix:
        model.save(source)
    else:
        model.export(source, verbose=False)
    code = CustomCode.read(str(FILE)) if source.suffix else None
    conversion = convert(source, tmp_path / "out", options(frames, custom_objects=code))
    assert conversion.proof.passed
    assert ", outside the frame cut; places within" in str(conversion)
    assert ModelFile.open(conversion.path).metadata.padding == "cut"
    report = json.loads(conversion.path.with_suffix(".report.json").read_text())
    convention = report["networks"][0]["convention"]
    assert convention["padding"] == "cut"
    assert convention["residual_px"] < 1e-4
    assert report["networks"][0]["comparison"]["class_scores"]["top1_agreement"] >= 0.8  # untrained
    assert report["networks"][0]["comparison"]["levels_max"] < 2.5
    if code is not None:
        assert report["options"]["custom_objects"]["sha256"] == code.sha256


@pytest.mark.parametrize("name", ["theirs.keras", "theirs.h5"])
def test_without_its_code_a_file_is_refused_with_what_to_type(tmp_path, name):
    classifier(with_theta).save(tmp_path / name)
    with pytest.raises(
        DataError, match=r"'BilinearInterpolation'.*give stn-convert --custom-objects FILE\.py with it"
    ) as refused:
        read_stn(tmp_path / name, options(tmp_path))
    assert "tf_keras" not in str(refused.value)
    (tmp_path / "other.py").write_text("class Another:\n    pass\n")
    code = CustomCode.read(str(tmp_path / "other.py"))
    with pytest.raises(
        DataError, match=r"'BilinearInterpolation', which the file of --custom-objects lacks: define"
    ) as e:
        read_stn(tmp_path / name, options(tmp_path, custom_objects=code))
    assert "\n" not in str(e.value)


def test_a_border_is_accepted_by_an_option_alone(tmp_path):
    theta = foreign.localization(SHAPE)
    model = classifier(lambda f: foreign.BilinearInterpolation(SIZE, "W", "mirrored")([f, theta(f)]))
    model.export(tmp_path / "mirrored", verbose=False)
    with pytest.raises(ModelFileError, match="--accept-border"):
        read_stn(tmp_path / "mirrored", options(tmp_path))
    parts = read_stn(tmp_path / "mirrored", options(tmp_path, accept_border=True))
    assert "% of the pixels differ" in parts.convention.notes[0]


@pytest.mark.slow
def test_a_file_that_only_keras_2_can_load_is_read_by_it(tmp_path):
    pytest.importorskip("tf_keras", reason="the extra legacy is not installed")
    file = tmp_path / "ops.h5"
    save_keras_2_model(file)
    parts = read_stn(file, options(tmp_path))
    assert (parts.padding, parts.convention.padding, parts.kernel.shape[1]) == ("border", "border", 6)
    assert np.std(parts.run(smooth_frames(SHAPE, 4) / np.float32(255))["theta"], axis=0).max() > 0.005


_CODE_IN_A_FILE = """
import os, sys
os.environ["TF_USE_LEGACY_KERAS"] = "1"
import tf_keras
frame = tf_keras.Input((28, 32, 3))
spoilt = tf_keras.layers.Lambda(lambda x: (open("ran", "w"), x)[1])(frame + 1.0)  # only Keras 2 loads the addition
tf_keras.Model(frame, spoilt).save(sys.argv[1])
os.remove("ran")
"""


@pytest.mark.slow
def test_keras_2_runs_no_code_of_a_file_unasked(tmp_path, monkeypatch):
    pytest.importorskip("tf_keras", reason="the extra legacy is not installed")
    monkeypatch.chdir(tmp_path)
    subprocess.run([sys.executable, "-c", _CODE_IN_A_FILE, "spoilt.h5"], check=True, capture_output=True)
    with pytest.raises(DataError, match=r"nor can Keras 2 load it: .*Lambda.*; give --custom-objects FILE\.py"):
        read_stn(Path("spoilt.h5"), options(tmp_path))
    assert not Path("ran").exists()


def test_keras_is_told_to_run_no_code_whatever_it_makes_of_its_own_option(tmp_path, monkeypatch):
    """Keras before 3.11.3 forgets safe_mode where the file is an .h5, and looks at the surrounding scope alone."""
    classifier(with_theta).save(tmp_path / "theirs.h5")
    monkeypatch.setattr(keras.models, "load_model", lambda *_, **__: in_safe_mode())
    assert load_model(tmp_path / "theirs.h5") is True
    assert load_model(tmp_path / "theirs.h5", {}) is False


def test_a_file_for_keras_2_says_what_to_install(tmp_path, monkeypatch):
    """As Keras 2 writes a model of plain operations; without tf_keras nothing can load it."""
    import h5py

    from stn_rectify.converters.reading import keras_2

    config = {"class_name": "Functional", "config": {"name": "m", "layers": [
        {"class_name": "TFOpLambda", "name": "add", "config": {"name": "add"}, "inbound_nodes": []},
    ], "input_layers": [], "output_layers": []}}  # fmt: skip
    with h5py.File(tmp_path / "ops.h5", "w") as file:
        file.attrs["model_config"] = json.dumps(config)
    assert f"{keras_2._INSTALLED_AS};" in (ROOT / "setup.cfg").read_text()  # the extra legacy
    monkeypatch.setattr(keras_2, "_PACKAGE", "no_such_keras")
    with pytest.raises(DataError, match=r"if Keras 2 wrote it, its own reader may load it: .*--no-deps tf_keras=="):
        read_stn(tmp_path / "ops.h5", options(tmp_path))


def test_a_model_of_blue_first_is_told_from_one_of_red_first(tmp_path):
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    image = np.zeros((28, 32, 3), np.uint8)
    image[..., 0] = 200  # blue, as OpenCV has it
    cv2.imwrite(str(pictures / "blue.png"), image)
    classifier(with_theta).export(tmp_path / "saved", verbose=False)
    for order, blue in (("rgb", 2), ("bgr", 0)):
        network = read_scan(tmp_path / "saved", ConversionOptions(calibration=pictures, channels=order))
        assert network.parts.is_bgr == (order == "bgr")
        np.testing.assert_allclose(network.calibration.frames[0, 5, 5], np.eye(3)[blue] * 200 / 255, atol=1e-6)
    spec = InputSpec(28, 32, 3, "BGR", (0.0, 1.0), 1 / 255, -128)
    seen = Preprocessor(spec).network_input(image)
    assert seen[0, 5, 5].tolist() == [200 - 128, -128, -128]
    np.testing.assert_array_equal(Preprocessor(spec).pixels(seen[0]), image)
    assert Preprocessor(spec).network_input(image[..., 0])[0, 5, 5].tolist() == [200 - 128] * 3


def test_a_grey_model_has_no_order_of_channels(tmp_path):
    stn_with_trunk(lambda x: x, shape=(16, 16, 1)).save(tmp_path / "grey.keras")
    with pytest.raises(UsageError, match="--channels bgr is for models of 3 channels, this one has 1"):
        read_stn(tmp_path / "grey.keras", options(tmp_path, channels="bgr"))


def _module(folder, text):
    file = folder / "objects.py"
    file.write_text(text)
    return str(file)


def test_a_dense_network_is_not_taken_for_one_of_blue_first(tmp_path):
    with pytest.raises(UsageError, match="--channels bgr is for networks that see the whole frame"):
        read_dense(tmp_path / "everywhere.keras", options(tmp_path, channels="bgr"))


_LAYER = """
import keras

class Doubled(keras.layers.Layer):
    def call(self, images):
        return 2.0 * images
"""


def test_a_recognizer_may_have_layers_of_its_own(tmp_path):
    code, frames = CustomCode.read(_module(tmp_path, _LAYER)), save_frames(tmp_path, (8, 8, 1), 24)
    doubled = code.run()["Doubled"]()
    model = keras.Sequential([keras.Input((8, 8, 1)), doubled, layers.Flatten(), layers.Dense(3, "softmax")])
    source = tmp_path / "letters.recognizer.keras"
    model.save(source)
    with pytest.raises(DataError, match=r"'Doubled'.*give stn-convert --custom-objects FILE\.py with it"):
        read_networks(source, options(frames))
    (network,) = read_networks(source, options(frames, custom_objects=code))
    assert network.flatbuffer


def test_code_that_raises_is_one_line_with_its_place(tmp_path):
    code = CustomCode.read(_module(tmp_path, "first = 1\nraise RuntimeError('no such thing')\n"))
    with pytest.raises(DataError, match=r"objects\.py, line 2 raises RuntimeError: no such thing"):
        code.run()


def test_code_may_import_what_lies_beside_it(tmp_path):
    (tmp_path / "beside_it_only.py").write_text("def doubled(x):\n    return 2 * x\n")
    code = CustomCode.read(_module(tmp_path, "from beside_it_only import doubled\nhalf = 0.5\n"))
    assert code.run()["doubled"](code.run()["half"]) == 1
