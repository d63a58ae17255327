"""Training a localization network by pose supervision: corners of synthesised frames."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import keras

from stn_rectify.models.checkpoint import Checkpoint
from stn_rectify.models.course import Course, averaging_adamw, course_frames, train_epochs, write_result
from stn_rectify.models.files import load_model
from stn_rectify.models.pose_supervision import pose_loss, pose_model, pose_truth
from stn_rectify.models.refine_crops import crop_drawer
from stn_rectify.models.stn import lightweight_stn
from stn_rectify.models.training_frames import Draw
from stn_rectify.runtime.errors import DataError
from stn_rectify.runtime.geometry import THETA_SIZE

__all__ = ["REFINE_MARGIN", "TrainingRecipe", "pose_predictor", "train"]

#: What the crops of a refine network show around the target, as a share of its side.
REFINE_MARGIN = 0.2


@dataclass(frozen=True)
class TrainingRecipe(Course):
    """All that decides the trained weights; the arguments of `lightweight_stn` and of the training.

    Attributes:
        refine_margin: of the crops that a refine network sees (`stn_rectify.runtime.target_crop`); None for a network
            that sees whole frames.
        weights: a .keras file of such a network, to start from; None to start untrained.
    """

    transform: str = "projective"
    output_shape: tuple[int, int] | None = None
    body: str = "separable"
    localization: str = "profiles"
    localization_shape: tuple[int, int] | None = None
    width: float = 1.0
    features: int = 48
    padding: str = "zeros"
    refine_margin: float | None = None
    weights: str | None = None

    @property
    def draw(self) -> Draw:
        """Crops around the target for a refine network, else looks at the whole frame."""
        if self.refine_margin is None:
            return super().draw
        return crop_drawer(self.refine_margin, turns=self.targets is None)

    def model(self) -> keras.Model:
        """The network before this training.

        Raises:
            DataError: ``weights`` cannot be read, or is another network.
        """
        keras.utils.set_random_seed(self.seed)
        model = lightweight_stn(
            self.input_shape,
            transform=self.transform,
            output_shape=self.output_shape,
            body=self.body,
            localization=self.localization,
            localization_shape=self.localization_shape,
            width=self.width,
            features=self.features,
            padding=self.padding,
            initial_scale=1 / (1 + 2 * (self.refine_margin or 0)),
        )
        if self.weights is not None:
            trained = load_model(Path(self.weights))
            if [v.shape for v in trained.variables] != [v.shape for v in model.variables]:
                raise DataError(
                    f"{self.weights} is another network than the one asked for: give the network's options with which "
                    "it was trained (--body, --width, ...)"
                )
            model.set_weights(trained.get_weights())
        return model


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
    refines = recipe.refine_margin is not None
    seen = recipe.localization_shape or recipe.input_shape[:2]
    pool = course_frames(recipe, work, seen, jobs, refines=refines)
    pose = pose_model(stn)
    pose.compile(optimizer=averaging_adamw(recipe, weight_decay=1e-4), **pose_loss(pose, refines=refines))
    checkpoint = Checkpoint(work / "checkpoint.npz", asdict(recipe))
    train_epochs(pose, pool, recipe, checkpoint, lambda batch: pose_truth(pose, batch))
    write_result(stn, pool, recipe, out)
    return stn


def pose_predictor(model: keras.Model) -> Any:
    """``predict`` for `stn_rectify.models.validation.corner_errors` from a Keras STN.

    Raises:
        DataError: the model has no layer ``theta`` of 6, 8 or 32 values, or another input than one image.
    """
    names = [name for name in ("theta", "score") if any(layer.name == name for layer in model.layers)]
    sizes = [(size,) for size in THETA_SIZE.values()]
    if "theta" not in names or model.get_layer("theta").output.shape[1:] not in sizes:
        raise DataError('no Spatial Transformer Network: it needs a layer named "theta" of 6, 8 or 32 values')
    shape = model.input_shape
    if not isinstance(shape, tuple) or len(shape) != 4 or None in shape[1:] or shape[3] not in (1, 3):
        raise DataError(f"its input must be one image of a fixed size, [batch, height, width, 1 or 3], not {shape}")
    pose = keras.Model(model.input, {name: model.get_layer(name).output for name in names})

    def predict(frames: Any) -> Any:
        outputs = pose.predict(frames, batch_size=64, verbose=0)
        return outputs["theta"], outputs.get("score")

    return predict
