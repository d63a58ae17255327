from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from stn_rectify.runtime import SourceError, UsageError, VideoSource, open_video
from tests.runtime.sources.frame_sources import write_video
from tests.runtime.sources.stream_server import stream_server

_PATHS = ["/snapshot", "/snapshot-without-length", "/snapshot-unnamed"]


@pytest.mark.parametrize("path", _PATHS)
def test_an_address_of_single_pictures_is_asked_again_and_again(path: str) -> None:
    with stream_server() as server, open_video(f"{server.address}{path}?token=secret", framerate=50) as source:
        frames = list(itertools.islice(source, 4))
    assert source.description.endswith(f"{path}?...: 64x48 at 50 frames/s, one picture after the other")
    assert source.is_live
    assert source.framerate == 50
    levels = [round(float(frame.image.mean())) for frame in frames]
    assert levels == sorted(set(levels))  # each is a new one
    assert [frame.index for frame in frames] == sorted({frame.index for frame in frames})


@pytest.mark.parametrize("path", _PATHS)
def test_nobody_need_say_that_it_is_one(path: str) -> None:
    events: list[str] = []
    with stream_server() as server, open_video(f"{server.address}{path}", on_event=events.append) as source:
        assert "25 frames/s" not in source.description  # which FFmpeg makes up
        assert len(list(itertools.islice(source, 3))) == 3
        assert source.is_live
    assert events == []


def test_one_that_is_lost_comes_back() -> None:
    events: list[str] = []
    with stream_server() as server:

        def note(event: str) -> None:
            events.append(event)
            server.is_busy = False

        with open_video(f"{server.address}/snapshot", framerate=50, on_event=note) as source:
            for _ in source:
                if source.reconnections:
                    break
                server.is_busy = True
    busy = f"no picture comes from {server.address}/snapshot: its server is busy (503 Service Unavailable)"
    assert events[0].startswith(busy)
    assert events[1].startswith("back after ")
    assert len(events) == 2


def test_a_broken_picture_is_left_out_and_the_third_running_is_an_error() -> None:
    with stream_server() as server, VideoSource(f"{server.address}/snapshot", framerate=50) as source:
        frames = iter(source)
        next(frames)
        server.broken = 2
        while server.broken >= 0:
            next(frames)
        server.broken = 3
        with pytest.raises(SourceError, match=r"cannot read the image http://.*/snapshot: it is no image"):
            for _ in frames:
                pass


def test_a_frame_rate_is_for_addresses_of_single_pictures(tmp_path: Path) -> None:
    video = write_video(tmp_path / "clip.avi", 3)
    with stream_server() as server:
        for address in (f"{server.address}/camera", str(video)):
            with pytest.raises(UsageError, match=r"leave framerate \(--framerate\) out"):
                open_video(address, framerate=5)
