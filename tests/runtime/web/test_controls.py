"""What the buttons of the page do."""

from __future__ import annotations

import json
import shutil
import threading
from pathlib import Path
from typing import Any

import pytest

from stn_rectify.runtime import CornerSmoother, ModelFileError, Pipeline, Rectifier, SaveSink
from stn_rectify.runtime.sinks.background import BackgroundSaveSink
from stn_rectify.runtime.web import SavingSwitch


def test_saving_is_switched_and_snapshots_are_files(start_run: Any, tmp_path: Path) -> None:
    saving = SavingSwitch(SaveSink(tmp_path), is_on=False)
    with start_run(saving=saving) as run:
        run.wait_for(lambda state: state["stats"]["frames"] >= 5)
        assert list(tmp_path.iterdir()) == []
        assert run.post("/api/snapshot")[0] == 202
        notice = run.wait_for(lambda state: state["notice"]["number"] == 2)["notice"]
        index = int(notice["text"].split()[1])
        assert sorted(file.name for file in tmp_path.iterdir()) == [
            f"video0-{index:06d}.overview.jpg",
            f"video0-{index:06d}.rectified.png",
        ]
        assert run.post("/api/saving", '{"on": true}')[0] == 202
        state = run.state()["saving"]
        saved = state.pop("saved")
        assert state == {
            "is_on": True,
            "impossible_because": None,
            "folder": str(tmp_path),
            "unsaved": 0,
            "fault": None,
        }
        assert saved >= 1
        frames = run.state()["stats"]["frames"]
        run.wait_for(lambda state: state["stats"]["frames"] >= frames + 5)
        assert run.post("/api/saving", '{"on": false}')[0] == 202
        assert len(list(tmp_path.iterdir())) >= 10
        frames = run.state()["stats"]["frames"]
        run.wait_for(lambda state: state["stats"]["frames"] >= frames + 2)
        saved = set(tmp_path.iterdir())
        assert run.state()["saving"]["saved"] == len(saved) / 2
        run.wait_for(lambda state: state["stats"]["frames"] >= frames + 7)
        assert set(tmp_path.iterdir()) == saved


def test_without_a_folder_nothing_can_be_saved(run: Any) -> None:
    for path, body in (("/api/saving", '{"on": true}'), ("/api/snapshot", "{}")):
        status, text = run.post(path, body)
        assert (status, "--save DIR" in text) == (409, True)
    assert "--save DIR" in run.state()["saving"]["impossible_because"]


def test_a_snapshot_that_cannot_be_written_is_a_line_and_the_run_goes_on(start_run: Any, tmp_path: Path) -> None:
    stick = tmp_path / "stick"
    with start_run(saving=SavingSwitch(SaveSink(stick / "gone"), is_on=False)) as run:
        shutil.rmtree(stick)
        run.post("/api/snapshot")
        state = run.wait_for(lambda state: state["notice"]["number"] == 2)
        assert state["notice"]["is_error"]
        assert state["notice"]["text"].startswith("cannot write ")
        run.wait_for(lambda later: later["stats"]["frames"] > state["stats"]["frames"])


def test_a_folder_that_takes_no_pictures_is_said_and_so_is_its_return(start_run: Any, tmp_path: Path) -> None:
    stick = tmp_path / "stick"
    with (
        BackgroundSaveSink(lambda: SaveSink(stick / "pictures"), str(stick)) as sink,
        start_run(saving=SavingSwitch(sink)) as run,
    ):
        run.wait_for(lambda state: state["saving"]["saved"] >= 2 and state["saving"]["fault"] is None)
        stick.rename(tmp_path / "away")
        assert "No such file" in run.wait_for(lambda state: state["saving"]["fault"] is not None)["saving"]["fault"]
        (tmp_path / "away").rename(stick)
        run.wait_for(lambda state: state["saving"]["fault"] is None)


def test_a_folder_that_hangs_is_seen_by_what_is_not_saved(start_run: Any, tmp_path: Path) -> None:
    may_go_on = threading.Event()

    class Hanging(SaveSink):
        def settle(self) -> None:
            may_go_on.wait()

    with (
        BackgroundSaveSink(lambda: Hanging(tmp_path), str(tmp_path), most_jobs=2) as sink,
        start_run(saving=SavingSwitch(sink)) as run,
    ):
        try:
            saving = run.wait_for(lambda state: state["saving"]["unsaved"] > 3)["saving"]
            assert (saving["fault"], saving["is_on"]) == (None, True)
        finally:
            may_go_on.set()


def test_the_percentiles_begin_anew_where_a_reload_has_changed_the_model(start_run: Any) -> None:
    with start_run() as run:
        run.wait_for(lambda state: state["stats"]["latency_p50_ms"] is not None)
        run.pause()
        pipeline, done = run.view._pipeline, run.view._state.newest[1]
        pipeline.become(Pipeline(Rectifier("general"))).close()
        assert not run.view.act(done)
        assert run.state()["stats"]["latency_p50_ms"] is None


def test_the_model_is_changed_between_frames(start_run: Any) -> None:
    models = {"fast": lambda: Rectifier("fast"), "other": lambda: Rectifier("general")}
    with start_run(models=models) as run:
        run.wait_for(lambda state: state["stats"]["frames"] > 0)
        assert run.post("/api/model", '{"name": "other"}') == (202, "{}")
        state = run.wait_for(lambda state: state["model"] == "other")
        assert state["models"] == ["fast", "other"]
        assert state["notice"] == {"number": 2, "text": "model other is in use", "is_error": False}
        run.wait_for(lambda later: later["stats"]["frames"] > state["stats"]["frames"] + 3)


def test_while_no_frame_comes_it_says_that_buttons_wait_for_one(start_run: Any, tmp_path: Path) -> None:
    saving = SavingSwitch(SaveSink(tmp_path), is_on=False)
    with start_run(saving=saving, models={"other": lambda: Rectifier("general")}, is_paused=True) as run:
        for path, body in (("/api/snapshot", "{}"), ("/api/model", '{"name": "other"}')):
            assert run.post(path, body)[0] == 202
            assert run.state()["notice"]["text"].endswith("taken up with the next frame")
        run.source.is_paused = False
        run.wait_for(lambda state: state["notice"]["text"] == "model other is in use")


def test_a_model_that_fails_to_load_leaves_the_old_one(start_run: Any) -> None:
    def broken() -> Rectifier:
        raise ModelFileError("model file broken.tflite is damaged: copy it again")

    with start_run(models={"fast": lambda: Rectifier("fast"), "broken": broken}) as run:
        run.wait_for(lambda state: state["stats"]["frames"] > 0)
        status, text = run.post("/api/model", '{"name": "broken"}')
        assert (status, json.loads(text)["error"]) == (409, "model file broken.tflite is damaged: copy it again")
        state = run.state()
        assert (state["model"], state["notice"]["is_error"]) == ("fast", True)
        run.wait_for(lambda later: later["stats"]["frames"] > state["stats"]["frames"])


def test_a_model_that_does_not_fit_the_run_leaves_the_old_one(start_run: Any) -> None:
    """Smoothing, and a model whose own pixels are wanted."""
    models = {"own pixels": lambda: Rectifier("digits", output="model")}
    with start_run(models=models, smoother=CornerSmoother()) as run:
        run.wait_for(lambda state: state["stats"]["frames"] > 0)
        run.post("/api/model", '{"name": "own pixels"}')
        state = run.wait_for(lambda state: state["notice"]["number"] == 2)
        assert "the graph has its own image" in state["notice"]["text"]
        assert state["model"] == "fast"


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        pytest.param("/api/model", '{"name": "../../etc/passwd"}', 409, id="a path"),
        pytest.param("/api/model", '{"name": 5}', 400, id="number for a name"),
        pytest.param("/api/model", "{}", 400, id="no name"),
        pytest.param("/api/model", "[]", 400, id="a list"),
        pytest.param("/api/model", "{", 400, id="no JSON"),
        pytest.param("/api/model", "[" * 4000, 400, id="deep JSON"),
        pytest.param("/api/saving", '{"on": 1}', 400, id="number for a switch"),
        pytest.param("/api/model", "x" * 5000, 413, id="too long"),
    ],
)
def test_what_is_asked_wrongly_changes_nothing(run: Any, path: str, body: str, status: int) -> None:
    found, text = run.post(path, body)
    assert found == status
    assert set(json.loads(text)) == {"error"}
    assert run.state()["model"] == "fast"
