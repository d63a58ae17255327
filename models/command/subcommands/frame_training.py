"""The common part of the subcommands that train on synthesised frames."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

from stn_rectify.models.command.shared_options import CourseOptions, EvaluationOptions, FrameOptions, ResultOptions
from stn_rectify.models.command.subcommand import Subcommand
from stn_rectify.models.command.subcommands.evaluate import print_tables, read_real_frames
from stn_rectify.models.files import check_refine_name, is_refine_file
from stn_rectify.runtime.command.parsing.option_groups import group, option, positional
from stn_rectify.runtime.command.parsing.parser import whole_number
from stn_rectify.runtime.errors import DataError, UsageError
from stn_rectify.runtime.process.cores import usable_cores
from stn_rectify.runtime.process.standard_streams import escaped, say
from stn_rectify.runtime.process.stop_signals import INTERRUPTED
from stn_rectify.runtime.rectifying.pixels.crops import REFINE_MARGIN

if TYPE_CHECKING:
    import keras

    from stn_rectify.models.evaluation.known_frames import KnownFrames


@dataclass(frozen=True, kw_only=True)
class TrainingFrameOptions(FrameOptions):
    """The synthesised frames of a training."""

    samples: int = option(20_000, "how many (default %(default)s)", whole_number(1), metavar="N")
    jobs: int = option(
        usable_cores(), "processes that synthesise them (default %(default)s)", whole_number(1), metavar="N"
    )


@dataclass(frozen=True, kw_only=True)
class SceneOptions(TrainingFrameOptions):
    """The same, and what scenes of several targets are made of."""

    negatives: Path | None = option(
        None,
        "photographs that show no target, behind targets and alone; for dense networks and refine networks behind them",
        Path,
        metavar="DIR",
    )


class CourseArguments(TypedDict):
    """Arguments of `stn_rectify.models.training.course.course.Course`."""

    samples: int
    epochs: int
    batch_size: int
    learning_rate: float
    seed: int
    backgrounds: str | None
    targets: str | None


def course_arguments(frames: TrainingFrameOptions, course: CourseOptions) -> CourseArguments:
    """The arguments of a course, from the options.

    Raises:
        UsageError: if the frames do not fill a batch.
    """
    course.check_samples(frames.samples)
    return {
        "samples": frames.samples,
        "epochs": course.epochs,
        "batch_size": course.batch_size,
        "learning_rate": course.learning_rate,
        "seed": frames.seed,
        "backgrounds": str(frames.backgrounds) if frames.backgrounds else None,
        "targets": str(frames.targets) if frames.targets else None,
    }


@dataclass(frozen=True, kw_only=True)
class FrameTraining(Subcommand):
    """A training on synthesised frames; at its end it prints the tables that say how well targets are found."""

    result: ResultOptions = group()
    course: CourseOptions = group("training")
    frames: TrainingFrameOptions = group("synthesised frames")
    evaluation: EvaluationOptions = group("evaluation")

    @abstractmethod
    def train(self) -> keras.Model:
        """Trains a model and writes it."""

    def run(self) -> int:
        """Trains and evaluates.

        Returns:
            The exit status: 130 if the tables were stopped by Ctrl-C; 0 also if they could not be made, because the
            model is trained and written all the same.

        Raises:
            DataError: if real frames cannot be read, which is noticed before the training.
        """
        out = self.result.out
        real = read_real_frames(self.evaluation)
        model = self.train()
        beside = " and ".join(out.with_suffix(suffix).name for suffix in (".calibration.npz", ".curve.png"))
        print(escaped(f"wrote {out}, {beside}"), flush=True)
        try:
            self.print_tables(model, real)
        except KeyboardInterrupt:  # nothing is left to go on with
            say(f"stn-train {self.name}: stopped; for the tables: {self.tables_again()}")
            return INTERRUPTED
        except DataError as error:
            print(escaped(f"no tables or no sheet: {error}"), flush=True)
        return 0

    def tables_again(self) -> str:
        """What to do for the tables of a model that is written."""
        return f"stn-train evaluate {self.result.out}"

    def print_tables(self, model: keras.Model, real: Sequence[KnownFrames]) -> None:
        """Prints how well the trained model finds targets, and writes the verification sheet.

        Args:
            model: the trained model.
            real: real frames that it is tried on.

        Raises:
            DataError: if there is nothing to be said of such a model, or the sheet cannot be written.
        """
        out = self.result.out
        print_tables(model, out, self.evaluation, self.frames, real, out.with_suffix(".sheet.png"))

    def course_arguments(self) -> CourseArguments:
        """The arguments of the course, from the options.

        Raises:
            UsageError: if the frames do not fill a batch.
        """
        return course_arguments(self.frames, self.course)


@dataclass(frozen=True, kw_only=True)
class ChangeOfModel(FrameTraining):
    """A training that makes another model of a trained one."""

    model: Path = positional("a trained network", Path, metavar="MODEL.keras")

    def refine_margin(self) -> float | None:
        """The margin of the crops that the model sees if it is a refine network; None if it sees whole frames.

        Raises:
            UsageError: if the result would replace the model, or is not called as its kind of network is.
        """
        out, model = self.result.out, self.model
        if out.resolve() == model.resolve():
            raise UsageError(f"--out {out} is the model to start from: give another --out")
        refines = is_refine_file(model)
        check_refine_name(out, refines=refines)
        return REFINE_MARGIN if refines else None
