"""Certificates for servers on this machine, by the program openssl."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True)
class Files:
    """A certificate and its private key."""

    cert: Path
    key: Path

    @property
    def options(self) -> dict[str, Path]:
        return {"tls_cert": self.cert, "tls_key": self.key}


#: Makes files; see `make_files_in`.
MakeFiles = Callable[..., Files]


def openssl(*words: object) -> None:
    """Runs the program; skips where it is missing."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True)


def make_files_in(
    folder: Path, *, name: str = "localhost", days: int = 90, by: Files | None = None, extension: str = ""
) -> Files:
    """A certificate for localhost and 127.0.0.1, signed by itself or by another one, and its key."""
    files = Files(folder / "cert.pem", folder / "key.pem")
    openssl(
        *("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"),
        *("-days", days, "-subj", f"/CN={name}", "-keyout", files.key, "-out", files.cert),
        *("-addext", extension or "subjectAltName=DNS:localhost,IP:127.0.0.1"),
        *(() if by is None else ("-CA", by.cert, "-CAkey", by.key)),
    )
    return files
