"""The web server in a thread and a loop of its own, which a run never waits for."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
from collections.abc import Callable
from typing import Any

from aiohttp import web

from stn_rectify.runtime.web.connections import Connections

__all__ = ["ServerThread"]

_LOG = logging.getLogger(__name__)
_MOST_CONNECTIONS = 64
_HURRY_S = 0.2  # for open streams when the server ends
_JOIN_S = 5.0


class ServerThread:
    """Serves from `start` to `close`.

    Args:
        make: makes the application, in the server's loop.
        listening: the socket; closed at the end.
    """

    def __init__(self, make: Callable[[], web.Application], listening: socket.socket) -> None:
        self._make, self._listening = make, listening
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None
        self._ready = threading.Event()
        self._error: BaseException | None = None
        self._defect = ""
        self._thread = threading.Thread(target=self._run, name="web view", daemon=True)

    def start(self) -> None:
        """Returns when it serves; raises what kept it from that."""
        self._thread.start()
        self._ready.wait()
        if self._error is not None:
            raise self._error

    def close(self) -> None:
        """Ends all streams and the thread. Closing twice does no harm."""
        if self._thread.is_alive() and self._loop is not None and self._stopping is not None:
            self._loop.call_soon_threadsafe(self._stopping.set)
            self._thread.join(_JOIN_S)
        self._listening.close()

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:
            self._error = error
        finally:
            self._ready.set()

    async def _serve(self) -> None:
        self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
        quiet = logging.getLogger(f"{__name__}.requests")  # a request that is no HTTP is no news
        quiet.setLevel(logging.CRITICAL)
        self._loop.set_exception_handler(self._log_defect)
        connections, application = Connections(_MOST_CONNECTIONS), self._make()
        application.middlewares.insert(0, connections.middleware())
        runner = web.AppRunner(application, shutdown_timeout=_HURRY_S)
        await runner.setup()
        try:
            server = runner.server
            assert server is not None
            # Few at a time: asyncio takes in a whole backlog before it asks for the first connection's protocol.
            accepting = await self._loop.create_server(
                lambda: connections.protocol(server, quiet), sock=self._listening, backlog=_MOST_CONNECTIONS
            )
            self._ready.set()
            await self._stopping.wait()
            accepting.close()
        finally:
            await runner.cleanup()

    def _log_defect(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """A line for what would else be a traceback of asyncio; once, however often it comes."""
        line = f"{context['message']}: {context.get('exception')!r}"
        if line != self._defect:
            self._defect = line
            _LOG.error("web view: %s", line)
