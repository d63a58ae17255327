"""The door of a server under TLS: how many are let stand in it."""

from __future__ import annotations

import asyncio
import socket
import ssl
from contextlib import ExitStack

from stn_rectify.runtime.web.tls_door import TlsDoor

MOST = 3
CLIENTS = 20


def is_closed(client: socket.socket) -> bool:
    try:
        return client.recv(1) == b""
    except BlockingIOError:
        return False


def test_of_many_that_come_at_once_the_oldest_make_room() -> None:
    with ExitStack() as held:
        listening = held.enter_context(socket.create_server(("127.0.0.1", 0), backlog=CLIENTS))
        clients = [held.enter_context(socket.create_connection(listening.getsockname())) for _ in range(CLIENTS)]
        for client in clients:
            client.setblocking(False)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)

        async def closed() -> list[bool]:
            door = asyncio.create_task(TlsDoor(listening, context, asyncio.Protocol, most=MOST).run())
            await asyncio.sleep(0.5)
            seen = [is_closed(client) for client in clients]
            door.cancel()
            await asyncio.wait([door])
            return seen

        assert asyncio.run(closed()) == [True] * (CLIENTS - MOST) + [False] * MOST
