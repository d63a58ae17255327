"""The web server in a thread and a loop of its own, for which a run never waits, and its connections, limited."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any, cast

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from stn_rectify.runtime.web.tls_door import TlsDoor


class Connections:
    """Limits how many are open: anybody can open one, and each takes a file descriptor of the run.

    One too many takes the place of that which has been without a request for the longest time, so that those who only
    hold connections open lock nobody out. One whose request is being answered, such as a stream, is never dropped.

    Args:
        most: so many may be open.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._open: dict[web.RequestHandler, asyncio.Transport] = {}  # the longest without a request first
        self._busy: set[web.RequestHandler] = set()

    def middleware(self) -> Middleware:
        """The outermost one of the `aiohttp.web.Application`: knows who is being answered."""

        @web.middleware
        async def answering(request: web.Request, handler: Handler) -> web.StreamResponse:
            connection = request.protocol
            if connection in self._open:
                self._open[connection] = self._open.pop(connection)
            self._busy.add(connection)
            try:
                return await handler(request)
            finally:
                self._busy.discard(connection)

        return answering

    def protocol(self, server: web.Server, logger: logging.Logger) -> asyncio.Protocol:
        """A new connection's, for `asyncio.loop.create_server`."""
        return _Connection(self, server, logger)

    def opened(self, connection: web.RequestHandler, transport: asyncio.Transport) -> None:
        """Takes a new one in, and drops another if there are too many."""
        self._open[connection] = transport
        if len(self._open) > self._most:
            dropped = next(other for other in self._open if other not in self._busy)  # the new one is not
            self._open.pop(dropped).abort()

    def lost(self, connection: web.RequestHandler) -> None:
        """Forgets one that has ended."""
        self._open.pop(connection, None)


class _Connection(web.RequestHandler):
    def __init__(self, connections: Connections, server: web.Server, logger: logging.Logger) -> None:
        super().__init__(server, loop=asyncio.get_running_loop(), logger=logger, access_log=logger)
        self._connections = connections

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._connections.opened(self, cast(asyncio.Transport, transport))

    def connection_lost(self, exc: BaseException | None) -> None:
        self._connections.lost(self)
        super().connection_lost(exc)


_LOG = logging.getLogger(__name__)
_MOST_CONNECTIONS = 64
_HURRY_S = 0.2  # for open streams when the server ends
_JOIN_S = 5.0


class ServerThread:
    """Serves from `start` to `close`.

    Args:
        make: makes the application, in the server's loop.
        listening: the socket; closed at the end.
        context: for TLS; None for plain HTTP.
    """

    def __init__(
        self, make: Callable[[], web.Application], listening: socket.socket, context: ssl.SSLContext | None = None
    ) -> None:
        self._make, self._listening, self._context = make, listening, context
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
            async with self._accepting(lambda: connections.protocol(server, quiet)):
                self._ready.set()
                await self._stopping.wait()
        finally:
            await runner.cleanup()

    @contextlib.asynccontextmanager
    async def _accepting(self, protocol: Callable[[], asyncio.Protocol]) -> AsyncIterator[None]:
        """Takes connections in inside the block."""
        loop = asyncio.get_running_loop()
        if self._context is None:
            # Few at a time: asyncio takes in a whole backlog before it asks for the first connection's protocol.
            accepting = await loop.create_server(protocol, sock=self._listening, backlog=_MOST_CONNECTIONS)
            try:
                yield
            finally:
                accepting.close()
        else:
            door = TlsDoor(self._listening, self._context, protocol, most=_MOST_CONNECTIONS)
            task = loop.create_task(door.run())
            try:
                yield
            finally:
                task.cancel()
                await asyncio.wait([task])

    def _log_defect(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """A line for what would else be a traceback of asyncio; once, however often it comes."""
        line = f"{context['message']}: {context.get('exception')!r}"
        if line != self._defect:
            self._defect = line
            _LOG.error("web view: %s", line)
