"""What a batch takes in, and what it knows things by."""

from __future__ import annotations

import dataclasses
import os
import signal
from pathlib import Path

import cv2
import numpy as np
import pytest

from stn_rectify.converters.batch.cluster_task import pack_files
from stn_rectify.converters.batch.fingerprint import fingerprint, sha256_of_frames
from stn_rectify.converters.batch.model_inputs import find_models, unusable_name
from stn_rectify.converters.batch.staging import StagingFolder
from stn_rectify.converters.batch.stop_signals import StopSignals
from stn_rectify.converters.options import ConversionOptions
from stn_rectify.converters.reading.calibration import frame_files, read_frames
from stn_rectify.converters.reading.model_files import calibration_of, companion_files, output_name, sha256_of_model
from stn_rectify.models.files import sha256_of
from stn_rectify.runtime.errors import DataError, UsageError


@pytest.fixture
def models(tmp_path, monkeypatch):
    """A folder of files that are called like models, and the working directory."""
    for name in (
        "a.keras",
        "b.keras",
        "old/e.h5",
        "old/e.weights.h5",
        "notes.txt",
        "saved/saved_model.pb",
        "more/c.keras",
        "more/deep/d.keras",
    ):
        (tmp_path / "models" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "models" / name).touch()
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("inputs", "expected"),
    [
        pytest.param(["models/b.keras"], ["models/b.keras"], id="file"),
        pytest.param(["models"], ["models/a.keras", "models/b.keras", "models/saved"], id="folder"),
        pytest.param(["models/saved"], ["models/saved"], id="SavedModel"),
        pytest.param(["models/old"], ["models/old/e.h5"], id="what Keras 2 wrote, but no weights alone"),
        pytest.param(["models/*.keras"], ["models/a.keras", "models/b.keras"], id="pattern of files"),
        pytest.param(
            ["models/*"],
            ["models/a.keras", "models/b.keras", "models/more/c.keras", "models/old/e.h5", "models/saved"],
            id="*",
        ),
        pytest.param(["models/**/d.keras"], ["models/more/deep/d.keras"], id="pattern over folders"),
        pytest.param(["models/a.keras", "models/../models/a.keras"], ["models/a.keras"], id="the same file twice"),
    ],
)
def test_models_are_found(models, inputs, expected):
    assert [str(path) for path in find_models(inputs)] == expected


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        pytest.param(["models/missing.keras"], "no such file or folder", id="missing file"),
        pytest.param(["models/x*.keras"], "matches no .keras, .h5 or .onnx file", id="pattern without match"),
        pytest.param(["models/*.txt"], "matches no .keras, .h5 or .onnx file", id="pattern of other files"),
        pytest.param(
            ["models/more/deep", "models", "empty"], "empty: no .keras, .h5 or .onnx files", id="folder without models"
        ),
        pytest.param(["below"], r"in this folder itself; 'below/\*\*/\*\.h5' takes those below", id="models below"),
        pytest.param(["saved"], r"in this folder itself; 'saved/\*\*' takes those below", id="SavedModels below"),
        pytest.param(["models", "again"], "would be written to a.tflite", id="two of one name"),
    ],
)
def test_what_is_no_set_of_models_is_one_clear_line(models, inputs, message):
    Path("empty").mkdir()
    Path("again").mkdir()
    Path("again/a.keras").touch()
    for file in ("below/.hidden/a.keras", "below/deep/a.weights.h5", "below/deep/b.h5", "saved/deep/a/saved_model.pb"):
        Path(file).parent.mkdir(parents=True, exist_ok=True)
        Path(file).touch()
    with pytest.raises(UsageError, match=message):
        find_models(inputs)


@pytest.fixture
def refined(models):
    """The same with refine networks: of a, and one without its model."""
    Path("models/a.refine.keras").touch()
    Path("models/lone.refine.keras").touch()


@pytest.mark.parametrize(
    ("inputs", "expected"),
    [
        pytest.param(["models"], ["a.keras", "b.keras", "lone.refine.keras", "saved"], id="folder"),
        pytest.param(["models/a*.keras"], ["a.keras"], id="pattern"),
        pytest.param(["models/a.refine.keras", "models/a.keras"], ["a.keras"], id="both named"),
        pytest.param(["models/lone.refine.keras"], ["lone.refine.keras"], id="a lone one"),
    ],
)
def test_a_refine_network_goes_with_its_model(refined, inputs, expected):
    assert [path.name for path in find_models(inputs)] == expected


@pytest.mark.parametrize("inputs", [["models/a.refine.keras"], ["models/*.refine.keras"]])
def test_a_refine_network_without_the_model_beside_it_is_one_clear_line(refined, inputs):
    with pytest.raises(UsageError, match=r"a\.refine\.keras is the refine network of models/a\.keras, .*: give "):
        find_models(inputs)


def test_refine_network_and_its_frames_are_part_of_a_models_content(refined):
    model, refine = Path("models/a.keras"), Path("models/a.refine.keras")
    known = {sha256_of_model(Path("models/b.keras")), sha256_of_model(model)}
    assert sha256_of(model) in known  # alone a model has the hash of its file: b is as empty as a
    assert companion_files(model) == (refine,)
    frames = calibration_of(refine)
    for change in (lambda: refine.write_bytes(b"other"), frames.touch, lambda: frames.write_bytes(b"other")):
        change()
        known.add(sha256_of_model(model))
    assert len(known) == 5
    assert companion_files(model) == (refine, frames)


def test_folders_are_told_apart_by_what_follows_a_dot(tmp_path):
    folders = [tmp_path / "stn.v1", tmp_path / "stn.v2"]
    for folder in folders:
        folder.mkdir()
        (folder / "saved_model.pb").touch()
    (tmp_path / "stn.keras").touch()
    assert [output_name(model) for model in find_models([tmp_path])] == ["stn", "stn.v1", "stn.v2"]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        pytest.param(b"latin\xe9", "is not valid UTF-8", id="not UTF-8"),
        pytest.param(b"x" * 248, "is 13 bytes too long for a name", id="too long by 13"),
        pytest.param(("é" * 118).encode(), "is 1 bytes too long for a name", id="counted in bytes"),
        pytest.param(b"x" * 235, None, id="just fits"),
        pytest.param("café".encode(), None, id="UTF-8"),
    ],
)
def test_a_model_that_no_files_can_be_called_after_is_one_clear_line(tmp_path, name, reason):
    model = tmp_path / f"{os.fsdecode(name)}.keras"
    model.touch()
    found = unusable_name(model, tmp_path)
    assert (found is None) if reason is None else (reason in found and "\n" not in found)
    if reason is None:
        (tmp_path / f"{model.stem}.report.partial.json").touch()  # the longest of the names made of it
        (tmp_path / f"model.{model.stem}").mkdir()
        (tmp_path / f"{model.stem}.tflite.partial").touch()


@pytest.mark.parametrize("name", [b"caf\xe9.png", "café.png".encode()])
def test_a_name_of_any_bytes_is_hashed(tmp_path, name):
    for folder in ("here", "there"):
        (tmp_path / folder).mkdir()
    (tmp_path / "here" / os.fsdecode(name)).touch()
    (tmp_path / "there" / "cafe.png").touch()
    assert sha256_of_frames(tmp_path / "here", 200) != sha256_of_frames(tmp_path / "there", 200)


def test_a_folder_is_known_by_names_and_contents(tmp_path):
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "saved_model.pb").write_text("graph")
    before = sha256_of(tmp_path / "m")
    (tmp_path / "m" / "variables").write_text("1")
    with_variables = sha256_of(tmp_path / "m")
    (tmp_path / "m" / "variables").rename(tmp_path / "m" / "renamed")
    assert len({before, with_variables, sha256_of(tmp_path / "m")}) == 3


def test_frames_are_known_by_content(tmp_path):
    for folder in ("here", "there"):
        (tmp_path / folder).mkdir()
        cv2.imwrite(str(tmp_path / folder / "1.png"), np.full((4, 4, 3), 7, np.uint8))
    assert sha256_of_frames(tmp_path / "here", 200) == sha256_of_frames(tmp_path / "there", 200)
    cv2.imwrite(str(tmp_path / "there" / "2.png"), np.zeros((4, 4, 3), np.uint8))
    assert sha256_of_frames(tmp_path / "here", 200) != sha256_of_frames(tmp_path / "there", 200)
    before = sha256_of_frames(tmp_path / "here", 200)
    (tmp_path / "here.truth.json").write_text('{"1.png": null}')
    assert sha256_of_frames(tmp_path / "here", 200) != before


@pytest.mark.parametrize("source", ["missing", "."])
def test_frames_that_are_not_there_are_one_clear_line(tmp_path, source):
    with pytest.raises(DataError, match=r"no such calibration|no images for calibration"):
        sha256_of_frames(tmp_path / source, 200)


def test_frames_survive_the_way_to_a_worker(tmp_path):
    """The pictures that are read there are those that would be read here, in the same order."""
    for k in range(210):  # more than are read
        file = tmp_path / "frames" / f"{k % 3}" / os.fsdecode(b"%03d\xe9.png" % k)  # names can be any bytes
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(f"picture {k}".encode())
    (tmp_path / "frames" / "notes.txt").touch()
    files = frame_files(tmp_path / "frames", 200)
    assert len(files) == 200
    arrived = pack_files(tmp_path / "frames", files).unpack(tmp_path / "worker")
    assert [f.read_bytes() for f in frame_files(arrived, 200).values()] == [f.read_bytes() for f in files.values()]
    assert arrived.name == "frames"


def test_annotated_frames_survive_the_way_to_a_worker(tmp_path):
    """Of many frames those that are read go there, and are read there; labels outside their folder cannot."""
    for k in range(5):
        file = tmp_path / "set" / "images" / f"{k}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(file), np.full((10, 10, 3), k, np.uint8))
        labels = tmp_path / "set" / "labels" / f"{k}.txt"
        labels.parent.mkdir(exist_ok=True)
        labels.write_text(f"0 0.1 0.1 0.{k + 2} 0.1 0.{k + 2} 0.9 0.1 0.9")
    (tmp_path / "set" / "data.yaml").write_text("names: [label]")
    files = frame_files(tmp_path / "set", 3)
    assert sorted(files) == [
        "data.yaml", "images/0.png", "images/2.png", "images/4.png", "labels/0.txt", "labels/2.txt", "labels/4.txt"
    ]  # fmt: skip
    arrived = pack_files(tmp_path / "set", files).unpack(tmp_path / "worker")
    here, there = (read_frames(place, (8, 8, 3), (0, 1), 3) for place in (tmp_path / "set", arrived))
    np.testing.assert_array_equal(here.frames, there.frames)
    np.testing.assert_array_equal(here.corners, there.corners)
    assert "../labels/0.txt" in frame_files(tmp_path / "set" / "images", 3)


OPTIONS = ConversionOptions(Path("frames.npz"))
VERSIONS = {"stn_rectify": "1", "tensorflow": "2"}


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param({"source_sha256": "x"}, id="model"),
        pytest.param({"calibration_sha256": "x"}, id="calibration frames"),
        pytest.param({"validation_sha256": "x"}, id="validation frames"),
        pytest.param({"options": dataclasses.replace(OPTIONS, pose_only=True)}, id="kind"),
        pytest.param({"options": dataclasses.replace(OPTIONS, labels=("a",))}, id="labels"),
        pytest.param({"options": dataclasses.replace(OPTIONS, max_corner_error=0.5)}, id="threshold"),
        pytest.param({"versions": {**VERSIONS, "tensorflow": "3"}}, id="TensorFlow"),
        pytest.param({"versions": {**VERSIONS, "stn_rectify": "3"}}, id="stn-rectify"),
    ],
)
def test_whatever_changes_the_result_changes_the_fingerprint(changed):
    known = {
        "source_sha256": "a",
        "calibration_sha256": "b",
        "validation_sha256": None,
        "options": OPTIONS,
        "versions": VERSIONS,
    }
    assert fingerprint(**known) != fingerprint(**{**known, **changed})


def test_what_does_not_change_the_result_does_not_change_the_fingerprint():
    moved = dataclasses.replace(OPTIONS, calibration=Path("elsewhere.npz"), overwrite=True)
    versions = {**VERSIONS, "python": "3.12.1"}
    assert fingerprint("a", "b", None, OPTIONS, VERSIONS) == fingerprint("a", "b", None, moved, versions)


def test_one_run_at_a_time_writes_to_a_folder(tmp_path):
    first = StagingFolder(tmp_path / "out")
    with pytest.raises(UsageError, match="another stn-convert is writing"):
        StagingFolder(tmp_path / "out")
    first.remove()
    StagingFolder(tmp_path / "out").remove()
    assert list((tmp_path / "out").iterdir()) == []


def test_what_a_killed_run_left_is_cleared_away(tmp_path):
    left = tmp_path / ".stn-convert" / "model.a" / "out" / "a.tflite"
    left.parent.mkdir(parents=True)
    left.touch()
    staging = StagingFolder(tmp_path)
    assert not left.exists()
    staging.remove()
    assert list(tmp_path.iterdir()) == []


def test_an_out_that_tensorflow_cannot_write_to_is_one_clear_line(tmp_path):
    with pytest.raises(UsageError, match=r"not valid UTF-8.*choose another --out"):
        StagingFolder(tmp_path / os.fsdecode(b"caf\xe9"))
    assert list(tmp_path.iterdir()) == []


def test_an_out_that_cannot_be_written_is_one_clear_line(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match=r"cannot write to .*file.*choose another --out"):
        StagingFolder(tmp_path / "file" / "out")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_waits_for_the_end_of_a_step_that_must_not_be_torn(number):
    steps = []

    def work(signals: StopSignals) -> None:
        with signals.held():
            os.kill(os.getpid(), number)
            steps.append("whole")
        steps.append("never")

    with StopSignals() as signals:
        with pytest.raises(KeyboardInterrupt):
            work(signals)
        os.kill(os.getpid(), number)  # a second one does not disturb the clearing up
        steps.append("cleared up")
    assert steps == ["whole", "cleared up"]
