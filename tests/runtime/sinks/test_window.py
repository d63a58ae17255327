from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from stn_rectify.runtime import CapturedFrame, Rectification, ResultSink, StnRectifyError
from stn_rectify.runtime.command import run
from stn_rectify.runtime.command.cli import main
from stn_rectify.runtime.sinks import ShowSink

HAS_WINDOWS = bool(cv2.currentUIFramework())


class Leaving(ResultSink):
    """Has seen enough after two results."""

    def __init__(self) -> None:
        self.frames: list[int] = []

    def write(self, frame: CapturedFrame, result: Rectification) -> None:
        self.frames.append(frame.index)
        self.wants_stop = len(self.frames) == 2


@pytest.mark.skipif(HAS_WINDOWS, reason="this OpenCV has windows")
def test_an_opencv_without_windows_is_one_line(capfd: pytest.CaptureFixture) -> None:
    assert main(["--demo", "--model", "fast", "--show"]) == 1
    line = capfd.readouterr().err.splitlines()[-1]
    assert line.startswith("stn-rectify: error: --show needs an OpenCV with windows: ")
    assert "pip uninstall -y opencv-python-headless" in line


@pytest.mark.skipif(not HAS_WINDOWS, reason="this OpenCV has no windows")
def test_a_missing_display_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISPLAY", ":987")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    with pytest.raises(StnRectifyError, match="cannot open a window"):
        ShowSink()


@pytest.mark.skipif(
    not HAS_WINDOWS or "DISPLAY" not in os.environ, reason="needs an OpenCV with windows, and a display"
)
def test_a_window_shows_a_frame() -> None:
    corners = np.array([[1.0, 1.0], [9.0, 1.0], [9.0, 6.0], [1.0, 6.0]])
    result = Rectification(np.zeros((6, 8, 3), np.uint8), corners, np.eye(3), 0.9, 1.5)
    frame = CapturedFrame("a", 0, 0.0, np.zeros((120, 160, 3), np.uint8))
    with ShowSink() as sink:
        sink.write(frame, result)
        assert not sink.wants_stop
        assert cv2.getWindowProperty("stn-rectify", cv2.WND_PROP_VISIBLE) == 1
    with ShowSink(hold=True, is_stopped=lambda: True) as sink:
        sink.write(frame, result)  # comes back although nobody presses a key


def test_a_sink_can_end_the_run(frame: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in "abcd":
        cv2.imwrite(str(tmp_path / f"{name}.png"), frame)
    sink = Leaving()
    monkeypatch.setattr(run, "make_sinks", lambda *_, **__: [sink])
    assert main(["--image", str(tmp_path), "--model", "fast"]) == 0
    assert sink.frames == [0, 1]
