"""The settings that a page changes while the run goes on."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from stn_rectify.runtime import FrameView, ImageSource, MissRule, Pipeline, Rectifier, UsageError
from stn_rectify.runtime.sources.by_name import DEMO_IMAGE
from stn_rectify.runtime.web import WebView


def test_settings_are_taken_up_between_frames(run: Any) -> None:
    asked = {"min_score": 0.25, "smooth": 0.5, "margin": 0.2, "roi": [0.1, 0.1, 0.8, 0.8]}
    assert run.post("/api/settings", json.dumps(asked)) == (202, "{}")
    state = run.wait_for(lambda state: state["frame_size"] == [256, 192])
    assert {name: setting["value"] for name, setting in state["settings"].items()} == asked
    assert state["picture"] == {"size": [320, 240], "region": [32, 24, 256, 192]}
    assert state["notice"]["text"] == (
        "lowest score of a target: 0.25; corners are smoothed, 0.5 Hz; margin: 20% of the target; "
        "region: 10%, 10%, 80%, 80%"
    )
    asked = {"min_score": None, "smooth": None, "margin": 0, "roi": None}
    assert run.post("/api/settings", json.dumps(asked))[0] == 202
    state = run.wait_for(lambda state: state["frame_size"] == [320, 240])
    assert {name: setting["value"] for name, setting in state["settings"].items()} == asked


def test_the_lowest_score_decides_what_is_found(run: Any) -> None:
    assert run.wait_for(lambda state: state["found"])["settings"]["min_score"]["in_use"] == 0.5
    run.post("/api/settings", '{"min_score": 1}')
    run.wait_for(lambda state: not state["found"])
    run.post("/api/settings", '{"min_score": 0.1}')
    run.wait_for(lambda state: state["found"])


def test_smoothed_targets_are_numbered_and_the_margin_widens_the_picture(start_run: Any) -> None:
    shapes = []
    with start_run() as run:
        run.wait_for(lambda state: state["found"])
        run.post("/api/settings", '{"smooth": 1}')
        run.wait_for(lambda state: state["latest"].get("track") == 1)
        run.pause()
        done = run.view._state.newest[1]
        for margin in (0.0, 0.5):
            run.view._pipeline.rectifier.set_margin(margin)
            shapes.append(run.view._pipeline.process(done.captured).result.image.shape)
    assert np.allclose(np.divide(shapes[1], shapes[0])[:2], 2, atol=0.3)


def test_a_region_counts_in_the_picture_as_it_is_seen() -> None:
    image = np.arange(40 * 60 * 3, dtype=np.uint8).reshape(40, 60, 3)
    for view in (FrameView(rotation=90, roi=(0.1, 0.2, 0.5, 0.6)), FrameView(hflip=True, roi=(0.5, 0.25, 0.3, 0.7))):
        whole = view.whole.apply(image)
        assert view.whole_size(image) == whole.shape[1::-1]
        x, y, width, height = view.region_in(*view.whole_size(image))
        np.testing.assert_array_equal(whole[y : y + height, x : x + width], view.apply(image))


@pytest.mark.parametrize(
    ("body", "status", "told"),
    [
        pytest.param('{"min_score": 1.5}', 409, "min_score", id="above 1"),
        pytest.param('{"min_score": NaN}', 409, "min_score", id="no number"),
        pytest.param('{"min_score": true}', 409, "min_score", id="a flag"),
        pytest.param('{"smooth": 0}', 409, "smooth", id="no frequency"),
        pytest.param('{"smooth": Infinity}', 409, "smooth", id="infinite"),
        pytest.param('{"smooth": "1"}', 409, "smooth", id="text"),
        pytest.param('{"margin": -0.1}', 409, "margin", id="a negative margin"),
        pytest.param('{"margin": null}', 409, "margin", id="no margin"),
        pytest.param('{"roi": [0.5, 0, 0.6, 1]}', 409, "roi", id="beyond the frame"),
        pytest.param('{"roi": [0, 0, 1]}', 409, "roi", id="three numbers"),
        pytest.param('{"roi": "0,0,1,1"}', 409, "roi", id="a region as text"),
        pytest.param('{"roi": [0.5, 0.5, 0.001, 0.5]}', 409, "too small", id="a sliver"),
        pytest.param('{"margin": 0.1, "min_score": 2}', 409, "min_score", id="one of two"),
        pytest.param('{"threads": 4}', 409, "send one or more of", id="unknown"),
        pytest.param("{}", 409, "send one or more of", id="nothing"),
        pytest.param("[]", 400, "send {", id="a list"),
    ],
)
def test_what_is_asked_wrongly_changes_nothing(run: Any, body: str, status: int, told: str) -> None:
    before = run.state()["settings"]
    found, text = run.post("/api/settings", body)
    assert (found, told in json.loads(text)["error"]) == (status, True)
    frames = run.state()["stats"]["frames"]
    assert run.wait_for(lambda state: state["stats"]["frames"] > frames + 2)["settings"] == before


def test_what_the_model_does_not_go_with_is_a_line_and_the_rest_is_taken_up(start_run: Any) -> None:
    with start_run(model="digits", output="model") as run:
        run.wait_for(lambda state: state["stats"]["frames"] > 0)
        settings = run.state()["settings"]
        assert all(settings[name]["impossible_because"] for name in ("min_score", "smooth", "margin"))
        run.post("/api/settings", '{"smooth": 1, "min_score": 0.5, "margin": 0.1, "roi": [0, 0, 0.5, 1]}')
        state = run.wait_for(lambda state: state["frame_size"] == [160, 240])
        assert [state["settings"][name]["value"] for name in ("min_score", "smooth", "margin")] == [None, None, 0]


def test_another_model_gets_the_pages_margin(start_run: Any) -> None:
    with start_run(models={"other": lambda: Rectifier("general")}) as run:
        run.wait_for(lambda state: state["stats"]["frames"] > 0)
        run.post("/api/settings", '{"margin": 0.3}')
        run.wait_for(lambda state: state["settings"]["margin"]["value"] == 0.3)
        run.post("/api/model", '{"name": "other"}')
        state = run.wait_for(lambda state: state["model"] == "other")
        assert state["settings"]["margin"]["value"] == 0.3


def test_images_are_not_smoothed() -> None:
    with Rectifier("fast") as rectifier, ImageSource(DEMO_IMAGE) as source:
        pipeline = Pipeline(rectifier, rule=MissRule(0.5))
        with WebView(pipeline, source) as view:
            done = pipeline.process(next(iter(source)))
            view.show(done)
            settings = view._state.values((1, done))["settings"]
            assert settings["smooth"]["impossible_because"] == "images, and several inputs, do not follow one another"
            with pytest.raises(UsageError, match="smooth: images, and several inputs"):
                view._controls.ask_settings({"smooth": 1})
            view._controls.ask_settings({"smooth": None})
            assert settings["min_score"]["value"] == 0.5
            view._controls.ask_settings({"margin": 0.5})
            assert view.act(done)
            assert not view.act(done)
            assert pipeline.process(done.captured).result.image.size > 3.9 * done.result.image.size
