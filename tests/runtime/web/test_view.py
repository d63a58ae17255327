"""What the server answers while a run goes on."""

from __future__ import annotations

import json
import math
import socket
import struct
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from stn_rectify.runtime import (
    CapturedFrame,
    MissRule,
    Pipeline,
    Processed,
    Rectification,
    Rectifier,
    StnRectifyError,
    UsageError,
)
from stn_rectify.runtime.web import WebView, live_state, server_thread
from tests.waiting import DEADLINE_S, wait_for

LINE_KEYS = {"source", "frame", "timestamp", "corners", "score", "label", "label_score", "latency_ms"}


def test_the_page_needs_nothing_from_elsewhere(run: Any) -> None:
    status, response, page = run.request("/")
    assert status == 200
    assert "default-src 'none'" in response.headers["Content-Security-Policy"]
    assert "http" not in page
    for file in ("/page.css", "/page.js", "/pictures.js", "/readings.js", "/settings.js", "/icon.svg", "/sign_in.js"):
        assert f'"{file}"' in page or file == "/sign_in.js"
        assert run.request(file)[0] == 200


@pytest.mark.parametrize(
    "path", ["/..", "/page/index.html", "/%2e%2e/%2e%2e/etc/passwd", "/page.css/../view.py", "/api"]
)
def test_no_path_leads_to_files(run: Any, path: str) -> None:
    assert run.request(path)[0] == 404


def test_latest_is_the_json_line(run: Any) -> None:
    first = json.loads(run.request("/api/latest")[2])
    assert set(first) == LINE_KEYS
    assert np.shape(first["corners"]) == (4, 2)
    run.wait_for(lambda state: state["latest"]["frame"] > first["frame"])
    assert json.loads(run.request("/api/latest")[2])["frame"] > first["frame"]


def test_state_names_source_and_model_and_counts(run: Any) -> None:
    state = run.wait_for(lambda state: state["stats"]["frames"] >= 10)
    assert (state["source"], state["model"], state["models"]) == ("camera 0: a synthesised one", "fast", ["fast"])
    assert state["frame_size"] == [320, 240]
    stats = state["stats"]
    assert 0 < stats["latency_p50_ms"] <= stats["latency_p99_ms"]
    assert stats["frames_per_s"] > 0
    assert stats["dropped"] == stats["reconnections"] == stats["misses"] == 0


def test_a_request_that_does_not_arrive_in_full_is_dropped(start_run: Any) -> None:
    with start_run(stalled_s=0.5) as run, socket.create_connection(("127.0.0.1", run.port), DEADLINE_S) as client:
        client.sendall(
            b"POST /api/snapshot HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            b"Content-Length: 10\r\n\r\n{"
        )
        assert client.recv(12) == b"HTTP/1.1 408"


@pytest.mark.parametrize(
    "request_",
    [
        b"POST /api/saving HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Content-Length: 99\r\n\r\n{",
        b"POST /api/saving HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Transfer-Encoding: chunked\r\n\r\nno number\r\n",
        b"POST /api/saving HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json; charset=none\r\n"
        b"Content-Length: 2\r\n\r\n{}",
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n" * 20,
        b"GET /stream HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n\x81\x80\0\0\0\0",
        b"\x16\x03\x01\x02\x00\x01",
    ],
    ids=["half a body", "no chunks", "no charset", "answers not read", "a stream left", "TLS"],
)
def test_requests_that_are_broken_off_are_no_news(run: Any, caplog: pytest.LogCaptureFixture, request_: bytes) -> None:
    for _ in range(5):
        with socket.create_connection(("127.0.0.1", run.port), DEADLINE_S) as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # an end by RST
            client.sendall(request_)
            run.state()  # it has been read
    for _ in range(5):
        run.state()
    assert [record.getMessage() for record in caplog.records] == []


def test_a_defect_of_the_loop_is_one_line(caplog: pytest.LogCaptureFixture) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = server_thread.ServerThread(aiohttp.web.Application, listening)
        server.start()
        for _ in range(3):
            context = {"message": "no more sockets", "exception": OSError(24, "Too many open files")}
            server._loop.call_soon_threadsafe(server._loop.call_exception_handler, context)
        server.close()
    assert [record.getMessage() for record in caplog.records] == [
        "web view: no more sockets: OSError(24, 'Too many open files')"
    ]
    assert caplog.records[0].exc_info is None


def test_health(start_run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with start_run(is_paused=True) as run:
        status, _, text = run.request("/healthz")
        assert (status, text) == (503, "no frame yet\n")
        run.source.is_paused = False
        run.wait_for(lambda state: state["stats"]["frames"] > 0)
        status, _, text = run.request("/healthz")
        assert (status, text) == (200, "ok\n")
        run.pause()
        monkeypatch.setattr(live_state, "_HEALTHY_S", 0.3)
        wait_for("the run to be ill", lambda: run.request("/healthz")[0] == 503)
        assert run.request("/healthz")[2].startswith("no frame for ")


def test_metrics(run: Any) -> None:
    run.pause()
    frames = run.state()["stats"]["frames"]
    status, response, text = run.request("/metrics")
    assert status == 200
    assert response.headers["Content-Type"].startswith("text/plain; version=")
    samples = {
        (sample.name, sample.labels.get("le")): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    assert samples["stn_rectify_frames_total", None] == frames
    assert samples["stn_rectify_latency_seconds_count", None] == frames
    assert samples["stn_rectify_latency_seconds_bucket", "5.0"] == frames
    assert 0 < samples["stn_rectify_latency_seconds_sum", None] < frames * 5
    assert 0 < samples["stn_rectify_score", None] <= 1
    wait_for("the machine's state", lambda: "\nstn_rectify_disk_free_bytes " in run.request("/metrics")[2])
    for name in ("dropped", "misses", "failed", "reconnections"):
        assert samples[f"stn_rectify_{name}_total", None] == 0


def test_twenty_views_after_one_another_leave_nothing_open(start_run: Any) -> None:
    with start_run() as run:
        port = run.port
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(20):
        with start_run(address=str(port)) as run:
            assert run.request("/healthz")[0] in (200, 503)
    assert len(list(Path("/proc/self/fd").iterdir())) <= before + 2


def test_a_port_in_use_is_one_line(start_run: Any) -> None:
    with start_run() as run, pytest.raises(StnRectifyError, match=f"127.0.0.1:{run.port}: Address already in use"):
        WebView(Pipeline(Rectifier("fast")), run.source, str(run.port))


@pytest.mark.parametrize("address", ["[::1]:0", "localhost:0", "127.0.0.1:0"])
def test_addresses_of_this_machine(start_run: Any, address: str) -> None:
    if "::" in address and not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    with start_run(address=address) as run:
        host = run.view.url.removeprefix("http://").rpartition(":")[0].strip("[]")
        with socket.create_connection((host, run.port), DEADLINE_S) as client:
            client.sendall(f"GET /healthz HTTP/1.0\r\nHost: {address.rpartition(':')[0]}\r\n\r\n".encode())
            assert client.recv(12)[:8] == b"HTTP/1.0"


@pytest.mark.parametrize("address", ["0.0.0.0:0", "[::]:0"])
def test_other_addresses_need_a_token(start_run: Any, address: str) -> None:
    with pytest.raises(UsageError, match="give a token"), start_run(address=address):
        pass
    with start_run(address=address, token="long enough".replace(" ", "-")) as run:
        assert run.request("/healthz")[0] in (200, 503)


@pytest.mark.parametrize(
    "address", ["", "web", "8080:", ":8080", "70000", "::1:80", "[::1]", "a b:80", "/tmp:80", "-1"]
)
def test_no_address(start_run: Any, address: str) -> None:
    with pytest.raises(UsageError, match="HOST"), start_run(address=address):
        pass


@pytest.mark.parametrize("token", ["", "short", "with a space", "tränen-überall", "new\nlines-in-it"])
def test_no_token(start_run: Any, token: str) -> None:
    with pytest.raises(UsageError, match="8 characters"), start_run(token=token):
        pass


def test_without_the_extra_it_says_what_to_install(start_run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("access", "application", "server_thread"):
        monkeypatch.delitem(sys.modules, f"stn_rectify.runtime.web.{name}", raising=False)
    monkeypatch.setitem(sys.modules, "aiohttp", None)
    with pytest.raises(StnRectifyError, match=r"-m pip install .*\[web\]'?$"), start_run():
        pass


def test_the_rate_falls_where_no_frame_comes(run: Any) -> None:
    rate = run.wait_for(lambda state: state["stats"]["frames"] >= 10)["stats"]["frames_per_s"]
    run.source.is_paused = True
    run.wait_for(lambda state: state["stats"]["frames_per_s"] < rate / 2)
    assert not math.isnan(rate)


def several_targets() -> Processed:
    """A frame with three targets, the first two of them followed."""
    corners = np.array([[20, 20], [90, 24], [88, 70], [22, 68]], np.float64)
    targets = tuple(
        Rectification(
            np.full((40, 60, 3), 80 * n, np.uint8),
            np.add(corners, (90 * n, 60 * n)),
            np.eye(3),
            0.9 - n / 4,
            3.0,
            f"text {n}" if n < 2 else None,
            0.5,
            track=(7, 4, None)[n],
        )
        for n in range(3)
    )
    frame = CapturedFrame("/dev/video0", 5, time.time(), np.full((240, 320, 3), 60, np.uint8))
    return Processed(frame, targets[0], False, targets, MissRule(0.3))


def test_all_targets_are_in_the_numbers_where_several_are_looked_for(start_run: Any) -> None:
    with start_run(max_targets=3, is_paused=True) as run:
        run.view.show(several_targets())
        state, latest = run.state(), json.loads(run.request("/api/latest")[2])
        assert state["latest"] == latest
        assert set(latest) == {*LINE_KEYS, "track", "targets"}
        assert [(one["track"], one["label"]) for one in latest["targets"]] == [
            (7, "text 0"),
            (4, "text 1"),
            (None, None),
        ]
        assert state["found"] is True
        assert state["stats"]["targets"] == 3
        families = {family.name: family for family in text_string_to_metric_families(run.request("/metrics")[2])}
        assert families["stn_rectify_targets"].samples[0].value == 3


def test_what_counts_as_found_goes_by_the_rule_that_the_frame_had(start_run: Any) -> None:
    with start_run(is_paused=True) as run:
        done = several_targets()
        run.view.show(replace(done, result=done.targets[2]))  # a score of 0.4
        assert run.state()["found"] is True
        run.view.show(replace(done, result=done.targets[2], rule=MissRule()))
        assert run.state()["found"] is False
