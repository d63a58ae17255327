"""``stn-rectify health``: a run that is well, one that is not, and others that answer or do not."""

from __future__ import annotations

import http.server
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from stn_rectify.runtime import Pipeline, Rectifier, open_source
from stn_rectify.runtime.command.cli import main
from stn_rectify.runtime.sources.by_name import DEMO_IMAGE
from stn_rectify.runtime.web import WebView
from tests.runtime.certificates import MakeFiles

pytest.importorskip("aiohttp", reason="the extra web is not installed")


@pytest.fixture(scope="module")
def rectifier() -> Iterator[Rectifier]:
    with Rectifier("fast") as opened:
        yield opened


@contextmanager
def view(rectifier: Rectifier, *, frames: int = 1, **options: object) -> Iterator[WebView]:
    """A view that has been shown so many frames."""
    pipeline = Pipeline(rectifier)
    with open_source(DEMO_IMAGE) as source, WebView(pipeline, source, **options) as opened:  # type: ignore[arg-type]
        for frame in list(source) * frames:
            opened.show(pipeline.process(frame))
        yield opened


def port_of(opened: WebView) -> str:
    return opened.url.rstrip("/").rpartition(":")[2]


def test_a_run_that_is_well(rectifier: Rectifier, capsys: pytest.CaptureFixture[str]) -> None:
    with view(rectifier) as opened:
        port = port_of(opened)
        for address in (port, f"localhost:{port}", opened.url, f"{opened.url}healthz"):
            assert main(["health", address]) == 0
            assert capsys.readouterr().out == "ok\n"


def test_a_run_that_listens_everywhere_is_asked_here_and_wants_no_token(
    rectifier: Rectifier, capsys: pytest.CaptureFixture[str]
) -> None:
    with view(rectifier, address="0.0.0.0:0", token="correct-horse") as opened:
        assert main(["health", f"0.0.0.0:{port_of(opened)}"]) == 0
    assert capsys.readouterr().out == "ok\n"


def test_a_run_that_is_not_well(rectifier: Rectifier, capsys: pytest.CaptureFixture[str]) -> None:
    with view(rectifier, frames=0) as opened:
        assert main(["health", port_of(opened)]) == 1
        assert capsys.readouterr().out == "no frame yet\n"
        opened.say_all_done()
        assert main(["health", port_of(opened)]) == 1
        assert capsys.readouterr().out == "all frames are done\n"


def test_under_tls(rectifier: Rectifier, capsys: pytest.CaptureFixture[str], make_files: MakeFiles) -> None:
    """The certificate has the name by which others know this machine."""
    files = make_files(name="pi.local", extension="subjectAltName=DNS:pi.local")
    with view(rectifier, **files.options) as opened:
        for address in (opened.url, port_of(opened)):
            assert main(["health", address]) == 0
            assert capsys.readouterr().out == "ok\n"
        assert main(["health", opened.url.replace("https", "http")]) == 1
        assert "write https:// in front of its address" in capsys.readouterr().out


def test_nobody_answers(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    assert main(["health", str(port)]) == 1
    assert capsys.readouterr().err == (
        f"stn-rectify: error: no answer from http://127.0.0.1:{port}/healthz: Connection refused; is that where a run "
        "serves (--serve)?\n"
    )


def test_one_that_hangs_is_not_waited_for(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        assert main(["health", str(port), "--timeout", "0.2"]) == 1
    assert "within 0.2 s: that run hangs" in capsys.readouterr().err


class _Other(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""


def test_another_server_is_not_taken_for_a_run(capsys: pytest.CaptureFixture[str]) -> None:
    with http.server.HTTPServer(("127.0.0.1", 0), _Other) as server:
        threading.Thread(target=server.handle_request).start()
        assert main(["health", str(server.server_port)]) == 1
    assert "is no stn-rectify" in capsys.readouterr().err


@pytest.mark.parametrize("word", ["web", "ftp://127.0.0.1/", "http://:8080/", "http://127.0.0.1:8080/other", "99999"])
def test_what_is_no_address(capsys: pytest.CaptureFixture[str], word: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["health", word])
    assert ended.value.code == 2
    assert "is no address to ask: give [HOST:]PORT" in capsys.readouterr().err
