"""The files that a course of training leaves: the model, frames for ``stn-convert``, the curve."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence, Sized
from pathlib import Path

import keras
import numpy as np

from stn_rectify.models.files import REFINE, SCAN, labels_file_of, partial_file, write_arrays
from stn_rectify.models.network.keras_file import save_model
from stn_rectify.models.training.course.checkpoint import Checkpoint
from stn_rectify.models.training.course.course import Course
from stn_rectify.models.training.course.curve import write_curve
from stn_rectify.runtime.arrays import Array
from stn_rectify.runtime.geometry import normalised_to_pixels, transform_points

_CALIBRATION_FRAMES = 200


def write_result(stn: keras.Model, pool: Sized, course: Course, out: Path, checkpoints: Sequence[Checkpoint]) -> None:
    """Writes the model, frames for ``stn-convert`` and the curve; removes the folder of the training.

    Args:
        stn: the trained model.
        pool: the frames that it was trained on.
        course: the course that it was trained in.
        out: the .keras file to write.
        checkpoints: the checkpoints of the courses that led to it, one after the other.
    """
    _write_course_calibration(pool, course, out)
    write_network(stn, SCAN if course.refine_margin is None else REFINE, out, checkpoints)


def write_network(model: keras.Model, kind: str, out: Path, checkpoints: Sequence[Checkpoint]) -> None:
    """Writes a trained network and the curve; removes the folder of the training.

    Args:
        model: the trained network.
        kind: what it is for, see `stn_rectify.models.network.keras_file.save_model`.
        out: the .keras file to write.
        checkpoints: the checkpoints of the courses that led to it, one after the other.

    Raises:
        DataError: if a file cannot be written.
    """
    write_curve(out, [checkpoint.curve_file for checkpoint in checkpoints])
    save_model(model, out, kind)
    shutil.rmtree(out.with_suffix(".training"))


def write_labels(network: Path, labels: Iterable[str]) -> None:
    """Writes ``NAME.labels.txt`` beside a network that knows classes: their names, one a line.

    Raises:
        DataError: if the file cannot be written.
    """
    with partial_file(labels_file_of(network)) as partial:
        partial.write_text("".join(f"{label}\n" for label in labels), encoding="utf-8")


def write_calibration(out: Path, **arrays: Array | np.float64) -> None:
    """Writes ``NAME.calibration.npz`` beside a network: frames for ``stn-convert``, and what is known of them.

    Args:
        out: the network's .keras file.
        arrays: by their names (`stn_rectify.converters.reading.calibration.read_frames`): ``frames`` uint8
            [N, H, W, C], in the network's colour order; further ones, as the kind of network has them.

    Raises:
        DataError: if the file cannot be written.
    """
    write_arrays(out.with_suffix(".calibration.npz"), arrays)


def _write_course_calibration(pool: Sized, course: Course, out: Path) -> None:
    """``NAME.calibration.npz``: frames for stn-convert, as the network saw them, and where their targets are."""
    count = min(_CALIBRATION_FRAMES, len(pool))
    batch = next(course.batches(pool, course.epochs, batch_size=count))
    height, width, _ = course.input_shape
    corners = transform_points(normalised_to_pixels(width, height), batch.corners)
    corners[batch.present[:, 0] == 0] = np.nan
    margin = {} if course.refine_margin is None else {"margin": np.float64(course.refine_margin)}
    write_calibration(out, frames=np.round(batch.frames * 255).astype(np.uint8), corners=corners, **margin)
