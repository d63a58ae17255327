"""Training of readers: networks that read the text of rectified plates."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from stn_rectify.models.evaluation.text_accuracy import TextAccuracy, text_accuracy
from stn_rectify.models.files import RECOGNIZER
from stn_rectify.models.network.keras_file import start_from
from stn_rectify.models.network.reader import reader_network
from stn_rectify.models.synthesis.targets.legible_plates.texts import CHARACTERS
from stn_rectify.models.training.course.checkpoint import Checkpoint
from stn_rectify.models.training.course.course import Course
from stn_rectify.models.training.course.epochs import Targets, averaging_adamw, train_epochs
from stn_rectify.models.training.course.held_out import held_out_batch
from stn_rectify.models.training.course.result import write_calibration, write_labels, write_network
from stn_rectify.models.training.pools.plate_pool import PlatePool
from stn_rectify.models.training.samples.plate_batches import READER_MARGIN, PlateBatch, plate_batches

#: The classes of a reader, as ``stn-convert`` and the runtime know them: Keras counts the blank as class 0.
LABELS = ("<blank>", *CHARACTERS)
_CALIBRATION_FRAMES = 400
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
            start_from(model, self.weights, "give a reader of the same --input-shape and --width")
        return model

    def pool(self, folder: Path, count: int, seed: int, jobs: int) -> PlatePool:
        """See `SynthesisedSamples`."""
        backgrounds = self.folders["backgrounds"]
        return PlatePool(folder, count=count, seed=seed, formats=self.formats, backgrounds=backgrounds, jobs=jobs)

    def batches(  # type: ignore[override]  # other samples than frames
        self, pool: PlatePool, epoch: int, *, first: int = 0, batch_size: int | None = None
    ) -> Iterator[PlateBatch]:
        """The batches of an epoch, from batch ``first`` on."""
        (height, width, _), count = self.input_shape, batch_size or self.batch_size
        return plate_batches(pool, epoch, size=(width, height), batch_size=count, seed=self.seed, first=first)


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
    pool = recipe.pool(work / "frames", recipe.samples, recipe.seed, jobs)
    taught = keras.Model(model.input, model.output)  # of the same layers; the optimizer's state is not in the file
    taught.compile(optimizer=averaging_adamw(recipe, _WEIGHT_DECAY), loss=TextLoss(), jit_compile=False)
    checkpoint = Checkpoint(work / "checkpoint.npz", recipe.settings())
    train_epochs(taught, pool, recipe, checkpoint, _truth)
    batch = next(recipe.batches(pool, recipe.epochs, batch_size=min(_CALIBRATION_FRAMES, len(pool))))
    frames = np.round(batch.frames * 255).astype(np.uint8)
    write_calibration(out, frames=frames, margin=np.float64(READER_MARGIN))
    write_labels(out, LABELS)
    write_network(model, RECOGNIZER, out, [checkpoint])
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
    batch = held_out_batch(recipe, count, work, jobs)
    scores = np.asarray(model.predict(batch.frames, batch_size=256, verbose=0))
    return text_accuracy("synthesised hold-out", scores, batch.texts)


def _truth(batch: PlateBatch) -> Targets:
    return [batch.texts.astype(np.float32)], None
