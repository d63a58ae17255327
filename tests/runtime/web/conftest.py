"""Runs with a web view, in this process and as the command, and clients for them."""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import cv2
import numpy as np
import pytest

from stn_rectify.runtime import CapturedFrame, CornerSmoother, FrameSource, MissRule, Pipeline, Rectifier
from stn_rectify.runtime.sources.by_name import DEMO_IMAGE
from stn_rectify.runtime.web import SavingSwitch, WebView
from tests.waiting import DEADLINE_S, wait_for

pytest.importorskip("aiohttp", reason="the extra web is not installed")
pytest.importorskip("prometheus_client", reason="the extra web is not installed")

CHROMIUM_FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


class MovingSource(FrameSource):
    """The sample, moving to and fro."""

    description = "camera 0: a synthesised one"

    def __init__(self, size: tuple[int, int] = (320, 240)) -> None:
        super().__init__()
        self._image = cv2.resize(cv2.imread(str(DEMO_IMAGE)), size)
        self.is_paused = self.is_idle = False

    def __iter__(self) -> Iterator[CapturedFrame]:
        index = 0
        while not self.is_stopped:
            time.sleep(0.02)
            self.is_idle = self.is_paused
            if self.is_paused:
                continue
            move = np.array([[1, 0, 12 * np.sin(index / 6)], [0, 1, 0]])
            moved = cv2.warpAffine(self._image, move, self._image.shape[1::-1])
            yield CapturedFrame("/dev/video0", index, time.time(), np.asarray(moved, np.uint8))
            index += 1


@dataclass
class Run:
    view: WebView
    source: MovingSource
    port: int

    def request(
        self, path: str, method: str = "GET", body: str | None = None, **headers: str
    ) -> tuple[int, http.client.HTTPResponse, str]:
        """Status, response and text; an underscore in a header's name stands for a dash."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE_S)
        try:
            connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
            response = connection.getresponse()
            return response.status, response, response.read().decode()
        finally:
            connection.close()

    def state(self) -> dict[str, Any]:
        values: dict[str, Any] = json.loads(self.request("/api/state")[2])
        return values

    def post(self, path: str, body: str = "{}", **headers: str) -> tuple[int, str]:
        status, _, text = self.request(path, "POST", body, **{"Content_Type": "application/json", **headers})
        return status, text

    def pause(self) -> None:
        """Returns when the last frame has been shown."""
        self.source.is_paused = True
        wait_for("the source to pause", lambda: self.source.is_idle)

    def wait_for(self, done: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The first state of which that holds."""
        state: dict[str, Any] = {}

        def holds() -> bool:
            nonlocal state
            state = self.state()
            return done(state)

        wait_for("a state of the run", holds, told=lambda: state)
        return state


COMMAND = [sys.executable, "-m", "stn_rectify.runtime.command.cli"]

StartRun = Callable[..., Any]


@contextmanager
def running(
    *,
    size: tuple[int, int] = (320, 240),
    model: str = "fast",
    output: Literal["frame", "model"] = "frame",
    rule: MissRule | None = None,
    smoother: CornerSmoother | None = None,
    max_targets: int = 1,
    saving: SavingSwitch | None = None,
    address: str = "0",
    is_paused: bool = False,
    **options: Any,
) -> Iterator[Run]:
    source = MovingSource(size)
    source.is_paused = is_paused
    with Rectifier(model, output=output) as rectifier:
        pipeline = Pipeline(rectifier, rule=rule, smoother=smoother, max_targets=max_targets)
        with WebView(pipeline, source, address, saving=saving, **options) as view:
            thread = threading.Thread(target=partial(_run, source, pipeline, saving, view))
            thread.start()
            try:
                yield Run(view, source, int(view.url.rstrip("/").rpartition(":")[2]))
            finally:
                source.stop()
                thread.join(DEADLINE_S)
        pipeline.rectifier.close()


def _run(source: MovingSource, pipeline: Pipeline, saving: SavingSwitch | None, view: WebView) -> None:
    for frame in source:
        done = pipeline.process(frame)
        if saving is not None and not done.is_skipped:
            saving.write(done.frame, done.result)
        view.show(done)


@pytest.fixture(scope="session")
def start_run() -> StartRun:
    """Starts a run of the moving sample with a web view; a context manager."""
    return running


class Program:
    """The command, from its start until it has said where it serves."""

    def __init__(self, *words: object, **environment: str) -> None:
        self.process = subprocess.Popen(  # without a buffer here, in which `communicate` would not look
            [*COMMAND, *map(str, words)], stderr=subprocess.PIPE, bufsize=0, env={**os.environ, **environment}
        )
        assert self.process.stderr is not None
        self.said = ""
        while line := self.process.stderr.readline().decode():
            self.said += line
            if found := re.fullmatch(r"web view at (https?://\S+)\n", line):
                self.url = found[1]
                return
        raise AssertionError(self.said)

    def get(self, path: str, **headers: str) -> str:
        with urllib.request.urlopen(
            urllib.request.Request(self.url + path, headers=headers), timeout=DEADLINE_S
        ) as answer:
            return answer.read().decode()

    def wait_for(self, path: str, done: Callable[[dict[str, object]], object]) -> dict[str, object]:
        answer: dict[str, object] = {}

        def holds() -> object:
            nonlocal answer
            answer = json.loads(self.get(path))
            return done(answer)

        wait_for(f"another answer at {path}", holds, told=lambda: answer)
        return answer

    def post(self, path: str, values: object) -> None:
        body = json.dumps(values).encode()
        urllib.request.urlopen(
            urllib.request.Request(self.url + path, body, {"Content-Type": "application/json"}), timeout=DEADLINE_S
        ).close()

    def stop(self) -> str:
        """What it says on Ctrl-C until its end."""
        self.process.send_signal(signal.SIGINT)
        self.said += self.process.communicate(timeout=DEADLINE_S)[1].decode()
        assert self.process.returncode == 0, self.said
        assert "Traceback" not in self.said
        return self.said


@pytest.fixture
def started() -> Iterator[Callable[..., Program]]:
    programs: list[Program] = []

    def start(*words: object, **environment: str) -> Program:
        programs.append(Program(*words, **environment))
        return programs[-1]

    yield start
    for program in programs:
        program.process.kill()
        program.process.communicate()


@pytest.fixture
def run(start_run: StartRun) -> Iterator[Any]:
    with start_run() as started:
        started.wait_for(lambda state: state["stats"]["frames"] > 0)
        yield started


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no Chromium here: apt install chromium")
    with sync_api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_FLAGS)
        yield opened
        opened.close()


@pytest.fixture
def open_page(browser: Any) -> Iterator[Callable[..., Any]]:
    """Opens an address; in the end no page may have had an error in its script."""
    contexts, errors = [], []

    def open_one(url: str, **options: Any) -> Any:
        contexts.append(browser.new_context(**{"viewport": {"width": 1280, "height": 800}, **options}))
        page = contexts[-1].new_page()
        page.set_default_timeout(1000 * DEADLINE_S)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(url)
        return page

    yield open_one
    for context in contexts:
        context.close()
    assert errors == []
