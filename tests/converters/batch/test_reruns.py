"""A batch run again: what has changed is converted again, and nothing else is touched."""

from __future__ import annotations

import json
import os
import shutil
import signal
from pathlib import Path

import psutil
import pytest

from stn_rectify.converters.batch.batch_conversion import convert_batch
from stn_rectify.converters.batch.fingerprint import sha256_of
from stn_rectify.converters.batch.jobs import FinishedModel, ModelResult
from stn_rectify.converters.options import ConversionOptions
from tests.converters.batch.test_conversion import run
from tests.converters.conversion_commands import held_conversion, manifest, messages, save_tiny_model, start_command
from tests.converters.keras_models import save_frames
from tests.waiting import DEADLINE_S, wait_for


@pytest.fixture
def project(built, tmp_path, monkeypatch):
    """A copy of models and results to work in."""
    shutil.copytree(built[0], tmp_path, dirs_exist_ok=True)
    (tmp_path / "models" / "broken.keras").unlink()
    monkeypatch.chdir(tmp_path)
    return tmp_path


class _Refuser:
    """A pool that notes what it was to do, and does not do it."""

    def __init__(self):
        self.names = []

    def run(self, jobs):
        for job in jobs:
            self.names.append(job.name)
            yield FinishedModel(job, ModelResult(False, "not here"), ())

    def close(self):
        pass


def _nothing(project):
    pass


def _delete(name):
    return lambda project: (project / name).unlink()


def _other_frames(project):
    save_frames(project, (16, 16, 3), 9)


def _older_converter(project):
    file = project / "build" / "manifest.json"
    stored = json.loads(file.read_text())
    stored["models"]["b"]["fingerprint"] = "of an older version"
    file.write_text(json.dumps(stored))


@pytest.mark.parametrize(
    ("change", "options", "force", "again"),
    [
        pytest.param(_nothing, {}, False, "", id="nothing"),
        pytest.param(_nothing, {}, True, "ab", id="--force"),
        pytest.param(lambda p: save_tiny_model(p / "models/a.keras", 9), {}, False, "a", id="a model"),
        pytest.param(lambda p: (p / "models/b.refine.keras").touch(), {}, False, "b", id="a refine network"),
        pytest.param(_other_frames, {}, False, "ab", id="the calibration frames"),
        pytest.param(_nothing, {"labels": ("one",)}, False, "ab", id="an option"),
        pytest.param(_older_converter, {}, False, "b", id="the converter, for one of them"),
        pytest.param(_delete("build/b.tflite"), {}, False, "b", id="an output is gone"),
        pytest.param(_delete("build/a.report.json"), {}, False, "a", id="a report is gone"),
        pytest.param(_delete("build/manifest.json"), {"overwrite": True}, False, "ab", id="no manifest, --overwrite"),
        pytest.param(lambda p: os.utime(p / "models/a.keras"), {}, False, "", id="only a date"),
    ],
)
def test_what_has_changed_is_converted_again(project, change, options, force, again):
    change(project)
    pool = _Refuser()
    options = ConversionOptions(Path("frames3.npz"), **options)
    sources = [Path("models/a.keras"), Path("models/b.keras")]
    outcomes = convert_batch(sources, Path("build"), options, lambda: pool, force=force)
    assert "".join(pool.names) == again
    assert "".join(outcome.name for outcome in outcomes if not outcome.skipped) == again


def test_unchanged_models_are_skipped_without_a_process(project, capsys):
    before = {file: file.stat().st_mtime_ns for file in Path("build").iterdir()}
    assert run("models", "--out", "build", "--calibration", "frames3.npz") == 0
    assert {file: file.stat().st_mtime_ns for file in Path("build").iterdir()} == before
    assert "0 converted, 0 failed, 2 unchanged" in capsys.readouterr().out


@pytest.mark.slow
def test_a_changed_model_replaces_its_own_files_and_no_others(project, capsys):
    before = manifest(Path("build"))
    save_tiny_model(Path("models/a.keras"), 9)
    assert run("models", "--out", "build", "--calibration", "frames3.npz") == 0
    assert "1 converted, 0 failed, 1 unchanged" in capsys.readouterr().out
    after = manifest(Path("build"))
    assert after["b"] == before["b"]
    assert after["broken"] == before["broken"]  # a model that this run is not about
    assert after["a"]["outputs"]["a.tflite"]["sha256"] == sha256_of(Path("build/a.tflite"))
    assert sha256_of(Path("build/a.tflite")) != before["a"]["outputs"]["a.tflite"]["sha256"]


def test_a_failure_that_says_nothing_of_the_model_takes_nothing_away(project):
    """A crash, or a full disk: the files of before stay, and stay known."""
    files = {file: file.read_bytes() for file in Path("build").iterdir() if file.name != "manifest.json"}
    before = manifest(Path("build"))["a"]
    save_tiny_model(Path("models/a.keras"), 9)
    options = ConversionOptions(Path("frames3.npz"))
    convert_batch([Path("models/a.keras")], Path("build"), options, _Refuser)
    after = manifest(Path("build"))["a"]
    assert (after["result"], after["outputs"]) == ("failed", before["outputs"])
    assert {file: file.read_bytes() for file in files} == files
    again = _Refuser()
    convert_batch([Path("models/a.keras")], Path("build"), options, lambda: again)
    assert again.names == ["a"]  # it is tried again, and may replace its own files


@pytest.mark.slow
def test_a_model_that_no_longer_passes_leaves_no_model_file(project, capsys):
    """Its own file of before would look as if it had passed."""
    limit = ["--max-corner-error", "1e-9"]
    assert run("models/a.keras", "--out", "build", "--calibration", "frames3.npz", *limit) == 1
    assert "a  FAILED" in capsys.readouterr().err
    assert not Path("build/a.tflite").exists()
    assert Path("build/b.tflite").exists()
    record = manifest(Path("build"))["a"]
    assert record["result"] == "failed"
    assert record["outputs"]["a.report.json"]["sha256"] == sha256_of(Path("build/a.report.json"))


@pytest.mark.parametrize(
    ("source", "message"),
    [("models/a.keras", "exists: give --overwrite"), ("other/b.keras", "was made from another model")],
)
def test_a_file_of_somebody_else_is_kept(project, capsys, source, message):
    save_tiny_model(Path("other/b.keras"), 9)
    Path("build/a.tflite").write_text("precious")
    before = manifest(Path("build"))
    assert run(source, "--out", "build", "--calibration", "frames3.npz") == 1
    assert message in capsys.readouterr().err
    assert Path("build/a.tflite").read_text() == "precious"
    assert manifest(Path("build")) == before


def test_a_model_with_an_unusable_name_does_not_stop_the_others(project, capsys):
    Path("models/a.keras").rename(os.fsdecode(b"models/0\xe9.keras"))  # is looked at first
    shutil.copy("models/b.keras", f"models/1{'x' * 248}.keras")
    for _ in range(2):  # the manifest that was written can be read
        assert run("models", "--out", "build", "--calibration", "frames3.npz") == 1
        out, err = capsys.readouterr()
        assert "0 converted, 2 failed, 1 unchanged" in out
        assert err.count("\n") == 2
        assert "0\\udce9  FAILED: models/0\\udce9.keras is not valid UTF-8" in err
        assert "bytes too long for a name" in err
    assert {os.fsdecode(b"0\xe9"), f"1{'x' * 248}", "a", "b"} <= set(manifest(Path("build")))


def test_ctrl_c_leaves_whole_files_only_and_the_next_run_goes_on(inputs, tmp_path, monkeypatch):
    models = ["models/a.keras", "models/b.keras"]
    process = start_command(inputs, *models, "--out", tmp_path, "--calibration", "frames3.npz", "--jobs", "1")
    wait_for("the first model", (tmp_path / "a.tflite").exists)
    wait_for("the second conversion", (tmp_path / ".stn-convert" / "model.b" / "log.txt").exists)
    with held_conversion(process) as second:
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 130
    assert messages(err) == "stn-convert: stopped; run the same command again to go on\n"
    psutil.wait_procs([second], timeout=DEADLINE_S)
    assert not second.is_running()
    left = {file.name for file in tmp_path.iterdir()}
    assert left == {"manifest.json", *manifest(tmp_path)["a"]["outputs"]}
    monkeypatch.chdir(inputs)
    pool = _Refuser()
    convert_batch([Path(m) for m in models], tmp_path, ConversionOptions(Path("frames3.npz")), lambda: pool)
    assert pool.names == ["b"]
