"""Access to the web view and its buttons: tokens are checked, wrong ones are logged and slow their sender down."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import logging
import math
import time
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.http import HttpProcessingError
from aiohttp.typedefs import Handler, Middleware

from stn_rectify.runtime.errors import UsageError
from stn_rectify.runtime.web.address import is_loopback

_LOG = logging.getLogger(__name__)
_MOST = 20
_WINDOW_S = 60.0
_MOST_ADDRESSES = 1024
_MOST_DEFECTS = 100


@dataclass(frozen=True)
class _Guesses:
    """The wrong tokens of one address, from the first on: their hashes."""

    since_s: float
    tokens: set[int] = field(default_factory=set)


class WrongTokens:
    """The different wrong tokens of a minute by the client's address, of IPv6 by its first 64 bits.

    After 20 of them an address has to wait until the minute is over. Whatever it gives then is not looked at, or the
    wait would tell what is right. The same wrong token counts once: a page or program that has an old one goes on
    giving it.
    """

    def __init__(self) -> None:
        self._guesses: dict[str, _Guesses] = {}

    def wait_s(self, address: str | None) -> float:
        """Seconds until what this address gives is looked at again; 0 for now."""
        guesses = self._of_this_minute(_network(address))
        if guesses is None or len(guesses.tokens) < _MOST:
            return 0.0
        return max(0.0, guesses.since_s + _WINDOW_S - time.monotonic())

    def add(self, address: str | None, token: str) -> None:
        """Counts one. The first of a minute, and the one after which the address waits, are in the log."""
        network = _network(address)
        guesses = self._of_this_minute(network)
        if guesses is None:
            _LOG.warning("web view: wrong token from %s", network)
            guesses = self._guesses[network] = _Guesses(time.monotonic())
            if len(self._guesses) > _MOST_ADDRESSES:
                del self._guesses[next(iter(self._guesses))]
        guesses.tokens.add(hash(token))
        if len(guesses.tokens) == _MOST:
            _LOG.warning("web view: %d wrong tokens from %s within a minute: it has to wait", _MOST, network)

    def _of_this_minute(self, network: str) -> _Guesses | None:
        guesses = self._guesses.get(network)
        if guesses is None or time.monotonic() - guesses.since_s < _WINDOW_S:
            return guesses
        del self._guesses[network]
        return None


def _network(address: str | None) -> str:
    try:
        ip_address = ipaddress.ip_address((address or "").partition("%")[0])
    except ValueError:
        return str(address)
    ip_address = getattr(ip_address, "ipv4_mapped", None) or ip_address
    if ip_address.version == 4 or ip_address.is_loopback:
        return str(ip_address)
    return str(ipaddress.ip_network((ip_address, 64), strict=False))


_SIGN_IN = Path(__file__).parent / "page" / "sign_in.html"
_COOKIE_S = 30 * 24 * 3600
_SHORTEST = 8
# For probes, and for the page that asks for the token.
_OPEN_PATHS = ("/healthz", "/page.css", "/icon.svg", "/sign_in.js")
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "Server": "stn-rectify",
    "X-Content-Type-Options": "nosniff",
}


def check_token(token: str) -> None:
    """Checks that a token can stand in an address and in a header, and is not too short.

    Raises:
        UsageError: if it cannot stand there, or is too short.
    """
    if len(token) < _SHORTEST or not (token.isascii() and token.isprintable()) or " " in token:
        raise UsageError(
            f"the token must have {_SHORTEST} characters or more, letters, digits and signs without spaces: "
            "python3 -c 'import secrets; print(secrets.token_urlsafe())' makes a good one"
        )


class Guard:
    """Looks at every request before anything else does.

    With a token, only those come in who have it: as ``?token=`` once, then as a cookie, or as ``Authorization:
    Bearer``. The cookie is an HMAC under the token: it does not tell the token, and a server that starts again
    still knows it. Who gives many wrong tokens has to wait. Without a token (on loopback only) the name in the
    address must mean this machine, or a page elsewhere could have a name of its own lead here (DNS rebinding). What
    changes something, and the stream, is refused to pages of other origins.

    Args:
        token: None for none.
        port: keeps the cookies of two servers on one machine apart.
        is_tls: whether this server speaks TLS itself. Then the cookie is sent over TLS only, and what a page on plain
            HTTP sends is refused, though it be of the same host and port.
    """

    def __init__(self, token: str | None, port: int, *, is_tls: bool = False) -> None:
        self._token, self._is_tls = token, is_tls
        self._wrong_tokens = WrongTokens()
        self._defects: set[str] = set()
        # Browsers take a cookie of that prefix from TLS only, and from no other host of the same domain (RFC 6265bis).
        self._cookie_name = f"{'__Host-' if is_tls else ''}stn_rectify_{port}"
        self._cookie = "" if token is None else hmac.new(token.encode(), b"stn-rectify", hashlib.sha256).hexdigest()

    def middleware(self) -> Middleware:
        """For `aiohttp.web.Application`."""

        @web.middleware
        async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
            try:
                return self._refusal(request) or await handler(request)
            except web.HTTPException as error:
                return json_error(error.status, error.reason)
            except (ConnectionError, web.RequestPayloadError, HttpProcessingError):  # broken off, which is no news
                return json_error(400, "the request did not arrive in full")
            except Exception as error:  # a defect: a line in the log, and the run goes on
                self._log_defect(f"{request.path!r}: {error!r}")
                return json_error(500, "that went wrong here: the log of stn-rectify says how")

        return guard

    def _log_defect(self, line: str) -> None:
        """Logs it once, however often it comes."""
        if line not in self._defects and len(self._defects) < _MOST_DEFECTS:
            self._defects.add(line)
            _LOG.error("web view: %s", line)

    def _refusal(self, request: web.Request) -> web.StreamResponse | None:
        if self._token is None and not is_loopback(_host_name(request.host)):
            return json_error(403, "use localhost or 127.0.0.1 as address, or start with --token")
        if self._token is not None and request.path not in _OPEN_PATHS:
            refusal = self._answer_to_stranger(request, self._token)
            if refusal is not None:
                return refusal
        if (request.method not in ("GET", "HEAD") or request.path == "/stream") and not self._is_same_origin(request):
            return json_error(403, "refused to a page of another origin")
        return None

    def _answer_to_stranger(self, request: web.Request, token: str) -> web.StreamResponse | None:
        """None for who has the token or the cookie. A guessed cookie is a guessed token: both are counted."""
        query_token = request.query.get("token") if request.path == "/" and request.method == "GET" else None
        sent_token = _bearer(request) if query_token is None else query_token
        cookie = request.cookies.get(self._cookie_name)
        if sent_token is None and cookie is None:
            return _unauthorized(request)
        if wait_s := self._wrong_tokens.wait_s(request.remote):
            return _too_many(request, wait_s)
        if cookie is not None and _is_same(cookie, self._cookie):
            return None if query_token is None else web.Response(status=303, headers={"Location": "/"})
        if sent_token is not None and _is_same(sent_token, token):
            return None if query_token is None else self._signed_in()
        self._wrong_tokens.add(request.remote, str(cookie if sent_token is None else sent_token))
        return _unauthorized(request)

    def _signed_in(self) -> web.StreamResponse:
        response = web.Response(status=303, headers={"Location": "/"})
        response.set_cookie(
            self._cookie_name,
            self._cookie,
            max_age=_COOKIE_S,
            httponly=True,
            samesite="Strict",
            secure=self._is_tls,
            path="/",
        )
        return response

    def _is_same_origin(self, request: web.Request) -> bool:
        """Programs send neither header; browsers send Origin, and to addresses they trust the other one."""
        if request.headers.get("Sec-Fetch-Site", "same-origin") != "same-origin":
            return False
        origin = request.headers.get("Origin")
        if origin is None:
            return True
        scheme, host = _scheme_and_host(origin)
        return host == request.host and (scheme == "https" or not self._is_tls)  # a proxy may speak TLS for us


async def add_headers(_: web.Request, response: web.StreamResponse) -> None:
    """For `aiohttp.web.Application.on_response_prepare`."""
    response.headers.update(_HEADERS)


def json_error(status: int, text: str) -> web.Response:
    """A line that says what is wrong."""
    return web.json_response({"error": text}, status=status)


def _bearer(request: web.Request) -> str | None:
    """The token that a program gives."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def _is_same(candidate: str, secret: str) -> bool:
    """Takes the same time wherever they differ. ``candidate``, as it was sent, may hold bytes that are no text."""
    return hmac.compare_digest(candidate.encode("utf-8", "replace"), secret.encode())


def _too_many(request: web.Request, wait_s: float) -> web.Response:
    seconds = math.ceil(wait_s)
    text = f"too many wrong tokens from your address: try again in {seconds} s"
    is_browser = "text/html" in request.headers.get("Accept", "")
    response = web.Response(status=429, text=text) if is_browser else json_error(429, text)
    response.headers["Retry-After"] = str(seconds)
    return response


def _unauthorized(request: web.Request) -> web.Response:
    if "text/html" in request.headers.get("Accept", ""):
        return web.Response(status=401, text=_SIGN_IN.read_text("utf-8"), content_type="text/html")
    response = json_error(401, "wrong or missing token: give ?token= to the page, or Authorization: Bearer")
    response.headers["WWW-Authenticate"] = "Bearer"
    return response


def _scheme_and_host(origin: str) -> tuple[str | None, str | None]:
    try:
        split = urlsplit(origin)
    except ValueError:
        return None, None
    return split.scheme, split.netloc


def _host_name(host: str) -> str:
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""
