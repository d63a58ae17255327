"""The view under TLS: certificates, their renewal, and clients that speak something else."""

from __future__ import annotations

import http.client
import json
import signal
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from stn_rectify.runtime import StnRectifyError, UsageError
from stn_rectify.runtime.command.cli import main
from stn_rectify.runtime.web import certificate as certificates
from stn_rectify.runtime.web.certificate import ServerCertificate
from tests.runtime.certificates import Files, MakeFiles, openssl
from tests.waiting import DEADLINE_S, wait_for

TOKEN = "correct-horse"
STREAM = {
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
}


@pytest.fixture(scope="module")
def files(make_files: MakeFiles) -> Files:
    return make_files()


@pytest.fixture(scope="module")
def run(start_run: Any, files: Files) -> Iterator[Any]:
    with start_run(token=TOKEN, **files.options) as started:
        yield started


def ask(
    port: int, trusted: Path, path: str = "/api/state", method: str = "GET", **headers: str
) -> tuple[int, Any, str]:
    """Status, headers and text, from a server whose certificate is trusted by that file."""
    context = ssl.create_default_context(cafile=str(trusted))
    connection = http.client.HTTPSConnection("localhost", port, context=context, timeout=DEADLINE_S)
    try:
        body = "{}" if method == "POST" else None
        connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        response = connection.getresponse()
        return response.status, response.headers, response.read().decode() if response.status != 101 else ""
    finally:
        connection.close()


def shown_certificate(port: int) -> bytes:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection(("127.0.0.1", port), DEADLINE_S) as plain, context.wrap_socket(plain) as client:
        shown = client.getpeercert(binary_form=True)
        assert shown is not None
        return shown


def test_pages_and_stream_come_by_tls(run: Any, files: Files) -> None:
    assert run.view.url == f"https://127.0.0.1:{run.port}/"
    assert ask(run.port, files.cert)[0] == 401
    headers = {"Authorization": f"Bearer {TOKEN}"}
    assert json.loads(ask(run.port, files.cert, **headers)[2])["model"] == "fast"
    assert ask(run.port, files.cert, "/stream", **headers, **STREAM, Origin=f"https://localhost:{run.port}")[0] == 101


def test_the_cookie_is_for_tls_only(run: Any, files: Files) -> None:
    _, headers, _ = ask(run.port, files.cert, f"/?token={TOKEN}")
    cookie, *flags = headers["Set-Cookie"].split("; ")
    assert cookie.startswith(f"__Host-stn_rectify_{run.port}=")
    assert {"Secure", "HttpOnly", "SameSite=Strict", "Path=/"} <= set(flags)
    assert ask(run.port, files.cert, Cookie=cookie)[0] == 200


@pytest.mark.parametrize(("scheme", "status"), [("https", 409), ("http", 403)])
def test_a_page_of_the_same_name_without_tls_is_another_origin(
    run: Any, files: Files, scheme: str, status: int
) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}", "Content_Type": "application/json"}
    origin = f"{scheme}://localhost:{run.port}"  # 409: nothing can be saved in this run
    assert ask(run.port, files.cert, "/api/snapshot", "POST", Origin=origin, **headers)[0] == status


def test_a_proxy_may_speak_tls_for_a_server_that_does_not(start_run: Any) -> None:
    with start_run() as plain:
        assert plain.post("/api/snapshot", Origin=f"https://127.0.0.1:{plain.port}")[0] == 409


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_versions_of_tls(run: Any, version: ssl.TLSVersion) -> None:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.minimum_version = context.maximum_version = version
    with socket.create_connection(("127.0.0.1", run.port), DEADLINE_S) as plain, context.wrap_socket(plain) as client:
        assert client.version() == version.name.replace("_", ".")


@pytest.mark.parametrize("request_", [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"POST / HTTP/1.0\r\n\r\n" + b"x" * 50000])
def test_plain_http_gets_an_answer_that_says_so(run: Any, request_: bytes) -> None:
    with socket.create_connection(("127.0.0.1", run.port), DEADLINE_S) as client:
        client.sendall(request_)
        client.shutdown(socket.SHUT_WR)
        answer = b"".join(iter(lambda: client.recv(4096), b""))
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"HTTPS only" in answer


@pytest.mark.parametrize("sent", [b"\x16\x03\x01\x02\x00\x01\x00nonsense" * 9, b""])
def test_what_is_no_handshake_is_closed_and_no_news(
    run: Any, files: Files, caplog: pytest.LogCaptureFixture, sent: bytes
) -> None:
    for _ in range(3):
        with socket.create_connection(("127.0.0.1", run.port), DEADLINE_S) as client:
            client.sendall(sent)
            client.shutdown(socket.SHUT_WR)
            while client.recv(4096):  # an alert, perhaps
                pass
    assert ask(run.port, files.cert, "/healthz")[0] == 200
    assert [record.getMessage() for record in caplog.records] == []


def test_who_does_not_trust_it_is_no_news(run: Any, caplog: pytest.LogCaptureFixture, make_files: MakeFiles) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        ask(run.port, make_files().cert)
    assert [record.getMessage() for record in caplog.records] == []


def test_who_never_shakes_hands_locks_nobody_out(run: Any, files: Files) -> None:
    with ExitStack() as held:
        clients = [
            held.enter_context(socket.create_connection(("127.0.0.1", run.port), DEADLINE_S)) for _ in range(200)
        ]
        for client in clients[::2]:
            client.sendall(b"\x16\x03")
        assert ask(run.port, files.cert, "/healthz")[0] == 200
        assert clients[0].recv(1) == b""  # the oldest has made room


def test_a_reload_shows_the_new_certificate_and_a_bad_one_leaves_it(
    start_run: Any, make_files: MakeFiles, tmp_path: Path
) -> None:
    files = Files(tmp_path / "cert.pem", tmp_path / "key.pem")
    first, second = make_files(), make_files()

    def put(cert: bytes, key: bytes) -> None:
        files.cert.write_bytes(cert)
        files.key.write_bytes(key)

    put(first.cert.read_bytes(), first.key.read_bytes())
    with start_run(**files.options) as run:
        before = shown_certificate(run.port)
        assert not run.view.reload_certificate()
        put(second.cert.read_bytes(), first.key.read_bytes())
        with pytest.raises(StnRectifyError, match="is not that of the certificate"):
            run.view.reload_certificate()
        assert shown_certificate(run.port) == before
        put(second.cert.read_bytes(), second.key.read_bytes())
        assert run.view.reload_certificate()
        assert shown_certificate(run.port) == ssl.PEM_cert_to_DER_cert(second.cert.read_text())
        assert ask(run.port, second.cert)[0] == 200


def test_the_whole_chain_is_shown(start_run: Any, make_files: MakeFiles) -> None:
    root = make_files(name="root", extension="keyUsage=keyCertSign")
    between = make_files(name="between", by=root, extension="keyUsage=keyCertSign")
    own = make_files(by=between)
    own.cert.write_bytes(own.cert.read_bytes() + between.cert.read_bytes())
    with start_run(**own.options) as run:
        assert ask(run.port, root.cert)[0] == 200


def test_certificate_and_key_may_be_one_file(make_files: MakeFiles) -> None:
    files = make_files()
    files.cert.write_bytes(files.key.read_bytes() + files.cert.read_bytes())
    assert ServerCertificate(files.cert).ends_s is not None


def test_its_end_is_told_beforehand(
    start_run: Any, make_files: MakeFiles, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    files = make_files(days=90)
    with start_run(**files.options) as run:
        run_warning, ends_s = run.view._certificate.warning, run.view._certificate.ends_s
        assert run_warning() is None
        assert caplog.records == []
        metrics = ask(run.port, files.cert, "/metrics")[2]
        (line,) = [one for one in metrics.splitlines() if one.startswith("stn_rectify_certificate_expiry_")]
        assert float(line.split()[1]) == ends_s
        for after_days, told in ((-13, "expires on"), (1, "has expired on"), (-100, "is not valid before")):
            monkeypatch.setattr(certificates.time, "time", lambda days=after_days: ends_s + 86400 * days)
            assert told in run_warning()
            assert f"warning: the certificate {files.cert} {told}" in ask_whenever(run.port)
    monkeypatch.setattr(certificates.time, "time", lambda: ends_s + 1)
    ServerCertificate(files.cert, files.key)
    assert "has expired on" in caplog.records[-1].getMessage()


def ask_whenever(port: int) -> str:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    connection = http.client.HTTPSConnection("127.0.0.1", port, context=context, timeout=DEADLINE_S)
    connection.request("GET", "/healthz")
    text = connection.getresponse().read().decode()
    connection.close()
    return text


def test_a_certificate_for_something_else_is_told(make_files: MakeFiles) -> None:
    files = make_files(extension="extendedKeyUsage=clientAuth")
    assert "is not one for a server" in str(ServerCertificate(files.cert, files.key).warning())


@pytest.fixture
def broken(tmp_path: Path, files: Files, make_files: MakeFiles) -> Callable[[str], tuple[Path, Path | None]]:
    """Certificate and key of which something is wrong."""

    def make(what: str) -> tuple[Path, Path | None]:
        other = tmp_path / "other.pem"
        if what == "encrypted":
            openssl("pkey", "-in", files.key, "-aes256", "-passout", "pass:secret", "-out", other)
            return files.cert, other
        if what == "DER":
            openssl("x509", "-in", files.cert, "-outform", "DER", "-out", other)
            return other, files.key
        if what == "cut off":
            other.write_bytes(files.cert.read_bytes()[:200])
            return other, files.key
        if what == "certificate as key":
            other.write_bytes(files.cert.read_bytes())
            return files.cert, other
        cases: dict[str, tuple[Path, Path | None]] = {
            "none": (tmp_path / "none.pem", files.key),
            "no key": (files.cert, tmp_path / "none.pem"),
            "a folder": (tmp_path, files.key),
            "exchanged": (files.key, files.cert),
            "key alone": (files.key, None),
            "key twice": (files.key, files.key),
            "key of another": (files.cert, make_files().key),
            "certificate alone": (files.cert, None),
        }
        return cases[what]

    return make


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("none", "cannot read the certificate .*none.pem: No such file or directory"),
        ("no key", "cannot read the private key .*none.pem: No such file"),
        ("a folder", "cannot read the certificate .*: Is a directory"),
        ("exchanged", "key.pem is the private key and .*cert.pem the certificate: swap them"),
        ("key alone", "key.pem is a private key: give it by --tls-key, and its certificate by --tls-cert"),
        ("key twice", "key.pem is a private key: give it by --tls-key"),
        ("certificate as key", "other.pem is a certificate, no private key: give the file of its key"),
        ("certificate alone", "cert.pem holds no private key in PEM form: give the file of the key by --tls-key"),
        ("key of another", "is not that of the certificate"),
        ("encrypted", "other.pem is encrypted: openssl pkey"),
        ("DER", "other.pem holds no certificate in PEM form: openssl x509 -inform DER"),
        ("cut off", "cannot use the certificate .*other.pem"),
    ],
)
def test_files_that_cannot_be_used(
    broken: Callable[[str], tuple[Path, Path | None]], what: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    cert, key = broken(what)
    with pytest.raises(StnRectifyError, match=message):
        ServerCertificate(cert, key)
    words = [
        "--demo",
        "--model",
        "fast",
        "--serve",
        "0",
        "--tls-cert",
        cert,
        *(() if key is None else ("--tls-key", key)),
    ]
    assert main([str(word) for word in words]) == 1
    (line,) = capsys.readouterr().err.splitlines()[-1:]
    assert line.startswith("stn-rectify: error: ")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--tls-cert", "cert.pem"], "--tls-cert needs --serve: add --serve [HOST:]PORT"),
        (["--serve", "0", "--tls-key", "key.pem"], "--tls-key needs --tls-cert: add --tls-cert FILE"),
        (["--tls-key", "key.pem"], "add --tls-cert FILE, the certificate of the key and --serve [HOST:]PORT"),
        (["--serve", "0", "--tls-cert", ""], "--tls-cert is empty"),
    ],
)
def test_options_that_do_not_go_together(capsys: pytest.CaptureFixture[str], words: list[str], message: str) -> None:
    assert main(["--demo", "--model", "fast", *words]) == 2
    assert message in capsys.readouterr().err


def test_a_key_alone_is_no_use_in_an_app(start_run: Any, files: Files) -> None:
    with pytest.raises(UsageError, match="needs its certificate"), start_run(tls_key=files.key):
        pass


def test_sighup_reads_the_certificate_anew_and_goes_on(
    started: Callable[..., Any], make_files: MakeFiles, tmp_path: Path
) -> None:
    both, first, second = tmp_path / "both.pem", make_files(), make_files()
    both.write_bytes(first.cert.read_bytes() + first.key.read_bytes())
    program = started("--demo", "--model", "fast", "--serve", 0, "--tls-cert", both)
    port = int(program.url.rstrip("/").rpartition(":")[2])
    assert json.loads(ask(port, first.cert)[2])["model"] == "fast"
    both.write_bytes(second.cert.read_bytes() + second.key.read_bytes())
    program.process.send_signal(signal.SIGHUP)
    new = ssl.PEM_cert_to_DER_cert(second.cert.read_text())
    wait_for("the new certificate", lambda: shown_certificate(port) == new)
    both.write_text("nothing")
    program.process.send_signal(signal.SIGHUP)
    read = program.process.stderr.readline
    while "the certificate in use stays" not in (line := read().decode()):
        assert line, program.said
        program.said += line
    program.said += line
    assert shown_certificate(port) == new
    said = program.stop()
    assert "reload: another certificate\n" in said
    assert f"reload: {both} holds no certificate in PEM form" in said
