"""How the files of networks that belong together are called: ``NAME.keras``, ``NAME.refine.keras`` and so on."""

from __future__ import annotations

from pathlib import Path

from stn_rectify.runtime.errors import UsageError

__all__ = [
    "RECOGNIZER_SUFFIX",
    "REFINE_SUFFIX",
    "check_refine_name",
    "is_refine_file",
    "refine_file_of",
    "scan_file_of",
]

#: A network that corrects the poses of ``NAME.keras``, and a classifier of what it rectifies.
REFINE_SUFFIX, RECOGNIZER_SUFFIX = ".refine.keras", ".recognizer.keras"


def is_refine_file(file: Path) -> bool:
    """Whether a file is called as a refine network is."""
    return file.name.endswith(REFINE_SUFFIX)


def check_refine_name(out: Path, *, refines: bool) -> None:
    """Checks that a result is called as a refine network is, if and only if it is one.

    Raises:
        UsageError: it is not.
    """
    if refines != is_refine_file(out):
        raise UsageError(f"--out {out}: a refine network, and no other, is called NAME{REFINE_SUFFIX}")


def refine_file_of(scan: Path) -> Path:
    """Where the refine network of ``NAME.keras`` lies, if there is one."""
    return scan.with_name(scan.name.removesuffix(".keras") + REFINE_SUFFIX)


def scan_file_of(refine: Path) -> Path:
    """Where the network lies whose poses a refine network corrects."""
    return refine.with_name(refine.name.removesuffix(REFINE_SUFFIX) + ".keras")
