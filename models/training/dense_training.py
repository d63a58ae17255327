"""Training of dense localization networks on synthesised scenes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import keras
import numpy as np
from keras import ops

from stn_rectify.models.files import DENSE
from stn_rectify.models.network.dense import SCORES, any_size, dense_localization
from stn_rectify.models.network.keras_file import load_model
from stn_rectify.models.training.course.checkpoint import Checkpoint
from stn_rectify.models.training.course.course import RealCourse, course_scenes
from stn_rectify.models.training.course.epochs import Targets, averaging_adamw, train_epochs
from stn_rectify.models.training.course.result import write_calibration, write_network
from stn_rectify.models.training.pools.scene_pool import ScenePool
from stn_rectify.models.training.samples.dense_batches import DenseBatch, dense_batches
from stn_rectify.runtime.errors import DataError

_CALIBRATION_FRAMES = 120
#: Where smooth-L1 turns from square to straight, as a share of the target's size.
_BETA = 0.03
#: What a network may be asked to find, in the order of `SCORES`.
_FINDS = ("all", "plates")
_CORNER_WEIGHT = 3.0


@keras.saving.register_keras_serializable(package="stn_rectify")
class DenseScoreLoss(keras.losses.Loss):
    """Focal loss (Lin et al. 2017, arXiv 1708.02002) of logits [B, h, w, S], for each cell that sees a target."""

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """``y_true`` [B, h, w, 2 · S]: present, and whether a cell counts."""
        size = y_pred.shape[-1]
        present, counts = y_true[..., :size], y_true[..., size:]
        probability = ops.sigmoid(y_pred)
        entropy = ops.maximum(y_pred, 0.0) - y_pred * present + ops.log1p(ops.exp(-ops.abs(y_pred)))
        weight = ops.where(present > 0, 0.5 * (1 - probability) ** 2, 0.75 * counts * probability**2)
        return ops.sum(entropy * weight) / (ops.sum(present) + 4.0)


@keras.saving.register_keras_serializable(package="stn_rectify")
class DenseCornerLoss(keras.losses.Loss):
    """Smooth-L1 distance of the corners [B, h, w, 8] as a share of the target's size, for each cell that sees one."""

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """``y_true`` [B, h, w, 10]: corners, size, and whether a cell sees a target."""
        corners, size, sees = y_true[..., :8], y_true[..., 8:9], y_true[..., 9]
        distance = ops.abs(corners - y_pred) / size
        loss = ops.where(distance < _BETA, distance**2 / (2 * _BETA), distance - _BETA / 2)
        return ops.sum(ops.mean(loss, axis=-1) * sees) / (ops.sum(sees) + 4.0)


@dataclass(frozen=True)
class DenseRecipe(RealCourse):
    """The settings that decide the trained weights of a dense network.

    Attributes:
        negatives: a folder of photographs without a target; None for none.
        width: factor on the channels.
        find: ``"all"`` or ``"plates"``: which of the two scores the written network keeps; both are trained.
            ``"both"``: it keeps them, for further trainings to start from.
        weights: a .keras file of such a network, to start from; None to start untrained.
    """

    input_shape: tuple[int, int, int] = (240, 320, 3)
    batch_size: int = 16
    learning_rate: float = 2e-3
    negatives: str | None = None
    width: float = 1.0
    find: str = "all"
    weights: str | None = None

    def model(self) -> keras.Model:
        """The network before this training.

        Raises:
            DataError: if ``weights`` cannot be read, or is another network.
        """
        keras.utils.set_random_seed(self.seed)
        model = dense_localization(self.input_shape, width=self.width)
        if self.weights is not None:
            _take_weights(model, load_model(Path(self.weights)), self.weights)
        return model

    def batches(  # type: ignore[override]  # scenes, not frames with one target
        self, pool: ScenePool, epoch: int, *, first: int = 0, batch_size: int | None = None
    ) -> Iterator[DenseBatch]:
        """The batches of an epoch, from batch ``first`` on."""
        size = batch_size or self.batch_size
        return dense_batches(
            pool, epoch, batch_size=size, seed=self.seed, first=first, mirrors=not self.has_own_targets
        )


def train_dense(recipe: DenseRecipe, out: Path, *, jobs: int = 1) -> keras.Model:
    """Trains and writes ``out`` (.keras); a second call with the same arguments goes on where the first was stopped.

    What it keeps beside ``out`` is as `stn_rectify.models.training.pose_training.train` keeps it.

    Args:
        recipe: the network and the training.
        out: the .keras file to write.
        jobs: processes that synthesise scenes.

    Returns:
        The trained model.

    Raises:
        DataError: if the folder holds a run with other settings, or a file cannot be read or written.
        KeyboardInterrupt: if Ctrl-C stops it; the state is saved first.
    """
    work = out.with_suffix(".training")
    model = recipe.model()
    real = recipe.read_frames()
    pool = course_scenes(recipe, recipe.negatives, work, jobs, real)
    trained = any_size(model)
    trained.compile(
        optimizer=averaging_adamw(recipe, weight_decay=1e-4),
        loss=[DenseScoreLoss(), DenseCornerLoss()],
        loss_weights=[1.0, _CORNER_WEIGHT],
    )
    checkpoint = Checkpoint(work / "checkpoint.npz", recipe.settings(real))
    train_epochs(trained, pool, recipe, checkpoint, _truth)
    _write_calibration(pool, recipe, out)
    model.set_weights(trained.get_weights())
    found = model if recipe.find == "both" else with_one_score(model, _FINDS.index(recipe.find), recipe.width)
    write_network(found, DENSE, out, [checkpoint])
    return found


def with_one_score(model: keras.Model, score: int, factor: float = 1.0) -> keras.Model:
    """The dense network with one of its scores only.

    Args:
        model: the network.
        score: the number of the score.
        factor: on its channels.
    """
    _, height, width, channels = model.input_shape
    one = dense_localization((height, width, channels), scores=1, width=factor)
    for layer in one.layers:
        weights = model.get_layer(layer.name).get_weights()
        if layer.name == "scores":
            weights = [array[..., score : score + 1] for array in weights]
        layer.set_weights(weights)
    return one


def _take_weights(model: keras.Model, trained: keras.Model, file: str) -> None:
    """Starts a network of all scores from one that may have a single one, which each of them then starts from."""
    try:
        for layer in model.layers:
            weights = trained.get_layer(layer.name).get_weights()
            if layer.name == "scores":
                weights = [np.repeat(w, len(SCORES) // w.shape[-1], axis=-1) for w in weights]
            layer.set_weights(weights)
    except ValueError as error:
        raise DataError(
            f"{file} is another network than the one asked for: give a dense network of the same --width"
        ) from error


def _truth(batch: DenseBatch) -> Targets:
    return [batch.present, batch.corners], None


def _write_calibration(pool: ScenePool, recipe: DenseRecipe, out: Path) -> None:
    """``NAME.calibration.npz``: whole frames for stn-convert at the network's size, RGB."""
    height, width, _ = recipe.input_shape
    count = min(_CALIBRATION_FRAMES, len(pool))
    shrunk = [cv2.resize(pool.frames[k], (width, height), interpolation=cv2.INTER_AREA) for k in range(count)]
    write_calibration(out, frames=np.stack(shrunk)[..., ::-1])
