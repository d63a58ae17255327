"""Connections under TLS: let in once they have shaken hands, and few at a time until then."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable

_HANDSHAKE_S = 10.0
_PAUSE_S = 0.5  # where the process has no file descriptor left
_IS_HANDSHAKE = b"\x16"  # the first byte of TLS (RFC 8446, 5.1)
_TEXT = b"this port speaks HTTPS only: write https:// in front of its address\n"
_ANSWER_IN_PLAIN = (
    b"HTTP/1.1 400 Bad Request\r\nServer: stn-rectify\r\nContent-Type: text/plain; charset=utf-8\r\n"
    b"Content-Length: %d\r\nConnection: close\r\n\r\n%b"
) % (len(_TEXT), _TEXT)


class TlsDoor:
    """Takes connections in, and hands those on that have shaken hands; all in the server's loop.

    Anybody can open a connection and send nothing: of those that have not shaken hands, one too many takes the place
    of the oldest. A client that speaks plain HTTP gets an answer that says so.

    Args:
        listening: the socket.
        context: of the server.
        protocol: makes a new connection's.
        most: so many may be shaking hands.
    """

    def __init__(
        self, listening: socket.socket, context: ssl.SSLContext, protocol: Callable[[], asyncio.Protocol], *, most: int
    ) -> None:
        self._listening, self._context, self._protocol, self._most = listening, context, protocol, most
        self._entering: dict[asyncio.Task[None], None] = {}  # the oldest first

    async def run(self) -> None:
        """Takes connections in until it is cancelled."""
        loop = asyncio.get_running_loop()
        self._listening.setblocking(False)
        try:
            while True:
                try:
                    connection, _ = await loop.sock_accept(self._listening)
                except OSError:
                    await asyncio.sleep(_PAUSE_S)
                    continue
                task = loop.create_task(self._enter(connection))
                self._entering[task] = None
                task.add_done_callback(self._forget)
                if len(self._entering) > self._most:
                    oldest = next(iter(self._entering))
                    self._forget(oldest)  # at once: many connections may come before it ends
                    oldest.cancel()
                await asyncio.sleep(0)  # where a backlog waits, accepting gives nobody else a turn
        finally:
            entering = list(self._entering)
            for task in entering:
                task.cancel()
            await asyncio.gather(*entering, return_exceptions=True)

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._entering.pop(task, None)

    async def _enter(self, connection: socket.socket) -> None:
        # What fails to shake hands, such as a browser that does not trust the certificate, is no news.
        with contextlib.suppress(OSError, asyncio.TimeoutError):
            await asyncio.wait_for(self._shake_hands(connection), _HANDSHAKE_S)

    async def _shake_hands(self, connection: socket.socket) -> None:
        is_ours = True
        try:
            await _readable(connection)
            first = connection.recv(1, socket.MSG_PEEK)
            if first == _IS_HANDSHAKE:
                is_ours = False  # it is closed there, whatever happens
                await asyncio.get_running_loop().connect_accepted_socket(
                    self._protocol, connection, ssl=self._context, ssl_handshake_timeout=_HANDSHAKE_S
                )
            elif first:
                await _answer_in_plain(connection)
        finally:
            if is_ours:
                connection.close()


async def _readable(connection: socket.socket) -> None:
    """Waits for its first byte, or its end."""
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_reader(connection, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_reader(connection)


async def _answer_in_plain(connection: socket.socket) -> None:
    """Answers, and reads what the client goes on sending: closed before that, the answer would be lost to it."""
    loop = asyncio.get_running_loop()
    await loop.sock_recv(connection, 4096)
    await loop.sock_sendall(connection, _ANSWER_IN_PLAIN)
    connection.shutdown(socket.SHUT_WR)
    while await loop.sock_recv(connection, 4096):
        pass
