"""Pruning and fine-tuning in turns until few enough multiply-accumulates are left; resumable at each turn."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path

import keras
import numpy as np

from stn_rectify.models.files import REFINE, SCAN, sha256_of_file
from stn_rectify.models.network.keras_file import load_model, save_model
from stn_rectify.models.network.poses import pose_model, pose_predictor
from stn_rectify.models.pruning.channel_flow import ChannelFlow, channel_flow
from stn_rectify.models.pruning.channel_groups import channel_groups, kept_channels
from stn_rectify.models.pruning.importance import Importance, scale_importance, taylor_importance
from stn_rectify.models.pruning.surgery import without_channels
from stn_rectify.models.training.course.checkpoint import Checkpoint
from stn_rectify.models.training.course.course import Course, course_frames
from stn_rectify.models.training.course.epochs import averaging_adamw, train_epochs
from stn_rectify.models.training.course.result import write_result
from stn_rectify.models.training.pools.frame_pool import FramePool
from stn_rectify.models.training.pose_training import pose_loss, pose_truth
from stn_rectify.runtime.errors import DataError

# Small batches: gradients of single frames are large where their mean over many is nearly zero after training.
_TAYLOR_BATCH, _TAYLOR_BATCHES = 16, 50
_ESTIMATES = 8  # of Taylor importance, were all the network to go


@dataclass(frozen=True)
class PruningCourse(Course):
    """The share that is removed, and the course of fine-tuning.

    Attributes:
        fraction: share of the localization network's multiply-accumulates to remove, above 0 and below 1.
        steps: turns of pruning and fine-tuning; the epochs are divided among them.
        importance: the measure that channels are ranked by, ``"taylor"`` or ``"batch-norm"``.
        source: SHA-256 of the model's file.
    """

    samples: int = 12_000
    epochs: int = 8
    learning_rate: float = 1e-3
    fraction: float = 0.5
    steps: int = 1
    importance: str = "taylor"
    source: str = ""

    def step(self, number: int) -> PruningCourse:
        """The course of step ``number``, from 1 on."""
        done, until = ((k * self.epochs) // self.steps for k in (number - 1, number))
        return replace(self, epochs=until - done, seed=self.seed + number - 1)  # other draws in each


def prune(source: Path, course: PruningCourse, out: Path, *, jobs: int = 1) -> keras.Model:
    """Removes channels, fine-tunes with the corners of synthesised frames, and writes ``out``, a smaller Keras model.

    Resumable like `stn_rectify.models.training.pose_training.train`, with the same files beside ``out`` and the pruned
    model of each step: a call with the same arguments goes on where the last one was stopped. One curve shows all
    steps, with their epochs counted through.

    Args:
        source: a trained .keras file.
        course: its ``input_shape`` and ``source`` are taken from the file.
        out: the .keras file to write.
        jobs: processes that synthesise frames.

    Returns:
        The smaller model.

    Raises:
        DataError: if the model cannot be pruned so far, a file cannot be read or written, or a stopped run of other
            settings lies beside ``out``.
        KeyboardInterrupt: if Ctrl-C stops it; the state is saved first.
    """
    keras.utils.set_random_seed(course.seed)
    stn = _opened(source, course)
    flow = channel_flow(stn)
    whole = flow.macs(np.ones(flow.count, np.bool_))
    course = replace(course, input_shape=stn.input_shape[1:], source=sha256_of_file(source))
    work = out.with_suffix(".training")
    pool = course_frames(course, work, flow.input_size, jobs)
    # A step's file is known by its settings: of other settings it is not taken for this one.
    settings = hashlib.sha256(repr(asdict(course)).encode()).hexdigest()[:8]
    files = {step: work / f"step-{step}-{settings}.keras" for step in range(1, course.steps + 1)}
    checkpoints = {step: Checkpoint(work / f"checkpoint-{step}.npz", asdict(course)) for step in files}
    first = max((step for step, file in files.items() if file.exists()), default=1)
    for step in range(first, course.steps + 1):
        if files[step].exists():
            stn = load_model(files[step])
        else:
            stn = pruned(stn, pool, course, whole * (1 - course.fraction) ** (step / course.steps))
            save_model(stn, files[step], SCAN if course.refine_margin is None else REFINE)
        tune(stn, pool, course.step(step), checkpoints[step])
    write_result(stn, pool, course, out, list(checkpoints.values()))
    return stn


def _opened(source: Path, course: PruningCourse) -> keras.Model:
    """The model, with nested models opened; refuses what cannot be pruned so far."""
    stn = load_model(source)
    try:
        flow = channel_flow(stn)
        stn = without_channels(stn, flow, np.ones(flow.count, np.bool_))
        pose_predictor(stn)  # raises
        flow = channel_flow(stn)
        worth = scale_importance(flow) if course.importance == "batch-norm" else np.ones(flow.count)
        kept_channels(flow, worth, flow.macs(np.ones(flow.count, np.bool_)) * (1 - course.fraction))
    except DataError as error:
        raise DataError(f"{source}: {error}") from error
    return stn


def pruned(stn: keras.Model, pool: FramePool, course: PruningCourse, macs: float) -> keras.Model:
    """Gives the model with at most so many multiply-accumulates in its localization network; prints what is left.

    Taylor importance is estimated anew after each eighth of them: what was removed changes what the rest is worth.
    """
    flow = channel_flow(stn)
    groups = {group.layers: len(group.channels) for group in channel_groups(flow)}
    initial = left = flow.macs(np.ones(flow.count, np.bool_))
    while left > macs:
        by_scale = course.importance == "batch-norm"
        importance = scale_importance(flow) if by_scale else _taylor(flow, stn, pool, course)
        kept = kept_channels(flow, importance, macs if by_scale else max(macs, left - initial / _ESTIMATES))
        stn = without_channels(stn, flow, kept)
        flow = channel_flow(stn)
        left = flow.macs(np.ones(flow.count, np.bool_))
    print(f"localization network: {initial:,} → {left:,} MACs ({left / initial - 1:.1%}), channels", flush=True)
    for group in channel_groups(flow):
        print(f"  {'+'.join(group.layers)}: {groups[group.layers]} → {len(group.channels)}", flush=True)
    return stn


def tune(stn: keras.Model, pool: FramePool, course: PruningCourse, checkpoint: Checkpoint) -> None:
    """Trains a model's pose with the corners of the frames, from the checkpoint on."""
    pose = pose_model(stn)
    pose.compile(
        optimizer=averaging_adamw(course, weight_decay=1e-4),
        **pose_loss(pose, refines=course.refine_margin is not None),
    )
    train_epochs(pose, pool, course, checkpoint, lambda batch: pose_truth(pose, batch))


def _taylor(flow: ChannelFlow, stn: keras.Model, pool: FramePool, course: PruningCourse) -> Importance:
    pose = pose_model(stn)
    # Of an epoch that no fine-tuning comes to.
    drawn = islice(course.batches(pool, course.epochs + 1, batch_size=min(_TAYLOR_BATCH, len(pool))), _TAYLOR_BATCHES)
    return taylor_importance(
        flow,
        pose,
        pose_loss(pose, refines=course.refine_margin is not None),
        ((b.frames, *pose_truth(pose, b)) for b in drawn),
    )
