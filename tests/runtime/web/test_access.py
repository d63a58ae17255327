"""Who may see the view and press its buttons."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from stn_rectify.runtime.web import access as wrong_tokens
from stn_rectify.runtime.web.access import WrongTokens

TOKEN = "correct-horse"
UPGRADE = {
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec_WebSocket_Version": "13",
    "Sec_WebSocket_Key": "AAAAAAAAAAAAAAAAAAAAAA==",
}


@pytest.fixture(scope="module")
def open_run(start_run: Any) -> Iterator[Any]:
    with start_run() as run:
        yield run


@pytest.fixture(scope="module")
def token_run(start_run: Any) -> Iterator[Any]:
    with start_run(token=TOKEN) as run:
        yield run


@pytest.mark.parametrize("host", ["localhost", "localhost:8080", "127.0.0.1:1", "127.9.9.9", "[::1]:8080"])
def test_names_of_this_machine(open_run: Any, host: str) -> None:
    assert open_run.request("/api/state", Host=host)[0] == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8080", "192.168.1.5", "localhost.evil.example", "[", ""]
)
def test_other_names_are_refused_where_there_is_no_token(open_run: Any, host: str) -> None:
    """Or a page elsewhere could have its own name lead here (DNS rebinding)."""
    for path in ("/", "/api/state", "/healthz", "/metrics", "/nothing"):
        assert open_run.request(path, Host=host)[0] in (400, 403)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        pytest.param({}, 409, id="a program"),  # 409: nothing can be saved in this run
        pytest.param({"Origin": "http://127.0.0.1:{port}", "Sec_Fetch_Site": "same-origin"}, 409, id="our page"),
        pytest.param({"Origin": "http://127.0.0.1:{port}"}, 409, id="our page on plain HTTP"),
        pytest.param({"Origin": "http://evil.example"}, 403, id="another page"),
        pytest.param({"Origin": "http://127.0.0.1:1"}, 403, id="another port"),
        pytest.param({"Origin": "null"}, 403, id="a sandboxed page"),
        pytest.param({"Origin": "http://["}, 403, id="broken"),
        pytest.param({"Sec_Fetch_Site": "cross-site"}, 403, id="another site"),
        pytest.param({"Sec_Fetch_Site": "same-site"}, 403, id="another port of this site"),
        pytest.param({"Content_Type": "application/x-www-form-urlencoded"}, 415, id="a form"),
        pytest.param({"Content_Type": "text/plain"}, 415, id="a form's text"),
    ],
)
def test_what_presses_a_button(open_run: Any, headers: dict[str, str], status: int) -> None:
    given = {name: value.format(port=open_run.port) for name, value in headers.items()}
    assert open_run.post("/api/snapshot", **given)[0] == status
    setting = open_run.post("/api/settings", '{"margin": 0}', **given)[0]
    assert setting == (202 if status == 409 else status)


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:1"])
def test_another_pages_script_cannot_open_the_stream(open_run: Any, origin: str) -> None:
    assert open_run.request("/stream", Origin=origin, **UPGRADE)[0] == 403


@pytest.mark.parametrize(
    "path",
    [
        *("/", "/page.js", "/stream", "/api/latest", "/api/state", "/metrics", "/nothing"),
        *("/api/readings", "/api/readings/1.jpg", "/api/readings/1.png", "/settings.js"),
    ],
)
def test_without_the_token_nothing_is_shown(token_run: Any, path: str) -> None:
    status, response, text = token_run.request(path)
    assert status == 401
    assert response.headers["WWW-Authenticate"] == "Bearer"
    assert set(json.loads(text)) == {"error"}


@pytest.mark.parametrize("path", ["/api/saving", "/api/snapshot", "/api/model", "/api/settings"])
def test_without_the_token_nothing_is_done(token_run: Any, path: str) -> None:
    assert token_run.post(path)[0] == 401


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "Bearer wrong-horse"},
        {"Authorization": f"Bearer {TOKEN}x"},
        {"Authorization": "Bearer"},
        {"Authorization": "Basic Y29ycmVjdC1ob3JzZQ=="},
        {"Authorization": "Bearer \xe4\xf6"},
        {"Cookie": f"stn_rectify_0={TOKEN}"},
        {"Cookie": "stn_rectify_{port}="},
        {"Cookie": "stn_rectify_{port}=\xff\xfe"},
        {"Cookie": f"stn_rectify_{{port}}={TOKEN}"},
    ],
)
def test_a_wrong_token_is_refused(token_run: Any, headers: dict[str, str]) -> None:
    given = {name: value.format(port=token_run.port) for name, value in headers.items()}
    assert token_run.request("/api/state", **given)[0] == 401


def test_browsers_get_a_page_that_asks_for_the_token(token_run: Any) -> None:
    for path in ("/", "/?token=wrong-horse", "/?token=", "/?token=%ff", "/?token=%ed%a0%80", "/?token=t%C3%A4"):
        status, _, text = token_run.request(path, Accept="text/html,*/*")
        assert (status, "<form" in text) == (401, True)
    assert token_run.request("/sign_in.js")[0] == 200


def test_the_token_in_the_address_becomes_a_cookie_and_leaves_the_address(token_run: Any) -> None:
    status, response, _ = token_run.request(f"/?token={TOKEN}")
    assert (status, response.headers["Location"]) == (303, "/")
    cookie, *flags = response.headers["Set-Cookie"].split("; ")
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= set(flags)
    assert TOKEN not in cookie
    assert token_run.request("/", Cookie=cookie)[0] == 200
    assert token_run.post("/api/snapshot", Cookie=cookie, Origin=f"http://127.0.0.1:{token_run.port}")[0] == 409
    assert token_run.post("/api/snapshot", Cookie=cookie, Origin="http://evil.example")[0] == 403


def test_the_cookie_outlives_the_server(start_run: Any, token_run: Any) -> None:
    with start_run(token=TOKEN) as first:
        port = first.port
        cookie = first.request(f"/?token={TOKEN}")[1].headers["Set-Cookie"].partition(";")[0]
    with start_run(token=TOKEN, address=str(port)) as second:
        assert second.request("/api/state", Cookie=cookie)[0] == 200
    with start_run(token="another-horse", address=str(port)) as third:
        assert third.request("/api/state", Cookie=cookie)[0] == 401


def test_the_token_in_other_places_is_not_taken(token_run: Any) -> None:
    assert token_run.request(f"/api/state?token={TOKEN}")[0] == 401
    assert token_run.request(f"/?token={TOKEN}", "POST", "{}", Content_Type="application/json")[0] == 401


def test_programs_give_the_token_as_bearer(token_run: Any) -> None:
    assert token_run.request("/metrics", Authorization=f"Bearer {TOKEN}")[0] == 200
    assert token_run.request("/api/state", Authorization=f"bearer {TOKEN}", Host="pi.example")[0] == 200
    assert token_run.post("/api/snapshot", Authorization=f"Bearer {TOKEN}")[0] == 409


def guesses(port: int) -> list[tuple[str, dict[str, str]]]:
    """Twenty-one different ones, in each of the ways in which a token is given."""
    cookie = f"stn_rectify_{port}"
    return [
        request
        for number in range(7)
        for request in (
            ("/api/state", {"Authorization": f"Bearer wrong-horse-{number}"}),
            (f"/?token=wrong-pony-{number}", {}),
            ("/api/state", {"Cookie": f"{cookie}=wrong-cookie-{number}"}),
        )
    ]


def test_who_guesses_has_to_wait_and_the_log_says_so(
    start_run: Any, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    with start_run(token=TOKEN) as run:
        cookie = run.request(f"/?token={TOKEN}")[1].headers["Set-Cookie"].partition(";")[0]
        for path, headers in guesses(run.port)[:20]:
            assert run.request(path, **headers)[0] == 401
        for path, headers in (
            ("/api/state", {"Authorization": f"Bearer {TOKEN}"}),
            (f"/?token={TOKEN}", {}),
            ("/api/state", {"Cookie": cookie}),  # or cookies could be guessed meanwhile
        ):
            status, response, text = run.request(path, **headers)
            assert (status, "too many wrong tokens" in text) == (429, True)
            assert 50 <= int(response.headers["Retry-After"]) <= 60
        assert run.request("/", Accept="text/html", Cookie=cookie)[2].startswith("too many")
        assert run.request("/")[0] == 401  # no guess
        monkeypatch.setattr(wrong_tokens, "_WINDOW_S", 0.0)
        assert run.request("/api/state", Authorization=f"Bearer {TOKEN}")[0] == 200
    lines = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert lines == [
        "web view: wrong token from 127.0.0.1",
        "web view: 20 wrong tokens from 127.0.0.1 within a minute: it has to wait",
    ]


def test_an_old_token_may_be_given_for_ever(start_run: Any) -> None:
    with start_run(token=TOKEN) as run:
        for path, headers in guesses(run.port)[:3] * 20:
            assert run.request(path, **headers)[0] == 401
        assert run.request("/api/state", Authorization=f"Bearer {TOKEN}")[0] == 200


def test_a_cookie_lets_in_whatever_else_is_given(token_run: Any) -> None:
    cookie = token_run.request(f"/?token={TOKEN}")[1].headers["Set-Cookie"].partition(";")[0]
    status, response, _ = token_run.request("/?token=wrong-horse", Cookie=cookie)
    assert (status, response.headers["Location"]) == (303, "/")
    assert token_run.request("/api/state", Cookie=cookie, Authorization="Bearer")[0] == 200


def test_the_wait_ends_a_minute_after_the_first_wrong_token(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    now = [1000.0]
    monkeypatch.setattr(wrong_tokens.time, "monotonic", lambda: now[0])
    counted = WrongTokens()
    for number in range(20):
        assert counted.wait_s("192.0.2.1") == 0
        counted.add("192.0.2.1", str(number))
        now[0] += 2
    assert counted.wait_s("192.0.2.1") == 20
    now[0] += 20
    assert counted.wait_s("192.0.2.1") == 0
    counted.add("192.0.2.1", "another")
    assert counted.wait_s("192.0.2.1") == 0
    assert len(caplog.records) == 3


def test_wrong_tokens_are_counted_by_network_and_for_a_limited_number_of_them() -> None:
    counted = WrongTokens()
    for number in range(20):
        counted.add(f"2001:db8::{number:x}", str(number))
        counted.add("::ffff:192.0.2.1" if number % 2 else "192.0.2.1", str(number))
    assert counted.wait_s("2001:db8::ffff") > 0
    assert counted.wait_s("192.0.2.1") > 0
    assert counted.wait_s("2001:db8:0:1::1") == counted.wait_s("::ffff:192.0.2.2") == counted.wait_s(None) == 0
    for number in range(1024):
        counted.add(f"10.0.{number >> 8}.{number & 255}", "wrong")
    assert counted.wait_s("2001:db8::ffff") == 0


def test_probes_need_no_token(token_run: Any) -> None:
    status, _, text = token_run.request("/healthz", Host="pi.example")
    assert status in (200, 503)
    assert text in ("ok\n", "no frame yet\n")
