from __future__ import annotations

import urllib.error
from pathlib import Path

import cv2
import numpy as np
import pytest

from stn_rectify.runtime import SourceError, VideoSource
from stn_rectify.runtime.sources.streams.http import HttpClient
from stn_rectify.runtime.sources.streams.url import StreamUrl
from tests.runtime.sources.frame_sources import drain
from tests.runtime.sources.rtsp_server import rtsp_server
from tests.runtime.sources.stream_server import stream_server


def cause(address: str, timeout_s: float = 3) -> str:
    with pytest.raises(SourceError) as caught:
        VideoSource(address, timeout_s=timeout_s)
    return str(caught.value)


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("/status/404", "nothing at this path (404 Not Found): check the path"),
        ("/status/403", "it refuses access (403 Forbidden)"),
        ("/status/500", "its server fails (500 Internal Server Error)"),
        ("/status/503", "its server is busy (503 Service Unavailable): another viewer"),
        ("/circle", "another address (302 Found), in circles or to none of HTTP: name the one"),
        ("/elsewhere", "another address (302 Found), in circles or to none of HTTP: name the one"),
        ("/basic", "it asks for a user and a password (401 Unauthorized): write them as in http://USER:PASSWORD@host"),
        ("/digest", "it asks for a user and a password (401 Unauthorized)"),
        ("/page", "what comes is a web page, no stream: name the address of the stream in it"),
        ("/text", "what comes is text/plain, no stream"),
        ("/nothing", "its server answers, but sends nothing"),
        ("/lf", "no frame comes: it sends parts (multipart), but FFmpeg finds no picture in them"),
    ],
)
def test_a_stream_that_gives_nothing_says_why(path: str, line: str) -> None:
    with stream_server() as server:
        said = cause(f"{server.address}{path}?token=secret")
    assert line in said
    assert "secret" not in said
    assert "0x0" not in said


@pytest.mark.parametrize("path", ["/basic", "/digest"])
def test_a_password_is_right_or_refused(path: str) -> None:
    with stream_server(frames=3) as server:
        login = server.address.replace("://", "://me:pa%40ss@")
        with VideoSource(f"{login}{path}") as source:
            assert drain(source)[0] > 0
        said = cause(f"{server.address.replace('://', '://me:secret@')}{path}")
    assert "it refuses this user and password (401 Unauthorized): check them" in said
    assert "secret" not in said


@pytest.mark.parametrize("path", ["/basic", "/digest"])
def test_a_wrong_password_is_tried_once_since_cameras_count(path: str) -> None:
    with stream_server() as server:
        url = StreamUrl.parse(f"{server.address.replace('://', '://me:wrong@')}{path}")
        client = HttpClient(url, timeout_s=3)
        for count in (2, 4):  # the first is one without
            with pytest.raises(urllib.error.HTTPError):
                client.ask()
            assert len(server.requests) == count


@pytest.mark.parametrize(
    ("address", "line"),
    [
        ("http://127.0.0.1:9/camera", "nothing listens there (connection refused): check address and port"),
        ("https://127.0.0.1:9/camera", "nothing listens there (connection refused): check address and port"),
        ("http://no-such-host.invalid/camera", "this host is not known: check its name"),
        ("rtsp://no-such-host.invalid/camera", "this host is not known: check its name"),
        ("http:///camera", "there is no host in it"),
        ("rtmp://127.0.0.1:9/live/camera", "nothing listens there"),
        ("nonsense://127.0.0.1/camera", "FFmpeg knows no nonsense://"),
    ],
)
def test_a_server_that_is_not_there(address: str, line: str) -> None:
    assert line in cause(address)


def test_a_server_of_another_kind() -> None:
    with stream_server() as server:
        assert "no RTSP server" in cause(f"rtsp://127.0.0.1:{server.port}/camera")
        assert "gives no such stream" in cause(f"rtmp://127.0.0.1:{server.port}/live/camera")
        assert "it speaks no TLS there: try http://" in cause(f"https://127.0.0.1:{server.port}/camera")
    with rtsp_server({"": "404 Not Found\r\n\r\n"}) as port:
        assert "no HTTP server" in cause(f"http://127.0.0.1:{port}/camera")


def test_a_proxy_that_is_not_there_is_named_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://me:secret@127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    said = cause("http://camera.invalid/camera")
    assert "through the proxy http://127.0.0.1:9 (http_proxy): nothing listens there" in said
    assert "secret" not in said


def test_a_proxy_that_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    with stream_server() as proxy:
        monkeypatch.setenv("http_proxy", proxy.address)
        assert "the proxy asks for a user and a password (407" in cause("http://camera.invalid/status/407")
        said = cause("http://camera.invalid/status/502")
    assert f"through the proxy {proxy.address} (http_proxy): its server fails (502 Bad Gateway)" in said


def test_an_mp4_behind_a_server_that_gives_no_ranges(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (10, 240, 320, 3), np.uint8)
    writer = cv2.VideoWriter(str(tmp_path / "end.mp4"), cv2.VideoWriter.fourcc(*"mp4v"), 25.0, (320, 240))
    for image in noise:  # more than FFmpeg holds in its buffer, in which it can move about
        writer.write(image)
    writer.release()
    with stream_server(file=tmp_path / "end.mp4") as server:
        said = cause(f"{server.address}/file")
    assert "its index is at the end, and its server gives no ranges (parts of a file): copy it here" in said


_SOUND = "v=0\r\nm=audio 0 RTP/AVP 0\r\n"
_CHALLENGE = '401 Unauthorized\r\nWWW-Authenticate: Digest realm="camera", nonce="n"\r\n\r\n'
_BASIC = '401 Unauthorized\r\nWWW-Authenticate: Basic realm="camera"\r\n\r\n'


@pytest.mark.parametrize(
    ("answers", "line"),
    [
        ({"": "404 Not Found\r\n\r\n"}, "nothing at this path (404 Not Found)"),
        ({"": _CHALLENGE, "Digest": _CHALLENGE}, "refuses this user and password (401 Unauthorized)"),
        ({"": _CHALLENGE, "Digest": "404 Stream Not Found\r\n\r\n"}, "nothing at this path (404 Stream Not Found)"),
        ({"": _BASIC, "Basic": "453 Not Enough Bandwidth\r\n\r\n"}, "busy (453 Not Enough Bandwidth)"),
        (
            {"": f"200 OK\r\nContent-Type: application/sdp\r\nContent-Length: {len(_SOUND)}\r\n\r\n{_SOUND}"},
            "a stream without pictures",
        ),
    ],
)
def test_an_rtsp_server_is_asked_why(answers: dict[str, str], line: str) -> None:
    with rtsp_server(answers) as port:
        said = cause(f"rtsp://me:secret@127.0.0.1:{port}/camera")
    assert line in said
    assert "secret" not in said
    assert f"rtsp://127.0.0.1:{port}/camera" in said
