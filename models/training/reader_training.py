"""Training of readers: networks that read the text of rectified plates."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from stn_rectify.models.evaluation.text_accuracy import TextAccuracy, text_accuracy
from stn_rectify.models.files import RECOGNIZER, RECOGNIZER_SUFFIX, partial_file, sha256_of_file
from stn_rectify.models.network.keras_file import load_model, save_model
from stn_rectify.models.network.reader import reader_network
from stn_rectify.models.synthesis.targets.legible_plates.texts import CHARACTERS
from stn_rectify.models.training.course.checkpoint import Checkpoint
from stn_rectify.models.training.course.course import Course
from stn_rectify.models.training.course.curve import write_curve
from stn_rectify.models.training.course.epochs import Targets, averaging_adamw, train_epochs
from stn_rectify.models.training.course.result import write_calibration
from stn_rectify.models.training.pools.plate_pool import PlatePool
from stn_rectify.models.training.samples.plate_batches import PlateBatch, plate_batches
from stn_rectify.runtime.errors import DataError

#: The classes of a reader, as ``stn-convert`` and the runtime know them: Keras counts the blank as class 0.
LABELS = ("<blank>", *CHARACTERS)
_CALIBRATION_FRAMES = 400
#: Keeps the held-out plates apart from all that a training of another seed sees.
_HOLD_OUT_SEED = 2_000_000
_WEIGHT_DECAY = 1e-3


@dataclass(frozen=True)
class ReaderRecipe(Course):
    """The settings that decide the trained weights of a reader.

    Attributes:
        width: factor on the channels.
        formats: of the texts, see `stn_rectify.models.synthesis.targets.legible_plates.texts.check_format`; those of
            many countries when empty.
        weights: a .keras file of such a network, to start from; None to start untrained.
    """

    input_shape: tuple[int, int, int] = (32, 128, 1)
    samples: int = 60_000
    epochs: int = 20
    learning_rate: float = 3e-3
    width: float = 1.0
    formats: tuple[str, ...] = ()
    weights: str | None = None

    def model(self) -> keras.Model:
        """The network before this training.

        Raises:
            DataError: if ``weights`` cannot be read, or is another network.
        """
        keras.utils.set_random_seed(self.seed)
        model = reader_network(self.input_shape, len(LABELS), width=self.width)
        if self.weights is not None:
            trained = load_model(Path(self.weights))
            if [v.shape for v in trained.variables] != [v.shape for v in model.variables]:
                raise DataError(
                    f"{self.weights} is another network than the one asked for: give a reader of the same "
                    "--input-shape and --width"
                )
            model.set_weights(trained.get_weights())
        return model

    def plate_batches(self, pool: PlatePool, epoch: int, *, first: int = 0) -> Iterator[PlateBatch]:
        """The batches of an epoch, from batch ``first`` on."""
        return _batches(pool, self, epoch, self.batch_size, first)


class TextLoss(keras.losses.Loss):
    """CTC (Graves et al. 2006): minus the logarithm of a text's probability, over all alignments with the steps."""

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Gives the loss of each text.

        Args:
            y_true: [B, L], the classes of its characters; zeros, the blank, follow.
            y_pred: [B, T, classes], logits.
        """
        texts = tf.sparse.from_dense(tf.cast(y_true, tf.int32))
        batch, steps = tf.shape(y_pred)[0], tf.shape(y_pred)[1]
        # Of sparse texts TensorFlow computes it in one operator; of dense ones, as Keras has them, in a loop over the
        # steps, which takes many times as long.
        return tf.nn.ctc_loss(texts, y_pred, None, tf.fill([batch], steps), logits_time_major=False, blank_index=0)


def train_reader(recipe: ReaderRecipe, out: Path, *, jobs: int = 1) -> keras.Model:
    """Trains and writes ``out`` (.keras); a second call with the same arguments goes on where the first was stopped.

    What it keeps beside ``out`` is as `stn_rectify.models.training.pose_training.train` keeps it, and
    ``NAME.labels.txt``, its alphabet.

    Args:
        recipe: the network and the training.
        out: the .keras file to write, ``NAME.recognizer.keras``.
        jobs: processes that synthesise plates.

    Returns:
        The trained model.

    Raises:
        DataError: if the folder holds a run with other settings, or a file cannot be read or written.
        KeyboardInterrupt: if Ctrl-C stops it; the state is saved first.
    """
    work = out.with_suffix(".training")
    model = recipe.model()
    pool = _pool(recipe, work / "frames", recipe.samples, recipe.seed, jobs)
    taught = keras.Model(model.input, model.output)  # of the same layers; the optimizer's state is not in the file
    taught.compile(optimizer=averaging_adamw(recipe, _WEIGHT_DECAY), loss=TextLoss(), jit_compile=False)
    others = {"weights": sha256_of_file(Path(recipe.weights))} if recipe.weights else {}
    checkpoint = Checkpoint(work / "checkpoint.npz", asdict(recipe) | others)
    train_epochs(taught, pool, recipe, checkpoint, _truth, batches=recipe.plate_batches)
    count = min(_CALIBRATION_FRAMES, len(pool))
    batch = next(_batches(pool, recipe, recipe.epochs, count))
    write_calibration(out, frames=np.round(batch.frames * 255).astype(np.uint8))
    with partial_file(out.with_name(out.name.removesuffix(RECOGNIZER_SUFFIX) + ".labels.txt")) as partial:
        partial.write_text("".join(f"{label}\n" for label in LABELS), encoding="utf-8")
    write_curve(out, [checkpoint.curve_file])
    save_model(model, out, RECOGNIZER)
    shutil.rmtree(work)
    return model


def held_out_accuracy(
    model: keras.Model, recipe: ReaderRecipe, count: int, work: Path, *, jobs: int = 1
) -> TextAccuracy:
    """Tries a reader on synthesised plates of another seed.

    Args:
        model: the network.
        recipe: its training.
        count: of the plates.
        work: a folder for them, which is removed.
        jobs: processes that synthesise them.

    Raises:
        DataError: if the plates cannot be synthesised or written.
    """
    try:
        pool = _pool(recipe, work, count, recipe.seed + _HOLD_OUT_SEED, jobs)
        batch = next(_batches(pool, recipe, 0, count))
    finally:
        shutil.rmtree(work, ignore_errors=True)
    scores = np.asarray(model.predict(batch.frames, batch_size=256, verbose=0))
    return text_accuracy("synthesised hold-out", scores, batch.texts)


def _pool(recipe: ReaderRecipe, folder: Path, count: int, seed: int, jobs: int) -> PlatePool:
    backgrounds = recipe.folders["backgrounds"]
    return PlatePool(folder, count=count, seed=seed, formats=recipe.formats, backgrounds=backgrounds, jobs=jobs)


def _batches(
    pool: PlatePool, recipe: ReaderRecipe, epoch: int, batch_size: int, first: int = 0
) -> Iterator[PlateBatch]:
    height, width, _ = recipe.input_shape
    return plate_batches(pool, epoch, size=(width, height), batch_size=batch_size, seed=recipe.seed, first=first)


def _truth(batch: PlateBatch) -> Targets:
    return [batch.texts.astype(np.float32)], None
