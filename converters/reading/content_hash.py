"""SHA-256 of models and frames: what has not changed need not be converted again."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

__all__ = ["sha256_of", "sha256_of_files"]


def sha256_of(source: Path) -> str:
    """SHA-256 of a file's content; of a folder's, over the names and contents of all files in it.

    Raises:
        OSError: it cannot be read.
    """
    if not source.is_dir():
        return _sha256_of_file(source)
    return sha256_of_files({str(f.relative_to(source)): f for f in source.rglob("*") if f.is_file()})


def sha256_of_files(files: Mapping[str, Path]) -> str:
    """SHA-256 over names and contents.

    Raises:
        OSError: one cannot be read.
    """
    digest = hashlib.sha256()
    for name in sorted(files):
        line = f"{name}\0{_sha256_of_file(files[name])}\n"
        digest.update(line.encode("utf-8", "surrogateescape"))  # a file's name can be any bytes
    return digest.hexdigest()


def _sha256_of_file(file: Path) -> str:
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
