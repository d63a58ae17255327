"""Training through a recognizer: the localization network learns from the recognizer's loss (Jaderberg et al. 2015)."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from keras import ops

from stn_rectify.models.files import RECOGNIZER as RECOGNIZER_KIND
from stn_rectify.models.files import RECOGNIZER_SUFFIX, SCAN, negatives_of, write_arrays
from stn_rectify.models.network.keras_file import save_model
from stn_rectify.models.network.poses import CornerLoss
from stn_rectify.models.recognition.labelled_frames import LabelledBatch, draw_frames, labelled_batches
from stn_rectify.models.recognition.labelled_images import LabelledImages
from stn_rectify.models.recognition.negatives import unknown_images
from stn_rectify.models.recognition.pose_watch import PoseWatch
from stn_rectify.models.recognition.recognizing_stn import RECOGNIZER, recognizing_stn, without_recognizer
from stn_rectify.models.training.course.checkpoint import Checkpoint
from stn_rectify.models.training.course.course import Course
from stn_rectify.models.training.course.curve import write_curve
from stn_rectify.models.training.course.epochs import EpochReport, Targets, averaging_adamw, train_epochs
from stn_rectify.models.training.course.result import write_calibration, write_labels
from stn_rectify.runtime.arrays import Image
from stn_rectify.runtime.errors import DataError

_CALIBRATION_FRAMES = 200
_KNOWN_IMAGES = 4000
_WATCHED_FRAMES = 256
# Seeds that training does not use.
_CALIBRATION, _WATCH, _HOLD_OUT, _NEGATIVES = 1_000_003, 1_000_033, 1_000_037, 1_000_039
#: Of AdamW.
WEIGHT_DECAY = 1e-3


@dataclass(frozen=True)
class RecognizerCourse(Course):
    """All that decides the trained weights, but for the images.

    Attributes:
        supervision: ``"recognizer"``: labels alone; ``"both"``: the poses of the distortions, too, all the time.
        pose_warm_up: epochs at the start in which the poses teach, too.
        pose_rate: the localization network's learning rate is the recognizer's times this, after the warm-up.
        distortions: some of `stn_rectify.models.digits.DISTORTIONS`; none for frames as they are.
        data: SHA-256 of the labelled images.
    """

    input_shape: tuple[int, int, int] = (42, 42, 1)
    epochs: int = 30
    transform: str = "affine"
    output_shape: tuple[int, int] = (28, 28)
    localization_shape: tuple[int, int] | None = None
    padding: str = "zeros"
    width: float = 1.0
    supervision: str = "recognizer"
    pose_warm_up: int = 0
    pose_rate: float = 0.1
    distortions: tuple[str, ...] = ()
    data: str = ""

    def model(self, classes: int) -> keras.Model:
        """The untrained network."""
        keras.utils.set_random_seed(self.seed)
        return recognizing_stn(
            self.input_shape,
            classes,
            transform=self.transform,
            output_shape=self.output_shape,
            localization_shape=self.localization_shape,
            padding=self.padding,
            width=self.width,
        )

    @property
    def pose_epochs(self) -> int:
        """The number of epochs in which the poses teach."""
        return self.epochs if self.supervision == "both" else self.pose_warm_up

    def batches(  # type: ignore[override]  # other frames than those that are synthesised
        self, pool: LabelledImages, epoch: int, *, first: int = 0, batch_size: int | None = None
    ) -> Iterator[LabelledBatch]:
        """The batches of an epoch, from batch ``first`` on."""
        return labelled_batches(
            pool,
            epoch,
            canvas=self.input_shape[:2],
            distortions=self.distortions,
            batch_size=batch_size or self.batch_size,
            seed=self.seed,
            first=first,
        )

    def drawn(self, data: LabelledImages, stream: int, distortions: tuple[str, ...] | None = None) -> LabelledBatch:
        """All of ``data``, drawn once with random numbers that training does not use."""
        chosen = self.distortions if distortions is None else distortions
        return draw_frames(data, self.input_shape[:2], chosen, np.random.default_rng((stream, self.seed)))


def train_through_recognizer(
    course: RecognizerCourse, data: LabelledImages, out: Path, negatives: Sequence[Path] = ()
) -> keras.Model:
    """Trains and writes ``out`` (.keras); a second call with the same arguments goes on where the first was stopped.

    Beside ``out``: ``NAME.stn.keras`` and ``NAME.recognizer.keras``, its two halves; ``NAME.calibration.npz``, frames
    and labels for ``stn-convert``; ``NAME.labels.txt``; ``NAME.curve.csv``, losses and the reports of
    `PoseWatch` after each epoch, and its picture ``NAME.curve.png``.

    Args:
        course: the network and the training.
        data: the images to learn from.
        out: the .keras file to write.
        negatives: photographs that show nothing to recognize. With them ``NAME.recognizer.negatives.npz`` is written,
            of which ``stn-convert`` makes a class for images that show nothing known.

    Returns:
        The trained model.

    Raises:
        DataError: if the training has run away (`PoseWatch`), the folder ``NAME.training`` holds a run with other
            settings, or a file cannot be read or written.
        KeyboardInterrupt: if Ctrl-C stops it; the state is saved first.
    """
    work = out.with_suffix(".training")
    try:
        work.mkdir(exist_ok=True)
    except OSError as error:
        raise DataError(f"{work} cannot be made ({error.strerror or error}): choose another --out") from error
    model = course.model(len(data.names))
    taught = _taught_model(course, model)
    watch = PoseWatch(model, course.drawn(data[:_WATCHED_FRAMES], _WATCH).frames)

    def after_epoch(number: int) -> EpochReport:
        report = watch.look()
        report.refuse_lost(f"after epoch {number + 1}")
        return str(report), {"black": report.black, "outside": report.outside, "pose_spread_px": report.spread_px}

    def targets(batch: LabelledBatch) -> Targets:
        teaches = np.full(len(batch.labels), float(batch.epoch < course.pose_epochs), np.float32)
        everywhere = np.ones(len(batch.labels), np.float32)
        return [batch.labels.astype(np.float32), batch.corners], [everywhere, teaches]

    checkpoint = Checkpoint(work / "checkpoint.npz", asdict(course))
    try:
        train_epochs(taught, data, course, checkpoint, targets, after_epoch=after_epoch)
    except Exception as error:  # what a backend raises when it is to sample at places that are no numbers
        if np.isfinite(np.asarray(keras.ops.convert_to_numpy(model.get_layer("theta").bias))).all():
            raise
        raise DataError(
            "the weights are no numbers any more: give a lower --learning-rate and another --out"
        ) from error
    write_curve(out, [checkpoint.curve_file])
    _write_result(model, course, data, out, negatives)
    return model


def hold_out_error(
    model: keras.Model, course: RecognizerCourse, data: LabelledImages, distortions: tuple[str, ...]
) -> float:
    """Share of images that are recognized wrongly, each drawn once."""
    batch = course.drawn(data, _HOLD_OUT, distortions)
    scores = model.predict(batch.frames, batch_size=256, verbose=0)[-1]
    return float((scores.argmax(axis=-1) != batch.labels).mean())


def _taught_model(course: RecognizerCourse, model: keras.Model) -> keras.Model:
    """The compiled model: frame → class scores, θ."""
    taught = keras.Model(model.input, [model.output[-1], model.get_layer("theta").output])
    recognizer = {id(variable) for variable in model.get_layer(RECOGNIZER).trainable_variables}
    slow = [k for k, variable in enumerate(taught.trainable_variables) if id(variable) not in recognizer]
    optimizer = SlowLocalization.from_config(averaging_adamw(course, WEIGHT_DECAY).get_config())
    optimizer.slow_down(slow, course.pose_rate, course.pose_epochs * course.epoch_steps)
    taught.compile(
        optimizer=optimizer,
        loss=[keras.losses.SparseCategoricalCrossentropy(), CornerLoss()],
        loss_weights=[1.0, 1.0],
    )
    return taught


class SlowLocalization(keras.optimizers.AdamW):
    """AdamW with a lower learning rate for some variables; gradients that are made smaller would do nothing to Adam."""

    _slow: frozenset[int] = frozenset()
    _factor = 1.0
    _from_step = 0

    def slow_down(self, positions: list[int], factor: float, from_step: int) -> None:
        """Multiplies the learning rate of these of the trained variables by ``factor``, from a step on."""
        self._slow, self._factor, self._from_step = frozenset(positions), factor, from_step

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        if self._get_variable_index(variable) in self._slow:
            is_slow = ops.cast(self.iterations >= self._from_step, "float32")
            learning_rate = learning_rate * (1.0 + is_slow * (self._factor - 1.0))
        super().update_step(gradient, variable, learning_rate)


def _write_result(
    model: keras.Model, course: RecognizerCourse, data: LabelledImages, out: Path, negatives: Sequence[Path]
) -> None:
    """Writes the models and the files that ``stn-convert`` needs; removes the folder of the training."""
    rng = np.random.default_rng((_CALIBRATION, course.seed))
    chosen = data[rng.permutation(len(data))[:_CALIBRATION_FRAMES]]
    batch = course.drawn(chosen, _CALIBRATION)
    write_calibration(out, frames=_pixels(batch.frames), labels=batch.labels)
    write_labels(out, data.names)
    save_model(without_recognizer(model), out.with_suffix(".stn.keras"), SCAN)
    recognizer = out.with_suffix(RECOGNIZER_SUFFIX)
    save_model(model.get_layer(RECOGNIZER), recognizer, RECOGNIZER_KIND)
    rectifying = keras.Model(model.input, model.get_layer("rectified").output)
    rectified = rectifying.predict(batch.frames, verbose=0)
    write_calibration(recognizer, frames=_pixels(rectified), labels=batch.labels)
    if negatives:
        known = course.drawn(data[rng.permutation(len(data))[:_KNOWN_IMAGES]], _NEGATIVES).frames
        kinds = {"known": rectifying.predict(known, verbose=0), "unknown": unknown_images(rectifying, negatives, rng)}
        write_arrays(negatives_of(recognizer), {kind: _pixels(images) for kind, images in kinds.items()})
    save_model(model, out, SCAN)
    shutil.rmtree(out.with_suffix(".training"))


def _pixels(frames: npt.NDArray[np.float32]) -> Image:
    return np.asarray(np.round(np.clip(frames, 0, 1) * 255).astype(np.uint8))
