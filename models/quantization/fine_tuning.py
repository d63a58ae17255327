"""Fine-tuning a trained STN until its INT8 file gives the poses that it gives in float."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops

from stn_rectify.models.files import sha256_of_file
from stn_rectify.models.network.keras_file import load_model
from stn_rectify.models.network.poses import theta_to_corners
from stn_rectify.models.quantization.quantize_aware import QuantizeAware
from stn_rectify.models.training.course.checkpoint import Checkpoint
from stn_rectify.models.training.course.course import Course, course_frames
from stn_rectify.models.training.course.epochs import Targets, averaging_adamw, train_epochs
from stn_rectify.models.training.course.result import write_result
from stn_rectify.models.training.samples.frame_batches import Batch
from stn_rectify.runtime.errors import DataError
from stn_rectify.runtime.geometry import THETA_SIZE

_OBSERVED_FRAMES = 200  # what the converter calibrates with


@dataclass(frozen=True)
class FineTuning(Course):
    """A short course on a trained model.

    Attributes:
        source: SHA-256 of the model's file.
    """

    samples: int = 4_000
    epochs: int = 10
    learning_rate: float = 1e-3
    source: str = ""


class PointLoss(keras.losses.Loss):
    """Mean distance along x and y of the points that θ gives, normalised: four corners, or a spline's control points.

    ``y_true`` and ``y_pred``: θ [B, 6], [B, 8] or [B, 32].
    """

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return ops.mean(ops.abs(_points(y_true) - _points(y_pred)), axis=(1, 2))


def _points(theta: Any) -> Any:
    if theta.shape[-1] == THETA_SIZE["tps"]:
        return ops.reshape(theta, (-1, theta.shape[-1] // 2, 2))
    return theta_to_corners(theta)


def fine_tune(source: Path, course: FineTuning, out: Path, *, jobs: int = 1) -> keras.Model:
    """Trains with the rounding of an INT8 file and writes ``out``, a plain Keras model of the same layers.

    The targets are what ``source`` itself gives in float, on synthesised frames; so the model stays what it was, and
    no labels are needed. Resumable like `train`, with the same files beside ``out``.

    Args:
        source: a trained .keras file.
        course: its ``input_shape`` and ``source`` are taken from the file.
        out: the .keras file to write.
        jobs: processes that synthesise frames.

    Returns:
        The tuned model.

    Raises:
        DataError: if the model cannot be tuned, a file cannot be read or written, or a stopped run of other
            settings lies beside ``out``.
        KeyboardInterrupt: if Ctrl-C stops it; the state is saved first.
    """
    keras.utils.set_random_seed(course.seed)
    stn = load_model(source)
    try:
        tuned, teacher = QuantizeAware(stn), QuantizeAware(load_model(source), rounding=False)
    except DataError as error:
        raise DataError(f"{source}: {error}") from error
    shape = tuple(stn.inputs[0].shape[1:])
    if shape[2] not in (1, 3):
        raise DataError(f"{source}: frames are synthesised with 1 or 3 channels, the model takes {shape[2]}")
    if tuned.plan.unknown:
        print(f"weights that stay in float: {', '.join(tuned.plan.unknown)}", flush=True)
    course = FineTuning(**{**asdict(course), "input_shape": shape, "source": sha256_of_file(source)})
    work = out.with_suffix(".training")
    pool = course_frames(course, work, shape[:2], jobs)
    count = min(_OBSERVED_FRAMES, len(pool))
    tuned.observe(next(course.batches(pool, course.epochs, batch_size=count)).frames)
    # Named like the layers: in the curve they are columns.
    score = [keras.losses.BinaryCrossentropy(name="score")] if tuned.pose.score is not None else []
    tuned.compile(
        optimizer=averaging_adamw(course, weight_decay=0.0),
        loss=[PointLoss(name="theta"), *score],
        loss_weights=[1.0, 0.05][: 1 + len(score)],
    )

    def teach(batch: Batch) -> Targets:
        outputs = [np.asarray(o) for o in teacher.predict_on_batch(batch.frames)]
        return outputs, [np.ones(len(batch.frames), np.float32)] * len(outputs)

    checkpoint = Checkpoint(work / "checkpoint.npz", asdict(course))
    train_epochs(tuned, pool, course, checkpoint, teach)
    write_result(stn, pool, course, out, [checkpoint])
    return stn
