"""The page in Chromium."""

from __future__ import annotations

import functools
import http.server
import json
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from stn_rectify.runtime import ModelFileError, Rectifier, SaveSink
from stn_rectify.runtime.process.board import MachineState, Throttling
from stn_rectify.runtime.sinks.background import BackgroundSaveSink
from stn_rectify.runtime.sources.by_name import DEMO_IMAGE
from stn_rectify.runtime.web import SavingSwitch, machine_watch
from tests.runtime.web.test_view import several_targets
from tests.waiting import DEADLINE_S

sync_api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")

TOKEN = "correct-horse"
WAIT_MS = 1000 * DEADLINE_S

OpenPage = Callable[..., Any]


def wait_for_text(page: Any, selector: str, text: str) -> None:
    sync_api.expect(page.locator(selector)).to_contain_text(text, timeout=WAIT_MS)


def wait_for_move(page: Any, canvas: str) -> None:
    """Waits until the picture has other pixels than now."""
    before = page.evaluate("name => document.getElementById(name).toDataURL()", canvas)
    page.wait_for_function(
        "([name, before]) => document.getElementById(name).toDataURL() !== before", arg=[canvas, before]
    )


def test_both_pictures_move_and_the_target_is_marked(start_run: Any, open_page: OpenPage) -> None:
    with start_run() as run:
        page = open_page(run.view.url)
        wait_for_text(page, "#connection", "Live")
        corners = page.get_attribute("#target", "points")
        for canvas in ("frame", "rectified"):
            wait_for_move(page, canvas)
        page.wait_for_function("old => document.getElementById('target').getAttribute('points') !== old", arg=corners)
        assert page.evaluate("[frame.width, frame.height]") == [320, 240]
        assert "lost" not in (page.get_attribute("#overlay", "class") or "")


def test_under_tls_the_page_signs_in_and_is_live(
    start_run: Any, open_page: OpenPage, make_files: Callable[..., Any]
) -> None:
    with start_run(token=TOKEN, **make_files().options) as run:
        page = open_page(run.view.url, ignore_https_errors=True)
        assert page.evaluate("isSecureContext")
        page.fill("input", TOKEN)
        page.press("input", "Enter")
        wait_for_text(page, "#connection", "Live")
        wait_for_move(page, "frame")
        (cookie,) = page.context.cookies()
        assert (cookie["secure"], cookie["httpOnly"], cookie["sameSite"]) == (True, True, "Strict")


@pytest.mark.slow
def test_the_command_shows_a_video(started: Callable[..., Any], open_page: OpenPage, tmp_path: Path) -> None:
    sample = cv2.resize(cv2.imread(str(DEMO_IMAGE)), (160, 120))
    writer = cv2.VideoWriter(str(tmp_path / "moves.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 25.0, (160, 120))
    for index in range(10_000):  # more than the run sees before a browser is there
        writer.write(np.roll(sample, index // 25, axis=1))
    writer.release()
    program = started("--video", tmp_path / "moves.avi", "--model", "fast", "--serve", 0)
    page = open_page(program.url)
    wait_for_text(page, "#connection", "Live")
    for canvas in ("frame", "rectified"):
        wait_for_move(page, canvas)
    assert " frames in " in program.stop()
    wait_for_text(page, "#connection", "No connection")


def test_numbers_and_names(start_run: Any, open_page: OpenPage) -> None:
    with start_run() as run:
        page = open_page(run.view.url)
        wait_for_text(page, "#source", "camera 0: a synthesised one")
        wait_for_text(page, "#label", "Target found")
        wait_for_text(page, "#latency_p99_ms", " ms")
        assert page.input_value("#model") == "fast"
        assert float(page.inner_text("#score-number")) > 0.5
        first = int(page.inner_text("#frames"))
        page.wait_for_function("first => Number(document.getElementById('frames').textContent) > first", arg=first)
        assert float(page.inner_text("#frames_per_s")) > 0


@pytest.mark.parametrize(
    ("label", "score", "headline", "whole"),
    [
        ("8", 0.97, "8 · 97 %", None),
        ("AB 12", None, "AB 12", None),
        (None, 0.99, "Nothing known · 99 %", None),
        (None, None, "Target found", None),
        ("", None, "No text", None),
        ("\n %&\nSt; 4a\n!!", 0.2, "%& … · 20 %", "\n %&\nSt; 4a\n!!"),
        ("x" * 60, None, "x" * 31 + "…", "x" * 60),
    ],
    ids=["score", "no score", "nothing known", "no recognizer", "empty", "several lines", "a long line"],
)
def test_a_text_is_one_line_and_the_rest_on_demand(
    start_run: Any, open_page: OpenPage, label: str | None, score: float | None, headline: str, whole: str | None
) -> None:
    with start_run() as run:
        page = open_page(run.view.url)
        wait_for_text(page, "#label", "Target found")
        shown = page.evaluate(  # in one go: the next frame has no label
            """latest => {
                showLabel(latest, true);
                return [$('label').textContent, $('whole').hidden, $('whole-text').textContent];
            }""",
            {"label": label, "label_score": score},
        )
    assert shown == [headline, whole is None, whole or ""]


def test_saving_and_snapshots(start_run: Any, open_page: OpenPage, tmp_path: Path) -> None:
    with start_run(saving=SavingSwitch(SaveSink(tmp_path), is_on=False)) as run:
        page = open_page(run.view.url)
        page.click("#snapshot")
        wait_for_text(page, "#notice", " saved")
        assert len(list(tmp_path.iterdir())) == 2
        page.focus("#saving")
        page.keyboard.press("Enter")
        wait_for_text(page, "#saving-state", "on")
        assert page.get_attribute("#saving", "aria-checked") == "true"
        frames = run.state()["stats"]["frames"]
        run.wait_for(lambda state: state["stats"]["frames"] > frames + 3)
        assert len(list(tmp_path.iterdir())) > 2
        page.click("#saving")
        wait_for_text(page, "#saving-state", "off")
        assert page.get_attribute("#saving", "aria-checked") == "false"
        wait_for_text(page, "#why", f"{len(list(tmp_path.iterdir())) // 2} saved in {tmp_path}")


def test_without_a_folder_the_buttons_say_why_they_are_dead(start_run: Any, open_page: OpenPage) -> None:
    with start_run() as run:
        page = open_page(run.view.url)
        wait_for_text(page, "#why", "start stn-rectify with --save DIR")
        assert page.is_disabled("#saving")
        assert page.is_disabled("#snapshot")
        assert page.is_disabled("#model")


def test_choosing_a_model(start_run: Any, open_page: OpenPage) -> None:
    def broken() -> Rectifier:
        raise ModelFileError("model file broken.tflite is damaged: copy it again")

    models = {"fast": lambda: Rectifier("fast"), "general": lambda: Rectifier("general"), "broken": broken}
    with start_run(models=models) as run:
        page = open_page(run.view.url)
        page.wait_for_selector("#model:enabled")
        page.select_option("#model", "general")
        wait_for_text(page, "#notice", "model general is in use")
        assert page.input_value("#model") == run.state()["model"] == "general"
        page.select_option("#model", "broken")
        wait_for_text(page, "#notice", "broken.tflite is damaged")
        page.wait_for_function("() => model.value === 'general'")


def test_a_wrong_token_is_refused_and_the_right_one_leaves_the_address(start_run: Any, open_page: OpenPage) -> None:
    with start_run(token=TOKEN) as run:
        page = open_page(f"{run.view.url}?token=wrong-horse")
        wait_for_text(page, "h1", "needs its token")
        page.fill("input", "wrong again")
        page.click("button")
        wait_for_text(page, "h1", "needs its token")
        assert "frame" not in page.content()
        page.fill("input", TOKEN)
        page.click("button")
        wait_for_text(page, "#connection", "Live")
        assert page.url == run.view.url
        page.reload()
        wait_for_text(page, "#connection", "Live")


@pytest.mark.slow
def test_a_link_on_another_site_leads_in(start_run: Any, open_page: OpenPage, tmp_path: Path) -> None:
    """Browsers leave SameSite=Strict cookies out of such a request, also after its redirect."""
    with start_run(token=TOKEN) as run:
        links = f'<a id="with" href="{run.view.url}?token={TOKEN}">in</a> <a id="again" href="{run.view.url}">in</a>'
        (tmp_path / "links.html").write_text(links)
        handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(tmp_path))
        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as other:
            threading.Thread(target=other.serve_forever, daemon=True).start()
            elsewhere = f"http://localhost:{other.server_port}/links.html"
            page = open_page(elsewhere)
            for link in ("#with", "#again"):
                page.click(link)
                wait_for_text(page, "#connection", "Live")
                page.goto(elsewhere)
            other.shutdown()


def test_it_says_so_when_the_server_is_gone_and_comes_back_with_it(start_run: Any, open_page: OpenPage) -> None:
    with start_run() as run:
        page = open_page(run.view.url)
        wait_for_text(page, "#connection", "Live")
    wait_for_text(page, "#connection", "No connection")
    with start_run(address=str(run.port)):
        wait_for_text(page, "#connection", "Live")


@pytest.mark.slow
def test_it_says_so_when_no_frame_comes(start_run: Any, open_page: OpenPage) -> None:
    with start_run() as run:
        page = open_page(run.view.url)
        wait_for_text(page, "#connection", "Live")
        run.source.is_paused = True
        wait_for_text(page, "#connection", "No frame for ")
        run.source.is_paused = False
        wait_for_text(page, "#connection", "Live")


@pytest.mark.slow
def test_eight_pages_are_live_at_once(start_run: Any, open_page: OpenPage) -> None:
    """Browsers open six connections to a server for pictures, and wait with the seventh."""
    with start_run() as run:
        first = open_page(run.view.url)
        pages = [first, *(first.context.new_page() for _ in range(7))]
        for page in pages[1:]:
            page.goto(run.view.url)
        for page in pages:
            page.bring_to_front()
            wait_for_text(page, "#connection", "Live")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone(start_run: Any, open_page: OpenPage, tmp_path: Path, scheme: str) -> None:
    with start_run(saving=SavingSwitch(SaveSink(tmp_path), is_on=False)) as run:
        page = open_page(run.view.url, viewport={"width": 390, "height": 844}, color_scheme=scheme, has_touch=True)
        wait_for_text(page, "#connection", "Live")
        assert page.evaluate("document.documentElement.scrollWidth") == 390
        names = ("#label", "#rectified", "#frame", "#saving", "#snapshot", "#freeze", "#draw")
        boxes = {name: page.locator(name).bounding_box() for name in names}
        ends = {name: box["y"] + box["height"] for name, box in boxes.items()}
        # The answer first, and all of it, the frame and the buttons on the screen as the page opens.
        assert ends["#label"] <= boxes["#rectified"]["y"] < ends["#rectified"] <= boxes["#frame"]["y"]
        assert ends["#frame"] < boxes["#saving"]["y"] < ends["#saving"] <= 844
        assert all(box["x"] >= 0 and box["x"] + box["width"] <= 390 for box in boxes.values())
        assert min(box["height"] for name, box in boxes.items() if name in names[3:]) >= 44
        page.evaluate("document.getElementById('numbers').scrollIntoView()")
        after = {name: page.locator(name).bounding_box() for name in ("#label", "#saving", "#snapshot")}
        assert after["#label"]["y"] < 0
        assert (after["#saving"], after["#snapshot"]) == (boxes["#saving"], boxes["#snapshot"])
        page.click("#saving")
        wait_for_text(page, "#saving-state", "on")
        red, green, blue = page.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)")
        assert (red + green + blue > 380) == (scheme == "light")


def test_all_targets_are_marked_and_listed(start_run: Any, open_page: OpenPage) -> None:
    with start_run(max_targets=3, is_paused=True) as run:
        run.view.show(several_targets())
        page = open_page(run.view.url)
        wait_for_text(page, "#targets", "7: text 0 score 0.90")
        assert page.locator("#targets li").all_inner_texts() == [
            "7: text 0 score 0.90",
            "4: text 1 score 0.65",
            "3: score 0.40",
        ]
        assert page.locator("#overlay .target").count() == 3
        assert page.locator("#overlay .name").all_text_contents() == ["7", "4", "3"]
        inside = page.evaluate("[overlay.getBBox().width, overlay.getBBox().height]")
        assert inside[0] > 250
        rectified = page.evaluate(
            "[20, 80, 160].map(level => { const c = document.getElementById('rectified'); const d = c.getContext('2d')"
            ".getImageData(0, 0, c.width, c.height).data; let n = 0; for (let i = 0; i < d.length; i += 4)"
            " n += Math.abs(d[i] - level) < 8 ? 1 : 0; return n; })"
        )
        assert min(rectified[1:]) > 1000, "the images of the second and the third"


def test_readings_are_listed_copied_and_downloaded(start_run: Any, open_page: OpenPage, tmp_path: Path) -> None:
    with start_run(max_targets=3, is_paused=True) as run:
        run.view.show(several_targets())
        page = open_page(run.view.url)
        wait_for_text(page, "#readings li:nth-child(3)", "text 0")
        assert page.locator("#readings .text").all_inner_texts() == ["Target found", "text 1", "text 0"]
        first = page.locator("#readings li").last
        for fact in ("50 %", "score 0.90", "1 frame", "no. 7"):
            assert fact in first.locator(".facts").inner_text()
        # A function: what is no function is compiled again at each look, which the page's policy forbids.
        page.wait_for_function(
            "() => [...document.querySelectorAll('#readings img')].every(one => one.naturalWidth === 60)"
        )
        page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        first.get_by_role("button", name="Copy text 0").click()
        wait_for_text(page, "#readings li:nth-child(3) .copy", "Copied")
        assert page.evaluate("navigator.clipboard.readText()") == "text 0"
        with page.expect_download() as downloading:
            first.get_by_role("link", name="Download").click()
        assert downloading.value.suggested_filename.startswith("text_0-")
        picture = cv2.imread(str(downloading.value.path()), cv2.IMREAD_COLOR)
        np.testing.assert_array_equal(picture, np.zeros((40, 60, 3)))
        with page.expect_download() as downloading:
            page.click("#list")
        assert [one["number"] for one in json.loads(downloading.value.path().read_text())["readings"]] == [3, 2, 1]


def test_a_frame_with_another_margin_has_another_picture_in_the_list(start_run: Any, open_page: OpenPage) -> None:
    with start_run(is_paused=True) as run:
        done = several_targets()
        page = open_page(run.view.url)
        for width in (60, 90):
            target = replace(done.result, image=np.zeros((40, width, 3), np.uint8))
            run.view.show(replace(done, result=target, targets=(target,)))
            page.wait_for_function(
                "width => document.querySelector('#readings img')?.naturalWidth === width", arg=width
            )
        assert page.locator("#readings li").count() == 1


def test_what_a_folder_has_not_taken_is_said(start_run: Any, open_page: OpenPage, tmp_path: Path) -> None:
    with (
        BackgroundSaveSink(lambda: SaveSink(tmp_path), str(tmp_path)) as sink,
        start_run(saving=SavingSwitch(sink, is_on=False)) as run,
    ):
        page = open_page(run.view.url)
        wait_for_text(page, "#why", f"0 saved in {tmp_path}")
        sink.dropped = 1234
        wait_for_text(page, "#why", f"0 saved in {tmp_path}, 1,234 not saved")


def test_without_a_clipboard_a_text_is_copied_all_the_same(start_run: Any, open_page: OpenPage) -> None:
    """Browsers give a page by HTTP from another machine none."""
    with start_run(max_targets=3, is_paused=True) as run:
        run.view.show(several_targets())
        page = open_page(run.view.url)
        wait_for_text(page, "#readings", "text 0")
        page.evaluate("Object.defineProperty(navigator, 'clipboard', { value: undefined })")
        page.evaluate("document.addEventListener('copy', () => { window.copied = getSelection().toString(); })")
        page.get_by_role("button", name="Copy text 1").click()
        wait_for_text(page, "#readings li:nth-child(2) .copy", "Copied")
        assert page.evaluate("window.copied") == "text 1"


def test_a_reading_cannot_write_into_the_page(start_run: Any, open_page: OpenPage) -> None:
    text = "<img src=x onerror='document.title=1'>"
    with start_run(is_paused=True) as run:
        done = several_targets()
        target = replace(done.result, label=text)
        run.view.show(replace(done, result=target, targets=(target,)))
        page = open_page(run.view.url)
        wait_for_text(page, "#readings", "<img")
        assert page.locator("#readings img").count() == 1
        assert page.get_attribute("#readings .text", "title") == text


def test_sliders_change_the_run_and_show_what_it_has(start_run: Any, open_page: OpenPage) -> None:
    with start_run() as run:
        page = open_page(run.view.url)
        wait_for_text(page, "#min_score-value", "0.50, the model's own")
        assert page.is_hidden("#as-options")
        page.fill("#min_score", "0.3")
        page.fill("#margin", "0.25")
        page.fill("#smooth", "5")
        state = run.wait_for(lambda state: state["settings"]["smooth"]["value"] == 0.5)
        assert (state["settings"]["min_score"]["value"], state["settings"]["margin"]["value"]) == (0.3, 0.25)
        wait_for_text(page, "#options", "--min-score 0.3 --smooth --smooth-cutoff 0.5 --margin 0.25")
        wait_for_text(page, "#margin-value", "25 %")
        other = open_page(run.view.url)
        wait_for_text(other, "#margin-value", "25 %")
        assert [other.input_value(f"#{name}") for name in ("min_score", "smooth", "margin")] == ["0.3", "5", "0.25"]
        other.click("#min_score-own")
        wait_for_text(page, "#min_score-value", "the model's own")
        assert run.state()["settings"]["min_score"]["value"] is None


def test_a_slider_that_goes_with_nothing_says_why(start_run: Any, open_page: OpenPage) -> None:
    with start_run(model="digits", output="model") as run:
        page = open_page(run.view.url)
        wait_for_text(page, "[data-setting=smooth] .reason", "the graph has its own image")
        wait_for_text(page, "[data-setting=min_score] .reason", "gives no score")
        wait_for_text(page, "[data-setting=margin] .reason", "the graph's own image shows the target alone")
        assert page.is_disabled("#smooth")
        assert page.is_disabled("#min_score")
        assert page.is_disabled("#margin")


@pytest.mark.parametrize("width", [1280, 390], ids=["desktop", "phone"])
def test_a_region_is_drawn_on_the_picture(start_run: Any, open_page: OpenPage, width: int) -> None:
    with start_run() as run:
        page = open_page(run.view.url, viewport={"width": width, "height": 800})
        wait_for_text(page, "#connection", "Live")
        box = page.locator("#overlay").bounding_box()

        def drag(*points: tuple[float, float]) -> None:
            page.click("#draw")
            for place, (x, y) in enumerate(points):
                page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"])
                if place == 0:
                    page.mouse.down()
            assert page.locator("#drawn .region").count() == 1
            page.mouse.up()

        drag((0.9, 0.8), (0.5, 0.5), (0.1, 0.2))  # from any corner
        state = run.wait_for(lambda state: state["settings"]["roi"]["value"] is not None)
        assert np.allclose(state["settings"]["roi"]["value"], [0.1, 0.2, 0.8, 0.6], atol=0.02)
        state = run.wait_for(lambda state: state["frame_size"][0] < 320)
        x, y, wide, high = state["picture"]["region"]
        assert state["picture"]["size"] == [320, 240]
        assert state["frame_size"] == [wide, high]
        page.wait_for_selector("#marks .region", state="attached")
        assert page.evaluate("[frame.width, frame.height]") == [320, 240]
        assert page.get_attribute("#marks > g", "transform") == f"translate({x} {y})"
        drag((0.5, 0.5), (0.5, 0.505))
        wait_for_text(page, "#notice", "That was a click")
        page.click("#draw")
        page.keyboard.press("Escape")
        assert page.get_attribute("#draw", "aria-pressed") == "false"
        page.click("#roi-whole")
        run.wait_for(lambda state: state["frame_size"] == [320, 240])
        page.fill("#roi", "0.5,0,0.5,1")
        page.keyboard.press("Enter")
        run.wait_for(lambda state: state["picture"]["region"] == [160, 0, 160, 240])


def test_freezing_holds_the_answer_while_the_run_goes_on(start_run: Any, open_page: OpenPage) -> None:
    with start_run() as run:
        page = open_page(run.view.url)
        wait_for_move(page, "frame")
        page.click("#freeze")
        wait_for_text(page, "#frame-caption", "frozen")
        held = page.evaluate("[frame.toDataURL(), rectified.toDataURL(), target.getAttribute('points')]")
        frames = run.state()["stats"]["frames"]
        page.wait_for_function("frames => state.stats.frames > frames + 5", arg=frames)
        assert page.evaluate("[frame.toDataURL(), rectified.toDataURL(), target.getAttribute('points')]") == held
        run.pause()
        last = run.state()["latest"]["frame"]
        page.wait_for_function("last => state.latest.frame === last", arg=last)
        page.click("#freeze")
        page.wait_for_function("held => frame.toDataURL() !== held", arg=held[0])


def test_full_screen_shows_answer_and_pictures_alone(start_run: Any, open_page: OpenPage) -> None:
    with start_run() as run:
        page = open_page(run.view.url)
        wait_for_text(page, "#connection", "Live")
        page.evaluate("stage.requestFullscreen = undefined")  # as on an iPhone
        page.click("#full")
        box = page.locator("#stage").bounding_box()
        assert (box["x"], box["y"], box["width"], box["height"]) == (0, 0, 1280, 800)
        assert page.locator("#frame").bounding_box()["height"] > 500
        page.keyboard.press("Escape")
        wait_for_text(page, "#full", "Full screen")
        assert page.locator("#frame").bounding_box()["height"] < 500


def test_temperature_throttling_and_disk(start_run: Any, open_page: OpenPage, monkeypatch: pytest.MonkeyPatch) -> None:
    state = MachineState("Raspberry Pi 4 Model B", 81.26, Throttling(0x50004), "/out", 700_000_000, 31_000_000_000)
    monkeypatch.setattr(machine_watch, "machine_state", lambda folder: state)
    with start_run() as run:
        page = open_page(run.view.url)
        wait_for_text(page, "#temperature", "81.3 °C")
        wait_for_text(page, "#throttled", "throttled")
        wait_for_text(page, "#disk", "700 MB")
        wait_for_text(page, "#board", "Raspberry Pi 4 Model B")
        assert page.locator("#numbers .bad").count() == 3
