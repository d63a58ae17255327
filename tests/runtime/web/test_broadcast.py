"""The stream of pictures: what those who watch are shown, and those who only hold it open."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from functools import partial
from typing import Any

import aiohttp
import cv2
import numpy as np
import psutil
import pytest

from stn_rectify.runtime import MissRule
from stn_rectify.runtime.web import broadcast
from tests.waiting import DEADLINE_S, wait_for

KEY = "AAAAAAAAAAAAAAAAAAAAAA=="


@pytest.fixture
def encodings(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The index of each frame that is encoded."""
    encode, seen = broadcast._encode_both, []

    def counted(done: Any) -> Any:
        seen.append(done.frame.index)
        return encode(done)

    monkeypatch.setattr(broadcast, "_encode_both", counted)
    return seen


def watch(port: int, messages: int) -> list[tuple[dict[str, Any], bytes, bytes]]:
    """So many messages of the stream, as the page asks for them."""

    async def all_of_them() -> list[tuple[dict[str, Any], bytes, bytes]]:
        found = []
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(f"http://127.0.0.1:{port}/stream", timeout=aiohttp.ClientWSTimeout(ws_close=5)) as ws,
        ):
            for _ in range(messages):
                await ws.send_str("next")
                message = await ws.receive_bytes(timeout=DEADLINE_S)
                text, frame = struct.unpack_from(">II", message)
                start = 8 + text
                found.append((json.loads(message[8:start]), message[start : start + frame], message[start + frame :]))
        return found

    return asyncio.run(all_of_them())


def decoded(picture: bytes) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR)


def stalled_client(port: int, asks: int) -> socket.socket:
    """Opens the stream, asks so many times, and will not read."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    client.settimeout(DEADLINE_S)
    client.connect(("127.0.0.1", port))
    client.sendall(
        b"GET /stream HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    )
    client.sendall(asks * b"\x81\x84\0\0\0\0next")  # a final text frame of four letters, masked with zeros
    return client


def is_dropped(client: socket.socket) -> bool:
    """Whether the server, in this process, has closed its end; the client sees that only when it reads."""
    return client.getsockname() not in [connection.raddr for connection in psutil.Process().net_connections("tcp4")]


def received(client: socket.socket) -> int:
    """Bytes that come until the server's end is gone."""
    size = 0
    try:
        while part := client.recv(65536):
            size += len(part)
    except ConnectionResetError:
        pass
    return size


def test_the_stream_shows_both_pictures_and_they_move(run: Any) -> None:
    messages = watch(run.port, 8)
    numbers = [values["latest"]["frame"] for values, _, _ in messages]
    assert numbers == sorted(numbers)
    for place in (1, 2):
        first, last = (decoded(messages[index][place]) for index in (0, -1))
        assert place == 2 or first.shape == (240, 320, 3)
        assert first.shape != last.shape or np.abs(first.astype(int) - last).mean() > 1


def test_corners_belong_to_the_picture(run: Any) -> None:
    """The target is brighter than what lies around it."""
    values, frame, _ = watch(run.port, 1)[0]
    inside = np.zeros((240, 320), np.uint8)
    cv2.fillPoly(inside, [np.rint(values["latest"]["corners"]).astype(np.int32)], 1)
    image = decoded(frame)
    assert image[inside == 1].mean() > image[inside == 0].mean() + 30


def test_large_frames_are_shown_smaller(start_run: Any) -> None:
    with start_run(size=(1920, 1080)) as run:
        run.wait_for(lambda state: state["stats"]["frames"] > 0)
        values, frame, _ = next(message for message in watch(run.port, 3) if message[1])
    assert decoded(frame).shape == (540, 960, 3)
    assert values["frame_size"] == [1920, 1080]


def test_nothing_is_encoded_unless_somebody_watches_and_once_for_all(run: Any, encodings: list[int]) -> None:
    frames = run.state()["stats"]["frames"]
    run.wait_for(lambda state: state["stats"]["frames"] >= frames + 20)
    assert encodings == []

    async def watch_twice() -> None:
        await asyncio.gather(*(asyncio.to_thread(watch, run.port, 6) for _ in range(3)))

    asyncio.run(watch_twice())
    assert encodings == sorted(set(encodings))
    assert len(encodings) < 18


def test_a_browser_that_reads_nothing_slows_nobody_and_is_dropped(start_run: Any, encodings: list[int]) -> None:
    with start_run(size=(640, 480), stalled_s=2.0) as run:
        run.wait_for(lambda state: state["stats"]["frames"] > 0)
        with stalled_client(run.port, asks=1) as once, stalled_client(run.port, asks=500) as flooding:
            encoded = -1
            while len(encodings) > encoded:  # until nobody asks any more, while the run goes on
                encoded, frames = len(encodings), run.state()["stats"]["frames"]
                run.wait_for(lambda state, before=frames: state["stats"]["frames"] >= before + 20)
            for client in (once, flooding):
                wait_for("the server to drop who reads nothing", partial(is_dropped, client))
                assert received(client) < 8_000_000  # what the kernel's buffers hold, not 500 messages
        assert 0 < encoded < 100
        assert watch(run.port, 1)


def test_watchers_are_limited_and_those_who_go_make_room(run: Any) -> None:
    clients = [stalled_client(run.port, asks=0) for _ in range(16)]
    for client in clients:
        assert client.recv(12) == b"HTTP/1.1 101"
    ask = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec_WebSocket_Version": "13", "Sec_WebSocket_Key": KEY}
    status, _, text = run.request("/stream", **ask)
    assert (status, json.loads(text)["error"]) == (503, "16 watch already: close one")
    for client in clients:
        client.close()
    ask["Sec_WebSocket_Version"] = "0"
    wait_for("room for another", lambda: run.request("/stream", **ask)[0] == 400)
    assert watch(run.port, 1)


def test_who_only_opens_connections_uses_nothing_up_and_locks_nobody_out(run: Any) -> None:
    with stalled_client(run.port, asks=0) as stream:
        assert stream.recv(12) == b"HTTP/1.1 101"
        idle = [socket.create_connection(("127.0.0.1", run.port), DEADLINE_S) for _ in range(200)]
        idle[-1].sendall(b"GET /healthz HTTP/1.1\r\nHost: local")  # and never the rest
        assert run.request("/healthz")[0] == 200
        for client in idle[:130]:
            assert received(client) == 0  # dropped by the server
        frames = run.state()["stats"]["frames"]
        run.wait_for(lambda state: state["stats"]["frames"] >= frames + 5)
        stream.sendall(b"\x81\x84\0\0\0\0next")
        assert len(stream.recv(1000)) > 100
        for client in idle:
            client.close()


def test_skipped_misses_are_shown_and_not_passed_on(start_run: Any) -> None:
    with start_run(rule=MissRule(1.0, "skip")) as run:
        state = run.wait_for(lambda state: state["stats"]["frames"] >= 3)
        assert (state["found"], state["skipped"]) == (False, True)
        assert run.request("/api/latest")[0] == 404
        assert watch(run.port, 1)[0][1]


def test_a_page_hears_that_no_frame_comes(start_run: Any) -> None:
    with start_run(is_paused=True) as run:
        values, frame, rectified = watch(run.port, 1)[0]
    assert (values["latest"], values["stats"]["latency_p50_ms"], frame, rectified) == (None, None, b"", b"")


def test_the_end_of_a_run_ends_open_streams(start_run: Any) -> None:
    with start_run() as run:
        client = stalled_client(run.port, asks=0)
        assert client.recv(12) == b"HTTP/1.1 101"
    received(client)
    client.close()
    with pytest.raises(ConnectionRefusedError):
        run.request("/")
