"""The settings of a course of training, and the frames that it goes through."""

from __future__ import annotations

from collections.abc import Iterator, Sized
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from stn_rectify.models.files import sha256_of_file
from stn_rectify.models.training.pools.frame_pool import FramePool
from stn_rectify.models.training.pools.real_frames import RealFrames, read_real_frames
from stn_rectify.models.training.pools.scene_pool import ScenePool
from stn_rectify.models.training.samples.frame_batches import Batch, Draw, batches, frame_drawer
from stn_rectify.models.training.samples.refine_crops import crop_drawer


@dataclass(frozen=True)
class Course:
    """The frames of a training, and how they are gone through.

    Attributes:
        refine_margin: margin of the crops that a refine network sees (`runtime.rectifying.pixels.crops`); None for a
            network that sees whole frames.
    """

    input_shape: tuple[int, int, int] = (64, 64, 3)
    samples: int = 20_000
    epochs: int = 20
    batch_size: int = 128
    learning_rate: float = 3e-3
    seed: int = 0
    backgrounds: str | None = None
    targets: str | None = None
    refine_margin: float | None = None

    @property
    def folders(self) -> dict[str, Path | None]:
        """The folders that frames are synthesised of, by their names."""
        folders = {"backgrounds": self.backgrounds, "targets": self.targets}
        return {name: Path(folder) if folder else None for name, folder in folders.items()}

    @property
    def has_own_targets(self) -> bool:
        """Whether the targets are the user's own, which have one side that is up and are never mirrored."""
        return self.targets is not None

    def settings(self) -> dict[str, Any]:
        """The settings that a `Checkpoint` keeps.

        Of networks among them it keeps the SHA-256: another one under the same name is another training.

        Raises:
            DataError: if the file of such a network cannot be read.
        """
        settings = asdict(self)
        networks = {name: settings[name] for name in ("scan", "weights") if settings.get(name)}
        return settings | {name: sha256_of_file(Path(file)) for name, file in networks.items()}

    @property
    def epoch_steps(self) -> int:
        """Batches of an epoch."""
        return self.samples // self.batch_size

    @property
    def draw(self) -> Draw:
        """The function that makes a sample of a frame. The user's own targets are never mirrored."""
        if self.refine_margin is None:
            return frame_drawer(mirrors=not self.has_own_targets)
        return crop_drawer(self.refine_margin, turns=not self.has_own_targets)

    def batches(self, pool: Sized, epoch: int, *, first: int = 0, batch_size: int | None = None) -> Iterator[Batch]:
        """The batches of an epoch, from batch ``first`` on."""
        return batches(
            pool,
            epoch,
            input_shape=self.input_shape,
            batch_size=batch_size or self.batch_size,
            seed=self.seed,
            first=first,
            draw=self.draw,
        )


@dataclass(frozen=True)
class RealCourse(Course):
    """A course with annotated real frames among the synthesised ones.

    Attributes:
        frames: folders of annotated frames.
        frames_share: their share of the samples, above 0; 1 for all of them.
    """

    frames: tuple[str, ...] = ()
    frames_share: float = 0.5

    @property
    def has_own_targets(self) -> bool:
        """See `Course.has_own_targets`."""
        return super().has_own_targets or bool(self.frames)

    @property
    def pool_samples(self) -> int:
        """Samples of each pool that annotated frames stand in."""
        return self.samples

    def read_frames(self) -> RealFrames | None:
        """Reads the annotated frames, and prints a line about each folder; None if there are none.

        Raises:
            DataError: see `stn_rectify.models.training.pools.real_frames.read_real_frames`.
        """
        return read_real_frames([Path(folder) for folder in self.frames], self.frames_share, self.pool_samples)

    def settings(self, real: RealFrames | None = None) -> dict[str, Any]:
        """See `Course.settings`.

        Args:
            real: the annotated frames. Without them nothing is said of such, as in checkpoints from before there were
                any.
        """
        settings = super().settings()
        del settings["frames"], settings["frames_share"]
        return settings if real is None else settings | {"frames": real.sha256, "frames_share": real.share}


def course_frames(
    course: Course, work: Path, localization_shape: tuple[int, ...], jobs: int, real: RealFrames | None = None
) -> FramePool:
    """The frames of a course, in the folder ``work``.

    Args:
        course: the number of frames, and the choices that decide them.
        work: folder of the training.
        localization_shape: height and width of the image that the localization network sees.
        jobs: processes that synthesise frames.
        real: annotated frames that stand in the place of some; None for none.
    """
    finer = 2 if course.refine_margin is None else 3  # a target fills a part of a frame, but all of its crop
    return FramePool(
        work / "frames",
        count=course.samples,
        size=max(finer * localization_shape[0], finer * localization_shape[1], *course.input_shape[:2]),
        seed=course.seed,
        real=real,
        jobs=jobs,
        **course.folders,
    )


def course_scenes(
    course: Course, negatives: str | None, work: Path, jobs: int, real: RealFrames | None = None
) -> ScenePool:
    """The scenes of a course, in the folder ``work``.

    Args:
        course: the number of scenes, and the choices that decide them.
        negatives: folder of photographs without a target, or None.
        work: folder of the training.
        jobs: processes that synthesise scenes.
        real: annotated frames that stand in the place of some scenes; None for none.
    """
    return ScenePool(
        work / "frames",
        count=course.samples,
        seed=course.seed,
        negatives=Path(negatives) if negatives else None,
        real=real,
        jobs=jobs,
        **course.folders,
    )
