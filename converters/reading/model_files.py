"""The files of a refine network, found beside those of its model by their names.

``NAME.refine.keras`` is the network that improves the poses of ``NAME.keras``; ``NAME.refine.calibration.npz`` are
frames to calibrate it with. Importing this does not import TensorFlow.
"""

from __future__ import annotations

from pathlib import Path

from stn_rectify.models.files import is_refine_file, refine_file_of, scan_file_of, sha256_of, sha256_of_files

__all__ = ["companion_files", "model_of_refine_file", "refine_calibration", "refine_file", "sha256_of_model"]


def refine_file(source: Path) -> Path | None:
    """The refine network of a .keras file; None if none lies beside it."""
    beside = refine_file_of(source)
    return beside if source.suffix == ".keras" and source.is_file() and beside.is_file() else None


def refine_calibration(refine: Path) -> Path:
    """Where the calibration frames of a refine network must lie."""
    return refine.with_name(f"{refine.stem}.calibration.npz")


def model_of_refine_file(file: Path) -> Path | None:
    """The .keras file that a refine network belongs to; None if it is no refine network, or a lone one."""
    model = scan_file_of(file)
    return model if is_refine_file(file) and model.is_file() else None


def companion_files(source: Path) -> tuple[Path, ...]:
    """What a conversion reads of a model besides the model: its refine network and that one's frames, as far as there.

    The calibration frames of the model itself are an option of the conversion, and not among them.
    """
    refine = refine_file(source)
    if refine is None:
        return ()
    calibration = refine_calibration(refine)
    return (refine, calibration) if calibration.is_file() else (refine,)


def sha256_of_model(source: Path) -> str:
    """SHA-256 of a model's content, that of its refine network and its frames included.

    Raises:
        OSError: it cannot be read.
    """
    companions = companion_files(source)
    if not companions:
        return sha256_of(source)
    return sha256_of_files({file.name: file for file in (source, *companions)})
