"""The files of the workstation: replaced in one step, called by what they hold, hashed.

Networks that belong together are called ``NAME.keras``, ``NAME.refine.keras`` and ``NAME.recognizer.keras``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from stn_rectify.runtime.errors import DataError, UsageError
from stn_rectify.runtime.files import partial_file as partial_file  # handed on

#: A network that corrects the poses of ``NAME.keras``, and a classifier of what it rectifies.
REFINE_SUFFIX, RECOGNIZER_SUFFIX = ".refine.keras", ".recognizer.keras"

#: What a network is for; its .keras file says it (`stn_rectify.models.network.keras_file`).
SCAN, DENSE, REFINE, RECOGNIZER = "scan", "dense", "refine", "recognizer"

#: How a file is called by the kind of its network.
NETWORK_SUFFIXES = {REFINE: REFINE_SUFFIX, RECOGNIZER: RECOGNIZER_SUFFIX, SCAN: ".keras", DENSE: ".keras"}


def kind_by_name(file: Path) -> str:
    """The kind of network that a file holds by its name."""
    return next((kind for kind, suffix in NETWORK_SUFFIXES.items() if file.name.endswith(suffix)), SCAN)


def is_refine_file(file: Path) -> bool:
    """Tells whether a file is called as a refine network is."""
    return file.name.endswith(REFINE_SUFFIX)


def check_refine_name(out: Path, *, refines: bool) -> None:
    """Checks that a result is called as a refine network is, if and only if it is one.

    Raises:
        UsageError: if the name and the kind of the network do not agree.
    """
    if refines != is_refine_file(out):
        raise UsageError(f"--out {out}: a refine network, and no other, is called NAME{REFINE_SUFFIX}")


def refine_file_of(scan: Path) -> Path:
    """The file of the refine network of ``NAME.keras``, which need not exist."""
    return scan.with_name(scan.name.removesuffix(".keras") + REFINE_SUFFIX)


def scan_file_of(refine: Path) -> Path:
    """The file of the network whose poses a refine network corrects."""
    return refine.with_name(refine.name.removesuffix(REFINE_SUFFIX) + ".keras")


def sha256_of_file(file: Path) -> str:
    """SHA-256 of a model's file: a stopped training goes on with the same ones only.

    Raises:
        DataError: if the file cannot be read.
    """
    try:
        return sha256_of(file)
    except OSError as error:
        raise DataError(f"{file} cannot be read: {error.strerror or error}") from error


def sha256_of(source: Path) -> str:
    """SHA-256 of a file's content; of a folder's, over the names and contents of all files in it.

    Raises:
        OSError: if the file, or one in the folder, cannot be read.
    """
    if not source.is_dir():
        return _digest_of(source)
    return sha256_of_files({str(f.relative_to(source)): f for f in source.rglob("*") if f.is_file()})


def sha256_of_files(files: Mapping[str, Path]) -> str:
    """SHA-256 over names and contents.

    Raises:
        OSError: if a file cannot be read.
    """
    digest = hashlib.sha256()
    for name in sorted(files):
        line = f"{name}\0{_digest_of(files[name])}\n"
        digest.update(line.encode("utf-8", "surrogateescape"))  # a file's name can be any bytes
    return digest.hexdigest()


def _digest_of(file: Path) -> str:
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
