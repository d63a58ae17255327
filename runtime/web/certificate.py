"""The certificate of a web view under TLS: read, tried, and read anew while it serves."""

from __future__ import annotations

import logging
import ssl
import time
from dataclasses import dataclass
from os import PathLike, fspath
from pathlib import Path

from stn_rectify.runtime.errors import StnRectifyError

_LOG = logging.getLogger(__name__)
_SOON_DAYS = 14
_DAY_S = 86400
_CERTIFICATE, _KEY = b"CERTIFICATE-----", b"PRIVATE KEY-----"  # in the first and last line of each in a PEM file
# OpenSSL's X509_V_FLAG_NO_CHECK_TIME, which the module ssl does not name: the dates are wanted, no judgement on them.
_ANY_TIME = 0x200000


@dataclass(frozen=True)
class _Loaded:
    """A certificate as the files had it.

    Attributes:
        context: that shows it.
        certificate: its file's bytes, which tell another one from the same one.
        starts_s: from when it is valid, seconds since 1970; None if it could not be found out.
        ends_s: until when.
    """

    context: ssl.SSLContext
    certificate: bytes
    starts_s: float | None
    ends_s: float | None


class ServerCertificate:
    """A certificate and its private key, as the server shows them; TLS 1.2 or later.

    Args:
        cert: PEM file of the certificate, followed by those between it and its authority's.
        key: PEM file of its private key; None where that is in the same file.

    Attributes:
        context: for the server's connections. It stays the same one over reloads; connections that are open stay as
            they are.

    Raises:
        StnRectifyError: if a file cannot be read, holds something else, or the key is another certificate's.
    """

    def __init__(self, cert: str | PathLike[str], key: str | PathLike[str] | None = None) -> None:
        self._cert, self._key = Path(cert), Path(cert if key is None else key)
        self._loaded = _load(self._cert, self._key)
        self.context = self._loaded.context
        self.context.sni_callback = self._show_newest
        self._log_warning()

    def reload(self) -> bool:
        """Reads the files anew, for connections from now on.

        Returns:
            True if they hold another certificate.

        Raises:
            StnRectifyError: if they cannot be used; the certificate in use stays.
        """
        before, self._loaded = self._loaded, _load(self._cert, self._key)
        self._log_warning()
        return before.certificate != self._loaded.certificate

    @property
    def ends_s(self) -> float | None:
        """Until when it is valid, seconds since 1970; None if that could not be found out."""
        return self._loaded.ends_s

    def warning(self) -> str | None:
        """What a browser will soon say of it, if it does not already; None if there is nothing to say."""
        now_s, loaded = time.time(), self._loaded
        if loaded.ends_s is None or loaded.starts_s is None:
            return f"the certificate {self._cert} is not one for a server"
        if now_s > loaded.ends_s:
            return f"the certificate {self._cert} has expired on {_date(loaded.ends_s)}"
        if now_s < loaded.starts_s:
            return f"the certificate {self._cert} is not valid before {_date(loaded.starts_s)} (or the clock is wrong)"
        if loaded.ends_s - now_s < _SOON_DAYS * _DAY_S:
            return f"the certificate {self._cert} expires on {_date(loaded.ends_s)}"
        return None

    def _log_warning(self) -> None:
        if warning := self.warning():
            _LOG.warning("web view: %s: browsers refuse one that is not valid; replace it, and reload", warning)

    def _show_newest(self, connection: ssl.SSLObject, _: str | None, __: ssl.SSLContext) -> None:
        """Called in each handshake, whatever name the client asks for."""
        connection.context = self._loaded.context


def _load(cert: Path, key: Path) -> _Loaded:
    certificate, its_key = _read(cert, "certificate"), _read(key, "private key")
    _check_places(cert, certificate, key, its_key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])

    def no_password() -> str:  # or OpenSSL would ask for it on the terminal
        raise StnRectifyError(f"{key} is encrypted: openssl pkey -in {key} -out FILE writes one without a password")

    try:
        context.load_cert_chain(cert, key, no_password)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise StnRectifyError(
                f"the private key {key} is not that of the certificate {cert}: give its own"
            ) from error
        reason = (error.reason or str(error)).lower().replace("_", " ")
        raise StnRectifyError(f"cannot use the certificate {cert} with the key {key}: {reason}") from error
    except OSError as error:  # removed meanwhile
        raise StnRectifyError(f"cannot read {cert} and {key}: {error.strerror or error}") from error
    starts_s, ends_s = _validity(context, cert)
    return _Loaded(context, certificate, starts_s, ends_s)


def _read(path: Path, what: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise StnRectifyError(f"cannot read the {what} {path}: {error.strerror or error}") from error


def _check_places(cert: Path, certificate: bytes, key: Path, its_key: bytes) -> None:
    """Checks that each file holds what it is given for."""
    if _CERTIFICATE not in certificate:
        if _KEY not in certificate:
            raise StnRectifyError(
                f"{cert} holds no certificate in PEM form: openssl x509 -inform DER -in FILE -out FILE.pem"
            )
        if _CERTIFICATE in its_key:
            raise StnRectifyError(
                f"{cert} is the private key and {key} the certificate: swap them, --tls-cert {key} --tls-key {cert}"
            )
        raise StnRectifyError(f"{cert} is a private key: give it by --tls-key, and its certificate by --tls-cert")
    if _KEY not in its_key:
        if _CERTIFICATE in its_key and key != cert:
            raise StnRectifyError(f"{key} is a certificate, no private key: give the file of its key by --tls-key")
        raise StnRectifyError(f"{key} holds no private key in PEM form: give the file of the key by --tls-key")


def _validity(context: ssl.SSLContext, cert: Path) -> tuple[float | None, float | None]:
    """From and until when the certificate is valid, by a handshake in memory with a client that trusts it.

    Returns:
        Seconds since 1970; None and None where such a client refuses it, whatever the date is.
    """
    trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trusting.check_hostname = False
    trusting.load_verify_locations(fspath(cert))
    trusting.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN | ssl.VerifyFlags(_ANY_TIME)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = trusting.wrap_bio(to_client, to_server)
    server = context.wrap_bio(to_server, to_client, server_side=True)
    try:
        for side in (client, server, client, server, client):  # TLS 1.3 needs three steps, 1.2 four
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
        values = client.getpeercert() or {}
        starts, ends = str(values["notBefore"]), str(values["notAfter"])
    except (ssl.SSLError, KeyError, ValueError):
        return None, None
    return ssl.cert_time_to_seconds(starts), ssl.cert_time_to_seconds(ends)


def _date(seconds: float) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(seconds))
