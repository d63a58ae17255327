"""The addresses of the web view, and what each answers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from aiohttp import WSMsgType, web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from stn_rectify.runtime.arrays import Image
from stn_rectify.runtime.errors import StnRectifyError
from stn_rectify.runtime.images.encoding import png, preview_jpeg
from stn_rectify.runtime.web.access import Guard, add_headers, json_error
from stn_rectify.runtime.web.broadcast import Broadcast
from stn_rectify.runtime.web.controls import Controls
from stn_rectify.runtime.web.live_state import LiveState
from stn_rectify.runtime.web.metrics import metrics_registry

_PAGE = Path(__file__).parent / "page"
_FILES = {
    "/": ("index.html", "text/html"),
    "/page.css": ("page.css", "text/css"),
    "/page.js": ("page.js", "text/javascript"),
    "/pictures.js": ("pictures.js", "text/javascript"),
    "/readings.js": ("readings.js", "text/javascript"),
    "/settings.js": ("settings.js", "text/javascript"),
    "/sign_in.js": ("sign_in.js", "text/javascript"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}
_MOST_WATCHERS = 16
_MOST_BYTES = 4096  # of a request's body
_THUMBNAIL_PX = 320


def make_application(state: LiveState, controls: Controls, guard: Guard, *, stalled_s: float) -> web.Application:
    """The application; to be made in the loop that runs it.

    Args:
        state: what is shown.
        controls: what the buttons do.
        guard: who may come in.
        stalled_s: how long a watcher may leave a message unread, and a request's body may be on its way, seconds.
    """
    application = web.Application(middlewares=[guard.middleware()], client_max_size=_MOST_BYTES)
    application.on_response_prepare.append(add_headers)
    for path, (name, kind) in _FILES.items():
        application.router.add_get(path, _file(_PAGE / name, kind))
    pages = _Pages(state, controls, Broadcast(state), stalled_s)
    application.router.add_get("/stream", pages.stream)
    application.router.add_get("/api/latest", pages.latest)
    application.router.add_get("/api/state", pages.state)
    application.router.add_get("/api/readings", pages.readings)
    application.router.add_get(r"/api/readings/{number:[0-9]{1,9}}.jpg", pages.thumbnail)
    application.router.add_get(r"/api/readings/{number:[0-9]{1,9}}.png", pages.picture)
    application.router.add_post("/api/settings", pages.settings)
    application.router.add_post("/api/saving", pages.saving)
    application.router.add_post("/api/snapshot", pages.snapshot)
    application.router.add_post("/api/model", pages.model)
    application.router.add_get("/healthz", pages.health)
    application.router.add_get("/metrics", pages.metrics)
    application.cleanup_ctx.append(pages.broadcasting)
    return application


def _file(path: Path, kind: str) -> Callable[[web.Request], Any]:
    text = path.read_text("utf-8")

    async def answer(_: web.Request) -> web.Response:
        return web.Response(text=text, content_type=kind, charset="utf-8")

    return answer


class _Pages:
    def __init__(self, state: LiveState, controls: Controls, broadcast: Broadcast, stalled_s: float) -> None:
        self._state, self._controls, self._broadcast, self._stalled_s = state, controls, broadcast, stalled_s
        self._registry = metrics_registry(state)
        self._watchers = 0

    async def broadcasting(self, _: web.Application) -> Any:
        task = asyncio.create_task(self._broadcast.run())
        yield
        task.cancel()

    async def stream(self, request: web.Request) -> web.StreamResponse:
        """A message for each that the watcher sends; who stops asking, or reading, is dropped."""
        if self._watchers >= _MOST_WATCHERS:
            return json_error(503, f"{_MOST_WATCHERS} watch already: close one")
        socket = web.WebSocketResponse(
            timeout=0.2, receive_timeout=self._stalled_s, max_msg_size=_MOST_BYTES, compress=False
        )
        self._watchers += 1
        try:
            await socket.prepare(request)
            last_number = 0
            while (await socket.receive()).type is WSMsgType.TEXT:
                last_number, message = await self._broadcast.next_message(last_number)
                await asyncio.wait_for(socket.send_bytes(message), self._stalled_s)
        except (asyncio.TimeoutError, ConnectionError):
            if request.transport is not None:
                request.transport.abort()  # closing politely would wait for who does not read
        finally:
            self._watchers -= 1
        return socket

    async def latest(self, _: web.Request) -> web.Response:
        done = self._state.passed_on
        if done is None:
            return json_error(404, "no result yet")
        return web.json_response(self._state.result(done))

    async def state(self, _: web.Request) -> web.Response:
        return web.json_response(self._state.values(self._state.newest))

    async def health(self, _: web.Request) -> web.Response:
        reason = self._state.ill_because()
        return web.Response(status=200 if reason is None else 503, text=f"{reason or 'ok'}\n")

    async def metrics(self, _: web.Request) -> web.Response:
        return web.Response(body=generate_latest(self._registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def readings(self, _: web.Request) -> web.Response:
        readings = self._state.readings
        return web.json_response({"revision": readings.revision, "readings": readings.newest_first()})

    async def thumbnail(self, request: web.Request) -> web.Response:
        return await self._picture(request, "image/jpeg", partial(preview_jpeg, longest_px=_THUMBNAIL_PX))

    async def picture(self, request: web.Request) -> web.Response:
        response = await self._picture(request, "image/png", png)
        if response.status == 200:
            response.headers["Content-Disposition"] = "attachment"  # whose name the page gives
        return response

    async def _picture(self, request: web.Request, kind: str, encode: Callable[[Image], bytes]) -> web.Response:
        image = self._state.readings.picture(int(request.match_info["number"]))
        if image is None:
            return json_error(404, "no such picture, or it is not kept any more")
        body = await asyncio.get_running_loop().run_in_executor(None, encode, image)
        return web.Response(body=body, content_type=kind)

    async def settings(self, request: web.Request) -> web.Response:
        return await self._do(request, None, dict, self._controls.ask_settings)

    async def saving(self, request: web.Request) -> web.Response:
        return await self._do(request, "on", bool, self._controls.switch_saving)

    async def snapshot(self, request: web.Request) -> web.Response:
        return await self._do(request, None, dict, lambda _: self._controls.ask_snapshot())

    async def model(self, request: web.Request) -> web.Response:
        return await self._do(request, "name", str, self._controls.open_model)

    async def _do(
        self, request: web.Request, key: str | None, kind: type, action: Callable[[Any], None]
    ) -> web.Response:
        """Does what a button asks for. A form of another page cannot send JSON."""
        if request.content_type != "application/json":
            return json_error(415, "send JSON (Content-Type: application/json)")
        try:
            asked = json.loads(await asyncio.wait_for(request.text(), self._stalled_s) or "{}")
        except asyncio.TimeoutError:
            return json_error(408, "the request did not arrive in full")
        except (ValueError, LookupError, RecursionError):  # LookupError: of a charset that there is not
            return json_error(400, "that is no JSON")
        value = (asked if key is None else asked.get(key)) if isinstance(asked, dict) else None
        if not isinstance(value, kind):
            wanted = "{...}" if key is None else f'{{"{key}": {"true" if kind is bool else "..."}}}'
            return json_error(400, f"send {wanted}")
        try:  # in a thread: opening a model takes a while
            await asyncio.get_running_loop().run_in_executor(None, action, value)
        except StnRectifyError as error:
            return json_error(409, str(error))
        return web.json_response({}, status=202)
