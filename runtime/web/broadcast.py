"""The newest pictures for all who watch: encoded once for all of them, and only when one of them asks."""

from __future__ import annotations

import asyncio
import json
import logging
import struct
from dataclasses import dataclass

from stn_rectify.runtime.images.encoding import preview_jpeg
from stn_rectify.runtime.pipeline import Processed
from stn_rectify.runtime.sinks.overview import draw_targets
from stn_rectify.runtime.web.live_state import LiveState, picture

_LOG = logging.getLogger(__name__)
_FRAMES_PER_S = 15.0
_IDLE_S = 0.5  # a page hears of numbers and buttons this often when no frame comes
_LONGEST_PX = 960
# Bytes of the JSON and of the frame's JPEG; then the JSON, the frame and the rectified image.
_HEAD = struct.Struct(">II")


@dataclass(frozen=True, eq=False)
class _Waiting:
    last_number: int
    since_s: float
    answer: asyncio.Future[tuple[int, bytes]]


class Broadcast:
    """Answers those who ask for the next pictures, at most 15 times a second; all in the server's loop.

    Who does not ask gets nothing and costs nothing, so a stalled browser holds one message at the most.

    Args:
        state: the run.
    """

    def __init__(self, state: LiveState) -> None:
        self._state = state
        self._waiting: list[_Waiting] = []
        self._asked = asyncio.Event()
        self._error = ""
        self._pictures: tuple[int, bytes, bytes] = (0, b"", b"")

    async def next_message(self, last_number: int) -> tuple[int, bytes]:
        """Waits for pictures newer than those.

        Args:
            last_number: of the newest frame that the asker has; 0 for none.

        Returns:
            The number of the frame that it has then, and the message: without pictures if there is none newer.
        """
        loop = asyncio.get_running_loop()
        waiting = _Waiting(last_number, loop.time(), loop.create_future())
        self._waiting.append(waiting)
        self._asked.set()
        return await waiting.answer

    async def run(self) -> None:
        """Answers until it is cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            await self._asked.wait()
            started_s = loop.time()
            try:
                await self._answer(started_s)
            except Exception as error:  # one bad frame does not end the view: those who wait get the next
                if repr(error) != self._error:
                    self._error = repr(error)
                    _LOG.error("web view: %r", error)
            if not self._waiting:
                self._asked.clear()
            await asyncio.sleep(max(0.0, started_s + 1 / _FRAMES_PER_S - loop.time()))

    async def _answer(self, now_s: float) -> None:
        newest = self._state.newest
        number = 0 if newest is None else newest[0]
        asking = [w for w in self._waiting if w.last_number != number or now_s - w.since_s >= _IDLE_S]
        if newest is not None and number != self._pictures[0] and any(w.last_number != number for w in asking):
            frame, rectified = await asyncio.get_running_loop().run_in_executor(None, _encode_both, newest[1])
            self._pictures = (number, frame, rectified)
        text = json.dumps(self._state.values(newest)).encode()
        with_pictures = _message(text, *self._pictures[1:])
        without = _message(text, b"", b"")
        self._waiting = [w for w in self._waiting if w not in asking]
        for waiting in asking:
            if not waiting.answer.done():  # its connection may have gone
                waiting.answer.set_result((number, with_pictures if waiting.last_number != number else without))


def _message(text: bytes, frame: bytes, rectified: bytes) -> bytes:
    return _HEAD.pack(len(text), len(frame)) + text + frame + rectified


def _encode_both(done: Processed) -> tuple[bytes, bytes]:
    frame = picture(done)
    if len(done.targets) < 2:
        return preview_jpeg(frame, _LONGEST_PX), preview_jpeg(done.result.image, _LONGEST_PX)
    rectified = draw_targets(done.targets, done.frame.image.shape[1], done.frame.image.shape[0])
    return preview_jpeg(frame, _LONGEST_PX), preview_jpeg(rectified, _LONGEST_PX)
