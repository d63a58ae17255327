"""Training a localization network by pose supervision: corners of synthesised frames."""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import keras
import numpy as np

from stn_rectify.models.checkpoint import Checkpoint
from stn_rectify.models.losses import CornerLoss
from stn_rectify.models.partial_file import partial_file
from stn_rectify.models.progress import Progress
from stn_rectify.models.stn import lightweight_stn
from stn_rectify.models.training_frames import FramePool, batches
from stn_rectify.runtime.errors import DataError

__all__ = ["TrainingRecipe", "pose_predictor", "train"]

_CALIBRATION_FRAMES = 200

_Item = TypeVar("_Item")


@dataclass(frozen=True)
class TrainingRecipe:
    """All that decides the trained weights; the arguments of `lightweight_stn` and of the training."""

    input_shape: tuple[int, int, int] = (64, 64, 3)
    transform: str = "projective"
    output_shape: tuple[int, int] | None = None
    localization: str = "profiles"
    localization_shape: tuple[int, int] | None = None
    width: float = 1.0
    features: int = 48
    padding: str = "zeros"
    samples: int = 20_000
    epochs: int = 20
    batch_size: int = 128
    learning_rate: float = 3e-3
    seed: int = 0
    backgrounds: str | None = None

    def model(self) -> keras.Model:
        """The untrained network."""
        keras.utils.set_random_seed(self.seed)
        return lightweight_stn(
            self.input_shape,
            transform=self.transform,
            output_shape=self.output_shape,
            localization=self.localization,
            localization_shape=self.localization_shape,
            width=self.width,
            features=self.features,
            padding=self.padding,
        )


def train(recipe: TrainingRecipe, out: Path, *, jobs: int = 1) -> keras.Model:
    """Trains and writes ``out`` (.keras); a second call with the same arguments goes on where the first was stopped.

    Beside ``out`` it keeps a folder ``NAME.training`` with the frames and the checkpoint, and removes it at the end;
    ``NAME.calibration.npz``, frames for ``stn-convert``, stays.

    Args:
        recipe: the network and the training.
        out: the .keras file.
        jobs: processes that synthesise frames.

    Returns:
        The trained model.

    Raises:
        DataError: the folder holds a run with other settings, or a file cannot be read or written.
        KeyboardInterrupt: after the state was saved.
    """
    work = out.with_suffix(".training")
    stn = recipe.model()
    height, width = recipe.localization_shape or recipe.input_shape[:2]
    pool = FramePool(
        work / "frames",
        count=recipe.samples,
        size=max(2 * height, 2 * width, *recipe.input_shape[:2]),
        seed=recipe.seed,
        backgrounds=Path(recipe.backgrounds) if recipe.backgrounds else None,
        jobs=jobs,
    )
    pose = keras.Model(stn.input, [stn.get_layer("theta").output, stn.get_layer("score").output])
    steps = recipe.samples // recipe.batch_size
    pose.compile(
        optimizer=keras.optimizers.AdamW(
            keras.optimizers.schedules.CosineDecay(
                recipe.learning_rate / 20,
                decay_steps=steps * recipe.epochs,
                warmup_target=recipe.learning_rate,
                warmup_steps=min(500, steps * recipe.epochs // 10),
            ),
            weight_decay=1e-4,
            use_ema=True,
            # Averages the last eighth of a short run, 1000 steps of a long one.
            ema_momentum=1 - 1 / min(max(steps * recipe.epochs / 8, 10), 1000),
        ),
        loss=[CornerLoss(), keras.losses.BinaryCrossentropy()],
        loss_weights=[1.0, 0.05],
    )
    checkpoint = Checkpoint(work / "checkpoint.npz", asdict(recipe))
    epoch, batch = checkpoint.load(pose)
    for number in range(epoch, recipe.epochs):
        _train_epoch(pose, pool, recipe, number, batch, checkpoint)
        batch = 0
    pose.optimizer.finalize_variable_values(pose.trainable_variables)
    _write_calibration(pool, recipe, out)
    with partial_file(out) as partial:
        stn.save(partial)
    shutil.rmtree(work)
    return stn


def _write_calibration(pool: FramePool, recipe: TrainingRecipe, out: Path) -> None:
    """``NAME.calibration.npz``: frames for stn-convert, as the network saw them."""
    count = min(_CALIBRATION_FRAMES, len(pool))
    batch = next(batches(pool, recipe.epochs, input_shape=recipe.input_shape, batch_size=count, seed=recipe.seed))
    content = io.BytesIO()
    np.savez_compressed(content, frames=np.round(batch.frames * 255).astype(np.uint8))
    with partial_file(out.with_suffix(".calibration.npz")) as partial:
        partial.write_bytes(content.getbuffer())


def _train_epoch(
    pose: keras.Model, pool: FramePool, recipe: TrainingRecipe, epoch: int, first: int, checkpoint: Checkpoint
) -> None:
    steps = recipe.samples // recipe.batch_size
    drawn = batches(
        pool,
        epoch,
        input_shape=recipe.input_shape,
        batch_size=recipe.batch_size,
        seed=recipe.seed,
        first=first,
    )
    label = f"epoch {epoch + 1}/{recipe.epochs}"
    step, losses = first, []
    try:
        with Progress(label, steps, first, "step") as progress:
            for batch in _one_ahead(drawn):
                weights = [batch.present[:, 0], np.ones(len(batch.present), np.float32)]
                loss = pose.train_on_batch(batch.frames, [batch.corners, batch.present], sample_weight=weights)
                losses.append(float(np.ravel(loss)[0]))
                step += 1
                progress.advance(1, f"loss {losses[-1]:.4f}")
    except KeyboardInterrupt:
        checkpoint.save(pose, epoch, step)
        raise
    checkpoint.save(pose, epoch + 1, 0)
    print(f"{label}  loss {losses[-1] if losses else float('nan'):.4f}", flush=True)


def _one_ahead(items: Iterator[_Item]) -> Iterator[_Item]:
    """The same items, the next one being made in a thread while the current one is used."""
    end: Any = object()
    with ThreadPoolExecutor(1) as thread:
        coming = thread.submit(next, items, end)
        while (item := coming.result()) is not end:
            coming = thread.submit(next, items, end)
            yield item


def pose_predictor(model: keras.Model) -> Any:
    """``predict`` for `stn_rectify.models.validation.corner_errors` from a Keras STN.

    Raises:
        DataError: the model has no layer ``theta`` of six or eight values, or another input than one image.
    """
    names = [name for name in ("theta", "score") if any(layer.name == name for layer in model.layers)]
    if "theta" not in names or model.get_layer("theta").output.shape[1:] not in ((6,), (8,)):
        raise DataError('no Spatial Transformer Network: it needs a layer named "theta" of 6 or 8 values')
    shape = model.input_shape
    if not isinstance(shape, tuple) or len(shape) != 4 or None in shape[1:] or shape[3] not in (1, 3):
        raise DataError(f"its input must be one image of a fixed size, [batch, height, width, 1 or 3], not {shape}")
    pose = keras.Model(model.input, [model.get_layer(name).output for name in names])

    def predict(frames: Any) -> Any:
        outputs = [np.asarray(o) for o in pose.predict(frames, batch_size=64, verbose=0)]
        return outputs[0], outputs[1] if len(outputs) > 1 else None

    return predict
