"""The page in Chromium."""

from __future__ import annotations

import functools
import http.server
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from stn_rectify.runtime import ModelFileError, Rectifier, SaveSink
from stn_rectify.runtime.command.options.source import DEMO_IMAGE
from stn_rectify.runtime.web import SavingSwitch
from tests.runtime.web.test_view import several_targets
from tests.waiting import DEADLINE_S

sync_api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")

TOKEN = "correct-horse"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
WAIT_MS = 1000 * DEADLINE_S

OpenPage = Callable[..., Any]

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: apt install chromium")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield opened
        opened.close()


@pytest.fixture
def open_page(browser: Any) -> Iterator[OpenPage]:
    """Opens an address; in the end no page may have had an error in its script."""
    contexts, errors = [], []

    def open_one(url: str, **options: Any) -> Any:
        contexts.append(browser.new_context(**{"viewport": {"width": 1280, "height": 800}, **options}))
        page = contexts[-1].new_page()
        page.set_default_timeout(WAIT_MS)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(url)
        return page

    yield open_one
    for context in contexts:
        context.close()
    assert errors == []


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


@pytest.mark.slow
def test_the_command_shows_a_video(started: Callable[..., Any], open_page: OpenPage, tmp_path: Path) -> None:
    sample = cv2.resize(cv2.imread(str(DEMO_IMAGE)), (160, 120))
    writer = cv2.VideoWriter(str(tmp_path / "moves.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 25.0, (160, 120))
    for index in range(2500):
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
        wait_for_text(page, "#saving", "Stop saving")
        frames = run.state()["stats"]["frames"]
        run.wait_for(lambda state: state["stats"]["frames"] > frames + 3)
        assert len(list(tmp_path.iterdir())) > 2
        page.click("#saving")
        wait_for_text(page, "#saving", "Start saving")


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
        page.wait_for_function("model.value === 'general'")


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
        boxes = {name: page.locator(name).bounding_box() for name in ("#frame", "#rectified", "#saving", "#snapshot")}
        assert boxes["#rectified"]["y"] >= boxes["#frame"]["y"] + boxes["#frame"]["height"]
        assert all(box["x"] >= 0 and box["x"] + box["width"] <= 390 for box in boxes.values())
        assert min(boxes["#saving"]["height"], boxes["#snapshot"]["height"]) >= 44
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
