"""The connections of the web server, of which there are never too many."""

from __future__ import annotations

import asyncio
import logging
from typing import cast

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

__all__ = ["Connections"]


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
