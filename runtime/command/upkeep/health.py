"""``stn-rectify health``: asks a run that serves how it is; for the health checks of containers, and by hand.

It asks ``/healthz`` of the web view, and so needs nothing that a small image has not: no curl, no token.
"""

from __future__ import annotations

import argparse
import http.client
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from stn_rectify.runtime.command.parsing.option_groups import OptionGroup, option, positional
from stn_rectify.runtime.command.parsing.parser import OneLineParser, number
from stn_rectify.runtime.errors import StnRectifyError, UsageError
from stn_rectify.runtime.process.standard_streams import escaped, write_stdout
from stn_rectify.runtime.web.address import ServeAddress, is_loopback

_PATH = "/healthz"
_SERVER = "stn-rectify"  # what the web view says of itself
_MOST_BYTES = 65536
_SECONDS = number("a number of seconds above 0, at most 3600", lambda seconds: 0 < seconds <= 3600)


def _asked(word: str) -> tuple[str, ServeAddress]:
    """``[HOST:]PORT``, as ``--serve`` has it, or what a run has said; scheme, if any, and host with port."""
    scheme, is_url, _ = word.partition("://")
    try:
        if not is_url:
            return "", ServeAddress.parse(word)
        split = urlsplit(word)
        if scheme in ("http", "https") and split.hostname and split.path in ("", "/", _PATH):
            return scheme, ServeAddress(split.hostname, split.port or (443 if scheme == "https" else 80))
    except (UsageError, ValueError):
        pass
    raise argparse.ArgumentTypeError(f"{word!r} is no address to ask: give [HOST:]PORT, or http[s]://HOST:PORT/")


@dataclass(frozen=True)
class HealthOptions(OptionGroup):
    """What is asked, and how long."""

    address: tuple[str, ServeAddress] = positional(
        "where the run serves: as --serve has it, or http[s]://HOST:PORT/", _asked, metavar="ADDRESS"
    )
    timeout: float = option(5.0, "seconds until no answer is one, too (%(default)s)", _SECONDS, metavar="S")


def health(words: Sequence[str]) -> int:
    """Runs ``stn-rectify health``: prints what the run says of its health.

    Args:
        words: what follows on the command line.

    Returns:
        The exit status: 0 if it is well, 1 if it says that it is not.

    Raises:
        StnRectifyError: if it does not answer, or something else does.
    """
    options = HealthOptions.of(vars(health_parser().parse_args(words)))
    scheme, address = options.address[0], options.address[1].asked_here()
    status, text = _ask(scheme or "http", address, options.timeout)
    if status == http.client.BAD_REQUEST and not scheme:  # how a run under TLS answers to plain HTTP
        status, text = _ask("https", address, options.timeout)
    write_stdout("".join(f"{escaped(line)}\n" for line in text.splitlines()))
    return 0 if status == http.client.OK else 1


def health_parser() -> OneLineParser:
    """The command's parser."""
    parser = OneLineParser(
        example="stn-rectify health 127.0.0.1:8080",
        prog="stn-rectify health",
        description="Asks a run with --serve how it is.",
        epilog="Ends with status 1 if it is not well, or does not answer. Of this machine any certificate is taken.",
    )
    HealthOptions.add_to(parser)
    parser.add_argument("--debug", action="store_true", help="print a traceback with an error")
    return parser


def _ask(scheme: str, address: ServeAddress, timeout_s: float) -> tuple[int, str]:
    place = f"{scheme}://{address}{_PATH}"
    connection: http.client.HTTPConnection
    if scheme == "https":
        context = ssl.create_default_context()
        if is_loopback(address.host):  # it has the name by which others know this machine
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        connection = http.client.HTTPSConnection(address.host, address.port, timeout=timeout_s, context=context)
    else:
        connection = http.client.HTTPConnection(address.host, address.port, timeout=timeout_s)
    try:
        connection.request("GET", _PATH)
        response = connection.getresponse()
        text = response.read(_MOST_BYTES).decode("utf-8", "replace")
    except TimeoutError as error:
        raise StnRectifyError(
            f"no answer from {place} within {timeout_s:g} s: that run hangs, or waits for its turn"
        ) from error
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise StnRectifyError(f"no answer from {place}: {reason}; is that where a run serves (--serve)?") from error
    finally:
        connection.close()
    if response.headers.get("Server") != _SERVER:
        raise StnRectifyError(f"what answers at {place} is no {_SERVER}: give the address that a run has said")
    return response.status, text
