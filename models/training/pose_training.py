"""Training of localization networks on frames with known corners: supervision by these and by presence."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np

from stn_rectify.models.files import DENSE
from stn_rectify.models.network.keras_file import network_kind, start_from
from stn_rectify.models.network.poses import CornerLoss, pose_model
from stn_rectify.models.network.stn import lightweight_stn
from stn_rectify.models.training.course.checkpoint import Checkpoint
from stn_rectify.models.training.course.course import RealCourse, course_frames, course_scenes
from stn_rectify.models.training.course.epochs import Targets, averaging_adamw, train_epochs
from stn_rectify.models.training.course.result import write_result
from stn_rectify.models.training.pools.frame_pool import FramePool
from stn_rectify.models.training.pools.real_frames import RealFrames
from stn_rectify.models.training.pools.stored_pool import StoredPool
from stn_rectify.models.training.samples.dense_candidates import best_poses, dense_candidates
from stn_rectify.models.training.samples.frame_batches import Batch, Draw
from stn_rectify.models.training.samples.joint_pool import JointPool, draw_joint
from stn_rectify.models.training.samples.refine_crops import crop_drawer
from stn_rectify.models.training.samples.scan_poses import ScanNetwork
from stn_rectify.models.training.samples.scene_crops import scene_crop_drawer

# Where smooth-L1 turns from square to straight, normalised: a refine network's last errors are a hundredth of the crop.
_BETA, _REFINE_BETA = 0.05, 0.01
_SCORE_WEIGHT = 0.15  # of the score's cross-entropy beside the corners' loss


def pose_loss(pose: keras.Model, *, refines: bool) -> dict[str, Any]:
    """Gives the arguments of ``compile`` for a `pose_model`; ``refines`` says that it is that of a refine network."""
    corners = CornerLoss(beta=_REFINE_BETA, size_weight=0) if refines else CornerLoss(beta=_BETA)
    count = len(pose.outputs)
    return {"loss": [corners, keras.losses.BinaryCrossentropy()][:count], "loss_weights": [1.0, _SCORE_WEIGHT][:count]}


def pose_truth(pose: keras.Model, batch: Batch) -> Targets:
    """Gives the right outputs of a `pose_model`: corners count where there is a target, the score everywhere."""
    count = len(pose.outputs)
    everywhere = np.ones(len(batch.present), np.float32)
    return [batch.corners, batch.present][:count], [batch.present[:, 0], everywhere][:count]


@dataclass(frozen=True)
class TrainingRecipe(RealCourse):
    """The settings that decide the trained weights: the arguments of `lightweight_stn` and of the training.

    Attributes:
        scan: a .keras file of the scan network whose poses the refine network will be given; a part of the crops is
            then drawn where it looks. None to draw all of them around the targets.
        negatives: with a dense network as ``scan``: a folder of photographs without a target; None for none.
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
    scan: str | None = None
    negatives: str | None = None
    weights: str | None = None

    @property
    def behind_dense(self) -> bool:
        """Whether it is a refine network that corrects the poses of a dense one."""
        return self.scan is not None and network_kind(Path(self.scan)) == DENSE

    @property
    def draw(self) -> Draw:
        """The function that makes a sample of a frame; behind a dense network, of a frame or a scene."""
        return draw_joint if self.behind_dense else super().draw

    @property
    def pool_samples(self) -> int:
        """See `RealCourse.pool_samples`; behind a dense network there are two pools, each of half the samples."""
        return self.samples // 2 if self.behind_dense else self.samples

    def model(self) -> keras.Model:
        """The network before this training.

        Raises:
            DataError: if ``weights`` cannot be read, or is another network.
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
            remedy = "give the network's options with which it was trained (--body, --width, ...)"
            start_from(model, self.weights, remedy)
        return model


def train(recipe: TrainingRecipe, out: Path, *, jobs: int = 1) -> keras.Model:
    """Trains and writes ``out`` (.keras); a second call with the same arguments goes on where the first was stopped.

    Beside ``out`` it keeps a folder ``NAME.training`` with the frames, the checkpoint and the curve so far, and removes
    it at the end; ``NAME.calibration.npz``, frames for ``stn-convert``, stays, and so do ``NAME.curve.csv`` and
    ``NAME.curve.png``, the losses of each epoch and their picture.

    Args:
        recipe: the network and the training.
        out: the .keras file to write.
        jobs: processes that synthesise frames.

    Returns:
        The trained model.

    Raises:
        DataError: if the folder holds a run with other settings, or a file cannot be read or written.
        KeyboardInterrupt: if Ctrl-C stops it; the state is saved first.
    """
    work = out.with_suffix(".training")
    stn = recipe.model()
    real = recipe.read_frames()
    pool = _pool(recipe, work, jobs, real)
    pose = pose_model(stn)
    loss = pose_loss(pose, refines=recipe.refine_margin is not None)
    pose.compile(optimizer=averaging_adamw(recipe, weight_decay=1e-4), **loss)
    checkpoint = Checkpoint(work / "checkpoint.npz", recipe.settings(real))
    train_epochs(pose, pool, recipe, checkpoint, lambda batch: pose_truth(pose, batch))
    write_result(stn, pool, recipe, out, [checkpoint])
    return stn


def _pool(recipe: TrainingRecipe, work: Path, jobs: int, real: RealFrames | None) -> StoredPool | JointPool:
    """The frames, and where the scan network looks in them if there is one."""
    if recipe.scan is not None and recipe.behind_dense:
        return _frames_and_scenes(recipe, Path(recipe.scan), work, jobs, real)
    scan = ScanNetwork(Path(recipe.scan)) if recipe.scan is not None else None  # one of no use ends it here
    pool = _frames(recipe, work, jobs, real)
    if scan is not None:
        pool.scan_poses = scan.poses(pool)
    return pool


def _frames(recipe: TrainingRecipe, work: Path, jobs: int, real: RealFrames | None) -> FramePool:
    return course_frames(recipe, work, recipe.localization_shape or recipe.input_shape[:2], jobs, real)


def _frames_and_scenes(recipe: TrainingRecipe, scan: Path, work: Path, jobs: int, real: RealFrames | None) -> JointPool:
    """What a refine network behind a dense one learns from: scenes, whose targets are mostly small, and as many frames
    with one target, mostly a large one, whose corners are to be right to a hundredth of its size."""
    margin, turns = recipe.refine_margin or 0.0, not recipe.has_own_targets
    single = replace(recipe, samples=recipe.pool_samples)
    several = replace(recipe, samples=recipe.samples - single.samples)
    scenes = course_scenes(several, recipe.negatives, work, jobs, real)
    scenes.candidates = dense_candidates(scan, scenes)
    frames = _frames(single, work / "single", jobs, real)
    frames.scan_poses = best_poses(dense_candidates(scan, frames))
    return JointPool([(scenes, scene_crop_drawer(margin, turns=turns)), (frames, crop_drawer(margin, turns=turns))])
