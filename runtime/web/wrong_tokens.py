"""Who gives wrong tokens to the web view: said in the log, and slowed down."""

from __future__ import annotations

import ipaddress
import logging
import time
from dataclasses import dataclass, field

__all__ = ["WrongTokens"]

_LOG = logging.getLogger(__name__)
_MOST = 20
_WINDOW_S = 60.0
_MOST_ADDRESSES = 1024


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
        found = ipaddress.ip_address((address or "").partition("%")[0])
    except ValueError:
        return str(address)
    found = getattr(found, "ipv4_mapped", None) or found
    if found.version == 4 or found.is_loopback:
        return str(found)
    return str(ipaddress.ip_network((found, 64), strict=False))
