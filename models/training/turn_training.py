"""Training of turn networks: by how many quarters a rectified target must be turned to be upright."""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import keras
import numpy as np
import numpy.typing as npt

from stn_rectify.models.files import TURN, partial_file, sha256_of_file
from stn_rectify.models.network.keras_file import load_model, save_model
from stn_rectify.models.network.turn import plain_turn_network, quarter_weights, turn_network
from stn_rectify.models.training.checkpoint import Checkpoint
from stn_rectify.models.training.course import Course, Targets, averaging_adamw, train_epochs
from stn_rectify.models.training.curve import write_curve
from stn_rectify.models.training.turn_batches import TurnBatch, TurnPool, turn_batches
from stn_rectify.runtime.errors import DataError
from stn_rectify.runtime.model.metadata import TURN_THRESHOLD

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

    input_shape: tuple[int, int, int] = (128, 128, 1)
    samples: int = 16_000
    epochs: int = 30
    width: float = 1.0
    weights: str | None = None

    def model(self) -> keras.Model:
        """The network before this training, its filters in one orientation.

        Raises:
            DataError: if ``weights`` cannot be read, or is another network.
        """
        keras.utils.set_random_seed(self.seed)
        model = turn_network(self.input_shape, width=self.width)
        if self.weights is not None:
            trained, plain = load_model(Path(self.weights)), plain_turn_network(model)
            if [(v.name, v.shape) for v in trained.variables] != [(v.name, v.shape) for v in plain.variables]:
                raise DataError(
                    f"{self.weights} is another network than the one asked for: give a turn network of the same "
                    "--input-shape and --width"
                )
            quarter_weights(model, trained)
        return model

    def turn_batches(self, pool: TurnPool, epoch: int, *, first: int = 0) -> Iterator[TurnBatch]:
        """The batches of an epoch, from batch ``first`` on."""
        return turn_batches(
            pool, epoch, input_shape=self.input_shape, batch_size=self.batch_size, seed=self.seed, first=first
        )


@dataclass(frozen=True)
class TurnAccuracy:
    """How well a turn network does on targets whose turn is known; ``str()`` is a line.

    Attributes:
        count: of looks.
        right: share that the most probable turn makes upright.
        sure: share of which the network is sure: its probability reaches the threshold.
        wrong_upright: share of the looks at upright targets that are turned, although they should not.
        threshold: from which on a turn is taken.
    """

    count: int
    right: float
    sure: float
    wrong_upright: float
    threshold: float

    def __str__(self) -> str:
        return (
            f"{self.count} rectified targets turned by quarters: {100 * self.right:.1f} % right, sure (from "
            f"{self.threshold:.2f} on) in {100 * self.sure:.1f} %; {100 * self.wrong_upright:.2f} % of those upright "
            "are turned"
        )


def turn_accuracy(
    probabilities: npt.NDArray[np.float32], turns: npt.NDArray[np.int32], threshold: float = TURN_THRESHOLD
) -> TurnAccuracy:
    """Counts how often a turn network is right.

    Args:
        probabilities: [N, 4], what it gives.
        turns: [N], what it should have given.
        threshold: from which probability on a turn is taken.
    """
    best, sure = probabilities.argmax(axis=1), probabilities.max(axis=1) >= threshold
    upright = turns == 0
    wrong = float(((best != 0) & sure)[upright].mean()) if upright.any() else 0.0
    return TurnAccuracy(len(turns), float((best == turns).mean()), float(sure.mean()), wrong, threshold)


def train_turn(recipe: TurnRecipe, out: Path, *, jobs: int = 1) -> keras.Model:
    """Trains and writes ``out`` (.keras); a second call with the same arguments goes on where the first was stopped.

    What it keeps beside ``out`` is as `stn_rectify.models.training.pose_training.train` keeps it.

    Args:
        recipe: the network and the training.
        out: the .keras file to write, ``NAME.turn.keras``.
        jobs: processes that synthesise targets.

    Returns:
        The trained model, of ordinary convolutions.

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
    plain = plain_turn_network(model)
    _write_calibration(pool, recipe, out)
    write_curve(out, [checkpoint.curve_file])
    save_model(plain, out, TURN)
    shutil.rmtree(work)
    return plain


def evaluate_turn(model: keras.Model, recipe: TurnRecipe, count: int, work: Path, *, jobs: int = 1) -> TurnAccuracy:
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
    probabilities = np.asarray(model.predict(batch.frames, batch_size=256, verbose=0), np.float32)
    return turn_accuracy(probabilities, batch.turns)


def _pool(recipe: TurnRecipe, folder: Path, count: int, seed: int, jobs: int) -> TurnPool:
    backgrounds = Path(recipe.backgrounds) if recipe.backgrounds else None
    targets = Path(recipe.targets) if recipe.targets else None
    return TurnPool(folder, count=count, seed=seed, backgrounds=backgrounds, targets=targets, jobs=jobs)


def _truth(batch: TurnBatch) -> Targets:
    return [batch.turns], None


def _write_calibration(pool: TurnPool, recipe: TurnRecipe, out: Path) -> None:
    """``NAME.turn.calibration.npz``: rectified targets for stn-convert as the network sees them, and their turns."""
    count = min(_CALIBRATION_FRAMES, len(pool))
    settings = {"input_shape": recipe.input_shape, "batch_size": count, "seed": recipe.seed}
    batch = next(turn_batches(pool, recipe.epochs, **settings))
    content = io.BytesIO()
    np.savez_compressed(content, frames=np.round(batch.frames * 255).astype(np.uint8), labels=batch.turns)
    with partial_file(out.with_suffix(".calibration.npz")) as partial:
        partial.write_bytes(content.getbuffer())
