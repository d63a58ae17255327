"""The address of results on an MQTT broker, as one URL."""

from __future__ import annotations

import os
import re
import socket
from dataclasses import dataclass, field
from urllib.parse import quote, unquote, urlsplit

from stn_rectify.runtime.checks import check_text
from stn_rectify.runtime.errors import UsageError
from stn_rectify.runtime.files import is_text

_PORTS = {"mqtt": 1883, "mqtts": 8883}
_FORM = "mqtt://[USER:PASSWORD@]HOST[:PORT][/TOPIC] (mqtts:// with TLS)"
_ENCODED = "in user and password write %3F for ?, %23 for #, %2F for /, %40 for @"
_HIDDEN = "***"


@dataclass(frozen=True)
class MqttAddress:
    """A broker and a topic; `str` hides the password.

    Attributes:
        host: name or address.
        port: 1883, or 8883 with TLS, if the URL names none.
        topic: everything is published below it; ``stn-rectify/HOSTNAME`` if the URL names none.
        user: None if the URL names none.
        password: None if the URL names none.
        is_encrypted: whether the connection uses TLS.
    """

    host: str
    port: int
    topic: str
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    is_encrypted: bool = False

    @classmethod
    def parse(cls, url: str) -> MqttAddress:
        """Reads ``mqtt://user:password@host:1883/topic``. The messages of its errors never have the password.

        Raises:
            UsageError: if the text is no such URL, or its topic cannot be published to.
        """
        if not is_text(check_text("url", url)):
            raise UsageError(f"the MQTT address is not Unicode text: write the other bytes as %XX; {_ENCODED}")
        try:
            parts = urlsplit(url.strip())
            port = parts.port
        except ValueError:
            raise UsageError(f"the MQTT address is no URL: give {_FORM}; {_ENCODED}") from None
        if parts.scheme not in _PORTS or not parts.hostname:
            raise UsageError(f"the MQTT address is not {_FORM}")
        if parts.query or parts.fragment:
            raise UsageError(f"the MQTT address has a ? or #: {_ENCODED}")
        if not _is_host(parts.hostname):
            raise UsageError(f"the MQTT address names no host: give {_FORM}")
        topic = unquote(parts.path).strip("/") or f"stn-rectify/{_hostname()}"
        if re.search(r"[+#\0]", topic) or len(topic.encode("utf-8", "replace")) > 1000:
            raise UsageError("an MQTT topic to publish to has no + or #, and up to 1000 bytes")
        password = None if parts.password is None else unquote(parts.password)
        if password == _HIDDEN:
            raise UsageError(f"the MQTT password is {_HIDDEN}, as --print-config writes it: put the password there")
        user = unquote(parts.username) if parts.username else None
        if password is not None and user is None:
            raise UsageError("the MQTT address has a password but no user: give USER:PASSWORD@")
        encrypted = parts.scheme == "mqtts"
        return cls(parts.hostname, port or _PORTS[parts.scheme], topic, user, password, encrypted)

    @property
    def broker(self) -> str:
        """Host and port, for messages."""
        return f"{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"

    def __str__(self) -> str:
        scheme = "mqtts" if self.is_encrypted else "mqtt"
        user = "" if self.user is None else quote(self.user, safe="")
        login = f"{user}:{_HIDDEN}@" if self.password is not None else f"{user}@" if user else ""
        return f"{scheme}://{login}{self.broker}/{quote(self.topic)}"


def _hostname() -> str:
    return re.sub(r"[^\w.-]", "_", socket.gethostname() or os.uname().nodename) or "device"


def _is_host(host: str) -> bool:
    try:
        host.encode("idna")  # as the resolver will
    except UnicodeError:
        return False
    return True
