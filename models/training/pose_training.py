"""Training a localization network by pose supervision: corners of synthesised frames."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import keras

from stn_rectify.models.files import load_model
from stn_rectify.models.stn import lightweight_stn
from stn_rectify.models.training.checkpoint import Checkpoint
from stn_rectify.models.training.course import Course, averaging_adamw, course_frames, train_epochs, write_result
from stn_rectify.models.training.frame_batches import Draw
from stn_rectify.models.training.pose_supervision import pose_loss, pose_model, pose_truth
from stn_rectify.models.training.refine_crops import crop_drawer
from stn_rectify.models.training.scan_poses import scan_poses
from stn_rectify.runtime.errors import DataError

__all__ = ["REFINE_MARGIN", "TrainingRecipe", "train"]

#: What the crops of a refine network show around the target, as a share of its side.
REFINE_MARGIN = 0.2


@dataclass(frozen=True)
class TrainingRecipe(Course):
    """All that decides the trained weights; the arguments of `lightweight_stn` and of the training.

    Attributes:
        refine_margin: of the crops that a refine network sees (`stn_rectify.runtime.target_crop`); None for a network
            that sees whole frames.
        scan: a .keras file of the scan network whose poses the refine network will be given; a part of the crops is
            then drawn where it looks. None to draw all of them around the targets.
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
    scan: str | None = None
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

    Beside ``out`` it keeps a folder ``NAME.training`` with the frames, the checkpoint and the curve so far, and removes
    it at the end; ``NAME.calibration.npz``, frames for ``stn-convert``, stays, and so do ``NAME.curve.csv`` and
    ``NAME.curve.png``, the losses of each epoch and their picture.

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
    if recipe.scan is not None:
        pool.scan_poses = scan_poses(Path(recipe.scan), pool)
    pose = pose_model(stn)
    pose.compile(optimizer=averaging_adamw(recipe, weight_decay=1e-4), **pose_loss(pose, refines=refines))
    checkpoint = Checkpoint(work / "checkpoint.npz", asdict(recipe))
    train_epochs(pose, pool, recipe, checkpoint, lambda batch: pose_truth(pose, batch))
    write_result(stn, pool, recipe, out, [checkpoint])
    return stn
