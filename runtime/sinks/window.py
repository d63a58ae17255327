"""Results in a window."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence

import cv2

from stn_rectify.runtime.arrays import Image
from stn_rectify.runtime.errors import StnRectifyError
from stn_rectify.runtime.process.installation import pip_command
from stn_rectify.runtime.results import MissRule, Rectification
from stn_rectify.runtime.sinks.overview import Captions, boxed, draw_overview, overview_size
from stn_rectify.runtime.sinks.result_sink import ResultSink
from stn_rectify.runtime.sources import CapturedFrame

_TITLE = "stn-rectify"
_QUIT_KEYS = (ord("q"), ord("Q"), 27)  # 27: Esc
_POLL_MS = 50
_LARGEST_WIDTH = 1280  # of the window to begin with, screen pixels
# Where there is no display Qt ends the whole program, so another one tries first.
_PROBE = f"import cv2; cv2.namedWindow({_TITLE!r}); cv2.destroyAllWindows()"
_PROBE_TIMEOUT_S = 60.0


class ShowSink(ResultSink):
    """A window with the frame and the rectified image (see `draw_overview`); used from the main thread.

    The keys Q and Esc, and closing the window, set `wants_stop`.

    Args:
        hold: keep each picture until a key is pressed, for images.
        is_stopped: ends holding a picture when it says so; None never does.

    Raises:
        StnRectifyError: if this OpenCV has no windows, or there is no display.
    """

    def __init__(self, *, hold: bool = False, is_stopped: Callable[[], bool] | None = None) -> None:
        self._hold, self._is_stopped = hold, is_stopped or (lambda: False)
        self._size, self._captions = (0, 0), Captions()
        if not _has_windows():
            remove = pip_command("uninstall", "-y", "opencv-python-headless")
            install = pip_command("install", f"opencv-python=={cv2.__version__}.*")
            raise StnRectifyError(
                f"--show needs an OpenCV with windows: {remove}, then {install}; or look at it in a browser with "
                "--serve"
            )
        if not _can_open_a_window():
            raise StnRectifyError(
                "--show cannot open a window: start it in a desktop session (DISPLAY must name its screen), or look at "
                "it in a browser with --serve"
            )
        cv2.namedWindow(_TITLE, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO | cv2.WINDOW_GUI_NORMAL)

    def write(self, frame: CapturedFrame, result: Rectification) -> None:
        """Shows the picture."""
        self._show(frame, draw_overview(frame.image, result, caption=self._captions.caption(frame)))

    def write_targets(
        self, frame: CapturedFrame, result: Rectification, targets: Sequence[Rectification], rule: MissRule
    ) -> None:
        """Shows the picture."""
        self._show(frame, draw_overview(frame.image, result, targets, rule, self._captions.caption(frame)))

    def _show(self, frame: CapturedFrame, overview: Image) -> None:
        size = overview_size(frame.image)
        if size != self._size:
            self._size = size
            width = min(size[0], _LARGEST_WIDTH)
            cv2.resizeWindow(_TITLE, width, round(size[1] * width / size[0]))
        cv2.imshow(_TITLE, boxed(overview, size))
        key = self._poll(1)
        while self._hold and key < 0 and not self.wants_stop and not self._is_stopped():
            key = self._poll(_POLL_MS)

    def close(self) -> None:
        """Closes the window."""
        cv2.destroyAllWindows()

    def _poll(self, milliseconds: int) -> int:
        """The key that was pressed, -1 for none."""
        key = cv2.waitKey(milliseconds)
        closed = cv2.getWindowProperty(_TITLE, cv2.WND_PROP_VISIBLE) < 1
        self.wants_stop = self.wants_stop or closed or (key & 0xFF) in _QUIT_KEYS
        return key


def _has_windows() -> bool:
    return bool(cv2.currentUIFramework())


def _can_open_a_window() -> bool:
    try:
        done = subprocess.run(
            [sys.executable, "-c", _PROBE], capture_output=True, timeout=_PROBE_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0
