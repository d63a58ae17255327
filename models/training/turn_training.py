"""Training of turn networks: by how many quarters a rectified target must be turned to be upright."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import keras
import numpy as np

from stn_rectify.models.evaluation.turn_accuracy import TurnAccuracy, turn_accuracy
from stn_rectify.models.files import TURN, sha256_of_file
from stn_rectify.models.network.keras_file import load_model, save_model
from stn_rectify.models.network.turn import TURN_DETAILS, turn_network
from stn_rectify.models.training.course.checkpoint import Checkpoint
from stn_rectify.models.training.course.course import Course
from stn_rectify.models.training.course.curve import write_curve
from stn_rectify.models.training.course.epochs import Targets, averaging_adamw, train_epochs
from stn_rectify.models.training.course.result import write_calibration
from stn_rectify.models.training.pools.turn_pool import TurnPool
from stn_rectify.models.training.samples.turn_batches import TurnBatch, turn_batches
from stn_rectify.runtime.errors import DataError

_CALIBRATION_FRAMES = 200
#: Keeps the held-out targets apart from all that a training of another seed sees.
_HOLD_OUT_SEED = 2_000_000


@dataclass(frozen=True)
class TurnRecipe(Course):
    """The settings that decide the trained weights of a turn network.

    Attributes:
        width: factor on the channels.
        weights: a .keras file of such a network, to start from; None to start untrained.
    """

    input_shape: tuple[int, int, int] = (96, 96, 1)
    samples: int = 16_000
    epochs: int = 20
    batch_size: int = 64
    learning_rate: float = 2.5e-3
    width: float = 1.0
    weights: str | None = None

    def model(self) -> keras.Model:
        """The network before this training.

        Raises:
            DataError: if ``weights`` cannot be read, or is another network.
        """
        keras.utils.set_random_seed(self.seed)
        model = turn_network(self.input_shape, width=self.width)
        if self.weights is not None:
            trained = load_model(Path(self.weights))
            if [(v.name, v.shape) for v in trained.variables] != [(v.name, v.shape) for v in model.variables]:
                raise DataError(
                    f"{self.weights} is another network than the one asked for: give a turn network of the same "
                    "--input-shape and --width"
                )
            model.set_weights(trained.get_weights())
        return model

    def turn_batches(self, pool: TurnPool, epoch: int, *, first: int = 0) -> Iterator[TurnBatch]:
        """The batches of an epoch, from batch ``first`` on."""
        return turn_batches(
            pool, epoch, input_shape=self.input_shape, batch_size=self.batch_size, seed=self.seed, first=first
        )


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
    pool = _pool(recipe, work / "frames", recipe.samples, recipe.seed, jobs)
    model.compile(
        optimizer=averaging_adamw(recipe, weight_decay=1e-3), loss=keras.losses.SparseCategoricalCrossentropy()
    )
    others = {"weights": sha256_of_file(Path(recipe.weights))} if recipe.weights else {}
    checkpoint = Checkpoint(work / "checkpoint.npz", asdict(recipe) | others)
    train_epochs(model, pool, recipe, checkpoint, _truth, batches=recipe.turn_batches)
    _write_calibration(pool, recipe, out)
    write_curve(out, [checkpoint.curve_file])
    save_model(model, out, TURN)
    shutil.rmtree(work)
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
    try:
        pool = _pool(recipe, work, count, recipe.seed + _HOLD_OUT_SEED, jobs)
        batch = next(turn_batches(pool, 0, input_shape=recipe.input_shape, batch_size=count, seed=recipe.seed))
    finally:
        shutil.rmtree(work, ignore_errors=True)
    probabilities = np.asarray(model.predict(batch.frames, batch_size=256, verbose=0))
    return turn_accuracy("synthesised hold-out", probabilities, batch.turns)


def _pool(recipe: TurnRecipe, folder: Path, count: int, seed: int, jobs: int) -> TurnPool:
    return TurnPool(folder, count=count, seed=seed, jobs=jobs, **recipe.folders)


def _truth(batch: TurnBatch) -> Targets:
    return [batch.turns.astype(np.float32)], None


def _write_calibration(pool: TurnPool, recipe: TurnRecipe, out: Path) -> None:
    """``NAME.turn.calibration.npz``: what the network sees, for stn-convert, the turns of it, and `TURN_DETAILS`."""
    count = min(_CALIBRATION_FRAMES, len(pool))
    shape = recipe.input_shape
    batch = next(turn_batches(pool, recipe.epochs, input_shape=shape, batch_size=count, seed=recipe.seed))
    frames = np.round(batch.frames * 255).astype(np.uint8)
    write_calibration(out, frames=frames, labels=batch.turns, details=np.float64(TURN_DETAILS))
