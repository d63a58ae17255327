"""A course of training: frames, steps, checkpoints, and what is written at the end."""

from __future__ import annotations

import io
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence, Sized
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import cv2
import keras
import numpy as np
import numpy.typing as npt

from stn_rectify.models.files import REFINE, SCAN, partial_file
from stn_rectify.models.network.keras_file import save_model
from stn_rectify.models.progress import Progress
from stn_rectify.models.training.checkpoint import Checkpoint
from stn_rectify.models.training.curve import Curve, Row, write_curve
from stn_rectify.models.training.frame_batches import Batch, Draw, batches, frame_drawer
from stn_rectify.models.training.frame_pool import FramePool
from stn_rectify.models.training.real_frames import RealFrames, read_real_frames
from stn_rectify.models.training.refine_crops import crop_drawer
from stn_rectify.runtime.geometry import normalised_to_pixels, transform_points

_CALIBRATION_FRAMES = 200

#: The outputs that are right, and the weight of each sample; a list of one array for each output, None for no weights.
Targets = tuple[list[npt.NDArray[np.float32]], list[npt.NDArray[np.float32]] | None]

#: The batches of an epoch: of a pool, the epoch's number, and the keyword ``first``.
EpochBatches = Callable[..., Iterator[Any]]

#: A report at the end of an epoch: a line about it, and further columns of its row in the curve.
EpochReport = tuple[str, Mapping[str, float]]

_Item = TypeVar("_Item")


@dataclass(frozen=True)
class Course:
    """The frames of a training, and how they are gone through.

    Attributes:
        refine_margin: margin of the crops that a refine network sees (`runtime.rectifying.crops`); None for a network
            that sees whole frames.
    """

    input_shape: tuple[int, int, int] = (64, 64, 3)
    samples: int = 20_000
    epochs: int = 20
    batch_size: int = 128
    learning_rate: float = 3e-3
    seed: int = 0
    backgrounds: str | None = None
    targets: str | None = None
    refine_margin: float | None = None

    @property
    def has_own_targets(self) -> bool:
        """Whether the targets are the user's own, which have one side that is up and are never mirrored."""
        return self.targets is not None

    @property
    def epoch_steps(self) -> int:
        """Batches of an epoch."""
        return self.samples // self.batch_size

    @property
    def draw(self) -> Draw:
        """The function that makes a sample of a frame. The user's own targets are never mirrored."""
        if self.refine_margin is None:
            return frame_drawer(mirrors=not self.has_own_targets)
        return crop_drawer(self.refine_margin, turns=not self.has_own_targets)

    def batches(self, pool: Sized, epoch: int, *, first: int = 0, batch_size: int | None = None) -> Iterator[Batch]:
        """The batches of an epoch, from batch ``first`` on."""
        return batches(
            pool,
            epoch,
            input_shape=self.input_shape,
            batch_size=batch_size or self.batch_size,
            seed=self.seed,
            first=first,
            draw=self.draw,
        )


@dataclass(frozen=True)
class RealCourse(Course):
    """A course with annotated real frames among the synthesised ones.

    Attributes:
        frames: folders of annotated frames.
        frames_share: their share of the samples, above 0; 1 for all of them.
    """

    frames: tuple[str, ...] = ()
    frames_share: float = 0.5

    @property
    def has_own_targets(self) -> bool:
        """See `Course.has_own_targets`."""
        return super().has_own_targets or bool(self.frames)

    def read_frames(self) -> RealFrames | None:
        """Reads the annotated frames, and prints a line about each folder; None if there are none.

        Raises:
            DataError: see `stn_rectify.models.training.real_frames.read_real_frames`.
        """
        return read_real_frames([Path(folder) for folder in self.frames], self.frames_share, self.samples)

    def settings(self, real: RealFrames | None) -> dict[str, Any]:
        """The settings that a `Checkpoint` keeps.

        Args:
            real: the annotated frames. Without them nothing is said of such, as in checkpoints from before there were
                any.
        """
        frames = {} if real is None else {"frames": real.sha256, "frames_share": real.share}
        return {name: value for name, value in asdict(self).items() if name not in ("frames", "frames_share")} | frames


def course_frames(
    course: Course, work: Path, localization_shape: tuple[int, ...], jobs: int, real: RealFrames | None = None
) -> FramePool:
    """The frames of a course, in the folder ``work``.

    Args:
        course: the number of frames, and the choices that decide them.
        work: folder of the training.
        localization_shape: height and width of the image that the localization network sees.
        jobs: processes that synthesise frames.
        real: annotated frames that stand in the place of some; None for none.
    """
    finer = 2 if course.refine_margin is None else 3  # a target fills a part of a frame, but all of its crop
    return FramePool(
        work / "frames",
        count=course.samples,
        size=max(finer * localization_shape[0], finer * localization_shape[1], *course.input_shape[:2]),
        seed=course.seed,
        backgrounds=Path(course.backgrounds) if course.backgrounds else None,
        targets=Path(course.targets) if course.targets else None,
        real=real,
        jobs=jobs,
    )


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
    batches: EpochBatches | None = None,
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
        batches: gives the batches of an epoch from batch ``first`` on, with their ``frames``; those of the course when
            None.

    Raises:
        KeyboardInterrupt: if Ctrl-C stops it; the state is saved first.
    """
    cv2.setNumThreads(1)  # two threads for a picture of 64 pixels wait for each other
    epoch, batch = checkpoint.load(model)
    curve = Curve(checkpoint.curve_file)
    curve.go_on(epoch, batch)
    for number in range(epoch, course.epochs):
        drawn = (batches or course.batches)(pool, number, first=batch)
        _train_epoch(model, drawn, course, number, batch, checkpoint, curve, targets, after_epoch)
        batch = 0
    model.optimizer.finalize_variable_values(model.trainable_variables)


def write_result(stn: keras.Model, pool: Sized, course: Course, out: Path, checkpoints: Sequence[Checkpoint]) -> None:
    """Writes the model, frames for ``stn-convert`` and the curve; removes the folder of the training.

    Args:
        stn: the trained model.
        pool: the frames that it was trained on.
        course: the course that it was trained in.
        out: the .keras file to write.
        checkpoints: the checkpoints of the courses that led to it, one after the other.
    """
    _write_calibration(pool, course, out)
    write_curve(out, [checkpoint.curve_file for checkpoint in checkpoints])
    save_model(stn, out, SCAN if course.refine_margin is None else REFINE)
    shutil.rmtree(out.with_suffix(".training"))


def _write_calibration(pool: Sized, course: Course, out: Path) -> None:
    """``NAME.calibration.npz``: frames for stn-convert, as the network saw them, and where their targets are."""
    count = min(_CALIBRATION_FRAMES, len(pool))
    batch = next(course.batches(pool, course.epochs, batch_size=count))
    height, width, _ = course.input_shape
    corners = transform_points(normalised_to_pixels(width, height), batch.corners)
    corners[batch.present[:, 0] == 0] = np.nan
    content = io.BytesIO()
    margin = {} if course.refine_margin is None else {"margin": np.float64(course.refine_margin)}
    np.savez_compressed(content, frames=np.round(batch.frames * 255).astype(np.uint8), corners=corners, **margin)
    with partial_file(out.with_suffix(".calibration.npz")) as partial:
        partial.write_bytes(content.getbuffer())


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
