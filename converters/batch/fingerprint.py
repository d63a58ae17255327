"""Hashes of all that a conversion depends on: equal fingerprints give equal files."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stn_rectify.converters.options import ConversionOptions
from stn_rectify.converters.reading.calibration import frame_files
from stn_rectify.models.files import sha256_of, sha256_of_files
from stn_rectify.runtime.errors import DataError

_NOT_IN_THE_RESULT = ("calibration", "validation", "overwrite")  # the frames count by content
_INTERPRETERS = ("tflite-runtime", "ai-edge-litert")


def sha256_of_frames(source: Path, limit: int) -> str:
    """SHA-256 of the frames that a conversion reads of an .npz file or a folder of images, at most so many.

    Raises:
        DataError: if there are none, or they cannot be read.
    """
    files = frame_files(source, limit)
    try:
        return sha256_of(source) if source.is_file() else sha256_of_files(files)
    except OSError as error:
        raise DataError(f"{error.filename or source} cannot be read: {error.strerror or error}") from error


def installed_versions() -> dict[str, str]:
    """Versions of what a conversion runs on, by name; read from the installed packages, nothing is imported."""
    versions = {"python": platform.python_version(), "stn_rectify": importlib.metadata.version("stn-rectify")}
    for package in ("tensorflow", "tensorflow-cpu"):
        version = _version(package)
        if version is not None:
            versions["tensorflow"] = version
    for package in _INTERPRETERS:
        version = _version(package)
        if version is not None:
            versions[package] = version
    return versions


def options_summary(options: ConversionOptions) -> dict[str, Any]:
    """The options that change the result, for JSON."""
    values = {name: value for name, value in options.summary().items() if name not in _NOT_IN_THE_RESULT}
    return dict(json.loads(json.dumps(values)))


def fingerprint(
    source_sha256: str,
    calibration_sha256: str,
    validation_sha256: str | None,
    options: ConversionOptions,
    versions: Mapping[str, str],
) -> str:
    """SHA-256 over everything that a conversion's result depends on."""
    everything = {
        "source": source_sha256,
        "calibration": calibration_sha256,
        "validation": validation_sha256,
        "options": options_summary(options),
        "versions": {name: versions.get(name) for name in ("stn_rectify", "tensorflow")},
    }
    return hashlib.sha256(json.dumps(everything, sort_keys=True).encode()).hexdigest()


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
