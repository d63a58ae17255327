from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from stn_rectify.runtime import CapturedFrame, FrameSource, SourceError, VideoSource, open_video
from tests.runtime.sources.frame_sources import drain, write_video
from tests.runtime.sources.stream_server import stream_server
from tests.waiting import DEADLINE_S, wait_for


def take(source: FrameSource, last_index: int) -> list[CapturedFrame]:
    frames = []
    for frame in source:
        frames.append(frame)
        if frame.index >= last_index:
            break
    return frames


def test_a_stream_nobody_serves_hides_the_password() -> None:
    with pytest.raises(SourceError, match=r"nothing listens there \(connection refused\)") as caught:
        VideoSource("rtsp://admin:secret@127.0.0.1:9/stream")
    assert "secret" not in str(caught.value)
    assert "rtsp://127.0.0.1:9/stream" in str(caught.value)


@pytest.mark.parametrize(
    "login", ["user:secret@", "user:se@secret@", "user:se/secret@", "user:se?secret@", "user:se#secret@"]
)
@pytest.mark.parametrize("query", ["", "?user=admin&password=secret", "?secret"])
def test_no_part_of_a_password_is_in_a_name(login: str, query: str) -> None:
    with pytest.raises(SourceError) as caught:
        VideoSource(f"http://{login}127.0.0.1:9/camera{query}", timeout_s=0.5)
    assert "secret" not in str(caught.value)
    assert "http://127.0.0.1:9/camera" in str(caught.value)


def test_a_stream_without_a_length_is_live() -> None:
    with stream_server() as server, VideoSource(f"{server.address}/camera?token=secret") as source:
        frames = take(source, 20)
    assert source.is_live
    assert all(frame.is_live for frame in frames)
    assert source.description.endswith("/camera?...: 64x48")  # its pictures tell no rate
    assert source.framerate is None
    assert len(frames) + source.dropped >= 20
    assert {frame.position_s for frame in frames} == {None}
    assert server.requests == ["/camera?token=secret"]
    assert "secret" not in source.description + frames[0].source


def test_a_pdf_behind_an_address_is_no_video(tmp_path: Path) -> None:
    """FFmpeg would take its first picture for one, again and again. Nobody is asked about other names."""
    Image.new("RGB", (64, 48)).save(tmp_path / "scan.pdf")
    with stream_server(file=tmp_path / "scan.pdf") as server:
        with pytest.raises(SourceError, match=r"cannot read http://.*/file\.PDF\?\.\.\.: it is a PDF: pdftoppm"):
            VideoSource(f"{server.address}/file.PDF?token=secret")
        server.requests.clear()
        with VideoSource(f"{server.address}/camera?name=a.pdf"):
            assert server.requests == ["/camera?name=a.pdf"]


def test_a_file_behind_an_address_is_not_live_and_gives_every_frame(tmp_path: Path) -> None:
    with stream_server(file=write_video(tmp_path / "clip.avi", 30)) as server:
        with VideoSource(f"{server.address}/file") as source:
            assert not source.is_live
            assert drain(source) == (30, None)
        assert source.dropped == 0
        assert drain(open_video(f"{server.address}/file")) == (30, None)


def test_a_stream_that_stalls_is_an_error_not_a_hang() -> None:
    with (
        stream_server(frames=20, then="hang") as server,
        VideoSource(f"{server.address}/camera", timeout_s=1) as source,
    ):
        received, error = drain(source)
    assert received >= 1
    assert "no frame for 1 s" in str(error)
    wait_for("FFmpeg's own limit to get the thread out of it", lambda: not source.is_stuck)


def test_a_server_that_never_sends_anything_is_an_error_not_a_hang() -> None:
    with stream_server(frames=0, then="hang") as server, pytest.raises(SourceError, match="but sends nothing"):
        VideoSource(f"{server.address}/camera", timeout_s=0.5)


def test_a_stream_that_dies_and_returns_goes_on() -> None:
    events: list[str] = []
    with stream_server(frames=10) as server:
        source = open_video(f"{server.address}/camera", on_event=events.append)
        frames: Iterator[CapturedFrame] = iter(source)
        first = [next(frames).index]
        port = server.port
    with stream_server(port), source:
        for frame in frames:
            first.append(frame.index)
            if source.reconnections and len(first) > 5:
                break
    assert first == sorted(set(first))
    assert source.reconnections == 1
    assert "ended after" in events[0]
    assert events[-1].startswith("back after ")


def test_without_reconnecting_a_stream_that_ends_is_an_error() -> None:
    with stream_server(frames=10) as server, open_video(f"{server.address}/camera", reconnect=False) as source:
        received, error = drain(source)
    assert received >= 1
    assert "ended after 10 frames" in str(error)


def test_it_is_back_only_when_a_frame_comes() -> None:
    events: list[str] = []
    with stream_server(frames=5) as server:
        source = open_video(f"{server.address}/camera", on_event=events.append)
        frames = iter(source)
        next(frames)

    def read_on() -> None:
        for _ in frames:
            if source.reconnections:
                return

    reader = threading.Thread(target=read_on, daemon=True)
    with stream_server(server.port, frames=0):
        reader.start()
        wait_for("a try in vain", lambda: "sends nothing" in events[-1] if events else False, told=lambda: events)
    assert not any(event.startswith("back") for event in events)
    with stream_server(server.port), source:
        reader.join(DEADLINE_S)
    assert events[-1].startswith("back after ")
    assert events[-1].endswith("/camera: 64x48")
