"""The epochs of a course of training: steps, checkpoints, the rows of the curve."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import cv2
import keras
import numpy as np
import numpy.typing as npt

from stn_rectify.models.progress import Progress
from stn_rectify.models.training.course.checkpoint import Checkpoint
from stn_rectify.models.training.course.course import Course
from stn_rectify.models.training.course.curve import Curve, Row

#: The outputs that are right, and the weight of each sample; a list of one array for each output, None for no weights.
Targets = tuple[list[npt.NDArray[np.float32]], list[npt.NDArray[np.float32]] | None]

#: A report at the end of an epoch: a line about it, and further columns of its row in the curve.
EpochReport = tuple[str, Mapping[str, float]]

_Item = TypeVar("_Item")


def averaging_adamw(course: Course, weight_decay: float) -> keras.optimizers.Optimizer:
    """AdamW with a cosine schedule, and the weights averaged for the end."""
    steps = course.epoch_steps * course.epochs
    return keras.optimizers.AdamW(
        keras.optimizers.schedules.CosineDecay(
            course.learning_rate / 20,
            decay_steps=steps,
            warmup_target=course.learning_rate,
            warmup_steps=min(500, steps // 10),
        ),
        weight_decay=weight_decay,
        use_ema=True,
        # Averages the last eighth of a short run, 1000 steps of a long one.
        ema_momentum=1 - 1 / min(max(steps / 8, 10), 1000),
    )


def train_epochs(
    model: keras.Model,
    pool: Any,
    course: Course,
    checkpoint: Checkpoint,
    targets: Callable[[Any], Targets],
    *,
    after_epoch: Callable[[int], EpochReport] = lambda epoch: ("", {}),
) -> None:
    """Trains a compiled model from the checkpoint on; its weights are then the averaged ones.

    Args:
        model: the compiled model; its outputs are compared with those that ``targets`` gives.
        pool: the frames, a `FramePool` or another that the course makes batches of.
        course: decides how they are gone through.
        checkpoint: is written after each epoch and when stopped, and beside it the run's `Curve`.
        targets: gives the outputs that are right for a batch, and the weights of the samples, a list each.
        after_epoch: is called with the number of each finished epoch, from 0, and reports on it; an error ends the
            training.

    Raises:
        KeyboardInterrupt: if Ctrl-C stops it; the state is saved first.
    """
    cv2.setNumThreads(1)  # two threads for a picture of 64 pixels wait for each other
    epoch, batch = checkpoint.load(model)
    curve = Curve(checkpoint.curve_file)
    curve.go_on(epoch, batch)
    for number in range(epoch, course.epochs):
        drawn = course.batches(pool, number, first=batch)
        _train_epoch(model, drawn, course, number, batch, checkpoint, curve, targets, after_epoch)
        batch = 0
    model.optimizer.finalize_variable_values(model.trainable_variables)


def _train_epoch(
    model: keras.Model,
    drawn: Iterator[Any],
    course: Course,
    epoch: int,
    first: int,
    checkpoint: Checkpoint,
    curve: Curve,
    targets: Callable[[Any], Targets],
    after_epoch: Callable[[int], EpochReport],
) -> None:
    label = f"epoch {epoch + 1}/{course.epochs}"
    measured: list[dict[str, float]] = []
    started = time.monotonic()

    def record(**more: float) -> Row:
        rate = float(keras.ops.convert_to_numpy(model.optimizer.learning_rate))
        return curve.record(epoch, measured, learning_rate=rate, seconds=time.monotonic() - started, more=more)

    try:
        with Progress(label, course.epoch_steps, first, "step") as progress:
            for batch in _one_ahead(drawn):
                expected, weights = targets(batch)
                measured.append(model.train_on_batch(batch.frames, expected, sample_weight=weights, return_dict=True))
                progress.advance(1, f"loss {measured[-1]['loss']:.4f}")
        record()  # should the report end the training, the row is there
        line, more = after_epoch(epoch)
        loss = record(**more)["loss"]
    except KeyboardInterrupt:
        checkpoint.save(model, epoch, first + len(measured))
        record()
        raise
    # Last: should it end before, the epoch is trained again, and its row replaced.
    checkpoint.save(model, epoch + 1, 0)
    print(f"{label}  loss {loss:.4f}" + (f"\n  {line}" if line else ""), flush=True)


def _one_ahead(items: Iterator[_Item]) -> Iterator[_Item]:
    """The same items, the next one being made in a thread while the current one is used."""
    end: Any = object()
    with ThreadPoolExecutor(1) as thread:
        coming = thread.submit(next, items, end)
        while (item := coming.result()) is not end:
            coming = thread.submit(next, items, end)
            yield item
