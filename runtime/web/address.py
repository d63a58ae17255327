"""The address at which the web view listens: ``[HOST:]PORT`` as text, and as a socket."""

from __future__ import annotations

import errno
import ipaddress
import re
import socket
from dataclasses import dataclass

from stn_rectify.runtime.errors import StnRectifyError, UsageError

_PATTERN = re.compile(r"(?:(?P<host>[^\[\]:\s/]+|\[(?P<six>[0-9A-Fa-f:.%\w]+)\]):)?(?P<port>[0-9]{1,5})")
# Who listens everywhere, and where this machine asks it.
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # nosec B104  # to be recognised, not to listen at


@dataclass(frozen=True)
class ServeAddress:
    """An address to listen at.

    Attributes:
        host: a name, or an address of this machine; IPv6 without brackets.
        port: 0 to 65535; 0 takes a free one.
    """

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> ServeAddress:
        """``8080``, ``0.0.0.0:8080`` or ``[::1]:8080``; without a host it is 127.0.0.1.

        Raises:
            UsageError: if the text is none of these.
        """
        match = _PATTERN.fullmatch(text)
        if match is None or int(match["port"]) > 65535:
            raise UsageError(f"{text!r} is no address to serve at: give [HOST:]PORT, such as 8080 or 0.0.0.0:8080")
        return cls(match["six"] or match["host"] or "127.0.0.1", int(match["port"]))

    def listen(self, *, has_token: bool) -> socket.socket:
        """A socket that listens there.

        Raises:
            UsageError: if others than this machine could connect, and there is no token.
            StnRectifyError: if nobody can listen there; the message says why.
        """
        try:
            family, _, _, _, place = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)[0]
        except UnicodeError as error:
            raise UsageError(f"cannot serve on {self.host!r}: no such host; give an address of this machine") from error
        except OSError as error:  # no UsageError: while a machine starts, names may not be known yet
            reason = error.strerror or str(error)
            raise StnRectifyError(
                f"cannot serve on {self.host!r}: {reason}; give an address of this machine"
            ) from error
        if not has_token and not is_loopback(str(place[0])):
            raise UsageError(
                f"serving on {self.host} lets the network in: give a token as well (--token or STN_RECTIFY_TOKEN), or "
                "serve on 127.0.0.1"
            )
        both = place[0] == "::" and socket.has_dualstack_ipv6()
        try:
            return socket.create_server(place[:2], family=family, backlog=64, dualstack_ipv6=both)
        except OSError as error:
            if error.errno == errno.EADDRNOTAVAIL:
                raise StnRectifyError(
                    f"cannot serve on {self}: {place[0]} is no address of this machine; 0.0.0.0 is all that it has"
                ) from error
            reason = error.strerror or str(error)
            raise StnRectifyError(
                f"cannot serve on {self}: {reason}; choose another port, 0 takes a free one"
            ) from error

    def url(self, listening: socket.socket, *, is_tls: bool = False) -> str:
        """The address for a browser."""
        host = socket.gethostname() if self.host in _EVERYWHERE else self.host
        return f"{'https' if is_tls else 'http'}://{ServeAddress(host, listening.getsockname()[1])}/"

    def asked_here(self) -> ServeAddress:
        """The address at which this machine asks who listens there."""
        return ServeAddress(_EVERYWHERE.get(self.host, self.host), self.port)

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def is_loopback(host: str) -> bool:
    """Tells whether a name or address always means this machine."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return False
