"""Training of turn networks: by how many quarters a rectified target must be turned to be upright."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from stn_rectify.models.evaluation.turn_accuracy import TurnAccuracy, turn_accuracy
from stn_rectify.models.files import TURN
from stn_rectify.models.network.keras_file import start_from
from stn_rectify.models.network.turn import TURN_DETAILS, turn_network
from stn_rectify.models.training.course.checkpoint import Checkpoint
from stn_rectify.models.training.course.course import Course
from stn_rectify.models.training.course.epochs import Targets, averaging_adamw, train_epochs
from stn_rectify.models.training.course.held_out import held_out_batch
from stn_rectify.models.training.course.result import write_calibration, write_network
from stn_rectify.models.training.pools.turn_pool import TurnPool
from stn_rectify.models.training.samples.turn_batches import TurnBatch, turn_batches

_CALIBRATION_FRAMES = 200


@dataclass(frozen=True)
class TurnRecipe(Course):
    """The settings that decide the trained weights of a turn network.

    Attributes:
        width: factor on the channels.
        weights: a .keras file of such a network, to start from; None to start untrained.
        fonts: a folder of faces for the words of targets, beside those that are always there; None for none.
    """

    input_shape: tuple[int, int, int] = (96, 96, 1)
    samples: int = 16_000
    epochs: int = 20
    batch_size: int = 64
    learning_rate: float = 2.5e-3
    width: float = 1.0
    weights: str | None = None
    fonts: str | None = None

    def model(self) -> keras.Model:
        """The network before this training.

        Raises:
            DataError: if ``weights`` cannot be read, or is another network.
        """
        keras.utils.set_random_seed(self.seed)
        model = turn_network(self.input_shape, width=self.width)
        if self.weights is not None:
            start_from(model, self.weights, "give a turn network of the same --input-shape and --width")
        return model

    def pool(self, folder: Path, count: int, seed: int, jobs: int) -> TurnPool:
        """See `SynthesisedSamples`."""
        fonts = Path(self.fonts) if self.fonts else None
        return TurnPool(folder, count=count, seed=seed, jobs=jobs, fonts=fonts, **self.folders)

    def batches(  # type: ignore[override]  # other samples than frames
        self, pool: TurnPool, epoch: int, *, first: int = 0, batch_size: int | None = None
    ) -> Iterator[TurnBatch]:
        """The batches of an epoch, from batch ``first`` on."""
        size = batch_size or self.batch_size
        return turn_batches(pool, epoch, input_shape=self.input_shape, batch_size=size, seed=self.seed, first=first)


def train_turn(recipe: TurnRecipe, out: Path, *, jobs: int = 1) -> keras.Model:
    """Trains and writes ``out`` (.keras); a second call with the same arguments goes on where the first was stopped.

    What it keeps beside ``out`` is as `stn_rectify.models.training.pose_training.train` keeps it.

    Args:
        recipe: the network and the training.
        out: the .keras file to write, ``NAME.turn.keras``.
        jobs: processes that synthesise targets.

    Returns:
        The trained model.

    Raises:
        DataError: if the folder holds a run with other settings, or a file cannot be read or written.
        KeyboardInterrupt: if Ctrl-C stops it; the state is saved first.
    """
    work = out.with_suffix(".training")
    model = recipe.model()
    pool = recipe.pool(work / "frames", recipe.samples, recipe.seed, jobs)
    model.compile(
        optimizer=averaging_adamw(recipe, weight_decay=1e-3), loss=keras.losses.SparseCategoricalCrossentropy()
    )
    checkpoint = Checkpoint(work / "checkpoint.npz", recipe.settings())
    train_epochs(model, pool, recipe, checkpoint, _truth)
    _write_calibration(pool, recipe, out)
    write_network(model, TURN, out, [checkpoint])
    return model


def held_out_accuracy(model: keras.Model, recipe: TurnRecipe, count: int, work: Path, *, jobs: int = 1) -> TurnAccuracy:
    """Tries a network on synthesised targets of another seed.

    Args:
        model: the network.
        recipe: its training.
        count: of the targets.
        work: a folder for them, which is removed.
        jobs: processes that synthesise them.

    Raises:
        DataError: if the targets cannot be synthesised or written.
    """
    batch = held_out_batch(recipe, count, work, jobs)
    probabilities = np.asarray(model.predict(batch.frames, batch_size=256, verbose=0))
    return turn_accuracy("synthesised hold-out", probabilities, batch.turns)


def _truth(batch: TurnBatch) -> Targets:
    return [batch.turns.astype(np.float32)], None


def _write_calibration(pool: TurnPool, recipe: TurnRecipe, out: Path) -> None:
    """``NAME.turn.calibration.npz``: what the network sees, for stn-convert, the turns of it, and `TURN_DETAILS`."""
    batch = next(recipe.batches(pool, recipe.epochs, batch_size=min(_CALIBRATION_FRAMES, len(pool))))
    frames = np.round(batch.frames * 255).astype(np.uint8)
    write_calibration(out, frames=frames, labels=batch.turns, details=np.float64(TURN_DETAILS))
