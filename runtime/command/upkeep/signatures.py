"""Signatures of files: minisign's, or ed25519 as OpenSSL writes it. They need the extra ``signatures``."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from stn_rectify.runtime.errors import DataError, StnRectifyError, UsageError, first_line
from stn_rectify.runtime.process.installation import install_command

_PEM = b"-----BEGIN PUBLIC KEY-----"
_ED25519_BYTES = 64


def signature_file(file: Path, key: Path) -> Path:
    """The file beside another one in which its signature has to stand: ``.minisig``, or ``.sig`` for a key of OpenSSL.

    Args:
        file: that is signed.
        key: the public key.

    Raises:
        UsageError: if the key cannot be read.
    """
    return file.with_name(file.name + (".sig" if _read_key(key).startswith(_PEM) else ".minisig"))


def check_signature(content: bytes, signature: Path, key: Path) -> None:
    """Checks that whoever holds the secret key has signed a content.

    Args:
        content: of the signed file.
        signature: the file of `signature_file`.
        key: the public key: minisign's (``minisign.pub``, or its second line alone), or an ed25519 key in PEM
            (``openssl pkey -pubout``), whose signatures are the 64 bytes of ``openssl pkeyutl -sign -rawin``.

    Raises:
        DataError: if there is no signature, or it is not one of this content by this key.
        UsageError: if the key cannot be read, or is none.
        StnRectifyError: if the extra is not installed.
    """
    key_content = _read_key(key)
    try:
        signed = signature.read_bytes()
    except FileNotFoundError:
        raise DataError(f"is not signed: {signature} is missing, and {key} asks for it") from None
    except OSError as error:
        raise DataError(f"its signature {signature} cannot be read: {error.strerror}") from error
    if key_content.startswith(_PEM):
        _check_ed25519(content, signed, signature, key_content, key)
    else:
        _check_minisign(content, signed, signature, key_content, key)


def _read_key(key: Path) -> bytes:
    try:
        return key.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read the public key {key}: {error.strerror}") from error


def _check_minisign(content: bytes, signed: bytes, signature: Path, key_content: bytes, key: Path) -> None:
    minisign = _import("minisign")
    lines = key_content.split()
    try:
        public = minisign.PublicKey.from_base64(lines[-1] if lines else b"")
    except ValueError as error:
        raise UsageError(
            f"{key} is no public key of minisign, nor one of ed25519 in PEM ({first_line(error)})"
        ) from None
    try:
        public.verify(content, minisign.Signature.from_bytes(signed))
    except ValueError as error:
        raise _not_signed(signature, key, first_line(error)) from None


def _check_ed25519(content: bytes, signed: bytes, signature: Path, key_content: bytes, key: Path) -> None:
    ed25519 = _import("cryptography.hazmat.primitives.asymmetric.ed25519")
    serialization = _import("cryptography.hazmat.primitives.serialization")
    invalid = _import("cryptography.exceptions").InvalidSignature
    try:
        public = serialization.load_pem_public_key(key_content)
    except Exception as error:  # of several kinds
        raise UsageError(f"{key} is no public key in PEM ({first_line(error)})") from None
    if not isinstance(public, ed25519.Ed25519PublicKey):
        raise UsageError(f"{key} is no key of ed25519: make one by openssl genpkey -algorithm ed25519")
    if len(signed) != _ED25519_BYTES:
        raise _not_signed(signature, key, f"it has {len(signed)} bytes, not {_ED25519_BYTES}")
    try:
        public.verify(signed, content)
    except invalid:
        raise _not_signed(signature, key, "it was made of another content, or by another key") from None


def _not_signed(signature: Path, key: Path, reason: str) -> DataError:
    return DataError(f"its signature {signature} does not hold for {key} ({reason}): get file and signature again")


def _import(module: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise StnRectifyError(
            f"signatures need the extra signatures ({first_line(error)}): {install_command('signatures')}"
        ) from error
