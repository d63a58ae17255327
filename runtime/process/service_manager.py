"""The service manager, such as systemd: it is told that a run is ready, what it does, and that it goes on.

The protocol is sd_notify(3), a datagram for each message to the socket that the environment names. Nothing waits for
it, and without a service manager nothing happens.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import MutableMapping

from stn_rectify.runtime.closing import Closing

_SOCKET, _WATCHDOG_US, _WATCHDOG_PID = "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"
_SIGNS = 4  # of life within the time after which we are taken for hung; systemd asks for two


class ServiceManager(Closing):
    """Sends messages to the service manager; a context manager.

    Args:
        environment: names the socket, and the time without a sign of life after which the manager ends the process.
            Both are taken out of it: they are not meant for programs that this one starts.

    Attributes:
        watchdog_s: that time in seconds; None where the manager does not look.
    """

    def __init__(self, environment: MutableMapping[str, str] = os.environ) -> None:
        address = environment.pop(_SOCKET, "")
        watchdog_us, watched = environment.pop(_WATCHDOG_US, ""), environment.pop(_WATCHDOG_PID, "")
        self.watchdog_s: float | None = None
        self._socket: socket.socket | None = None
        self._last_sign_s = -float("inf")
        self._status = ""
        if address[:1] not in ("/", "@"):  # none, or a machine's outside of this one, which is for virtual machines
            return
        self._address = f"\0{address[1:]}" if address[0] == "@" else address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        if watchdog_us.isdecimal() and int(watchdog_us) > 0 and watched in ("", str(os.getpid())):
            self.watchdog_s = int(watchdog_us) / 1e6

    def ready(self) -> None:
        """The start is over, or a reload."""
        self._send("READY=1")

    def reloading(self) -> None:
        """Options are read anew; `ready` follows."""
        self._send(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """The end has begun."""
        self._send("STOPPING=1")

    def status(self, text: str) -> None:
        """Says in a line what the run is at; the same line is sent once."""
        line = " ".join(text.split())
        if line != self._status:
            self._status = line
            self._send(f"STATUS={line}")

    def alive(self) -> None:
        """A sign of life: something went on. May come as often as frames do; few of them are sent."""
        now = time.monotonic()
        if self.watchdog_s is not None and now - self._last_sign_s >= self.watchdog_s / _SIGNS:
            self._last_sign_s = now
            self._send("WATCHDOG=1")

    def wait_longer(self, pause_s: float) -> None:
        """Asks for patience with a source that gives a frame every so many seconds only.

        Args:
            pause_s: longest time between two frames, as far as that is known.
        """
        if self.watchdog_s is not None and self.watchdog_s < _SIGNS * pause_s:
            self.watchdog_s = _SIGNS * pause_s
            self._send(f"WATCHDOG_USEC={round(self.watchdog_s * 1e6)}")

    def close(self) -> None:
        """Closes the socket. Closing twice does no harm."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _send(self, message: str) -> None:
        if self._socket is None:
            return
        try:
            self._socket.sendto(message.encode("utf-8", "backslashreplace"), self._address)
        except OSError:  # it is not there (any more), or has no room for the message
            return
