"""Who gives wrong tokens to the web view: said in the log, and slowed down."""

from __future__ import annotations

import ipaddress
import logging
import time
from collections import deque

__all__ = ["WrongTokens"]

_LOG = logging.getLogger(__name__)
_MOST = 20
_WINDOW_S = 60.0
_MOST_ADDRESSES = 1024


class WrongTokens:
    """The wrong tokens of the last minute by the client's address, of IPv6 by its first 64 bits.

    After 20 of them an address has to wait until the first is a minute old. The right token waits as well, or the wait
    would tell what is wrong; who has the cookie gives no token, and does not wait.
    """

    def __init__(self) -> None:
        self._times: dict[str, deque[float]] = {}  # the address that was wrong last comes last

    def wait_s(self, address: str | None) -> float:
        """Seconds until this address may give a token again; 0 for now."""
        times = self._times.get(_network(address))
        if times is None or len(times) < _MOST:
            return 0.0
        return max(0.0, times[0] + _WINDOW_S - time.monotonic())

    def add(self, address: str | None) -> None:
        """Counts one. The first of an address in a minute, and the one after which it waits, are in the log."""
        network, now = _network(address), time.monotonic()
        times = self._times.pop(network, deque(maxlen=_MOST))
        if not times or now - times[-1] > _WINDOW_S:
            _LOG.warning("web view: wrong token from %s", network)
        times.append(now)
        self._times[network] = times
        if self.wait_s(address):
            _LOG.warning("web view: %d wrong tokens from %s within a minute: it has to wait", _MOST, network)
        if len(self._times) > _MOST_ADDRESSES:
            del self._times[next(iter(self._times))]


def _network(address: str | None) -> str:
    try:
        found = ipaddress.ip_address((address or "").partition("%")[0])
    except ValueError:
        return str(address)
    if found.version == 6 and found.ipv4_mapped is None:
        return str(ipaddress.ip_network((found, 64), strict=False))
    return str(found)
