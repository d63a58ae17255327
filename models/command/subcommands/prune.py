"""``stn-train prune``: a trained network loses channels, and is fine-tuned."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from stn_rectify.models.command.shared_options import CourseOptions, prepare_out
from stn_rectify.models.command.subcommands.frame_training import ChangeOfModel, TrainingFrameOptions
from stn_rectify.runtime.command.parsing.option_groups import OptionGroup, choice, group, option, required
from stn_rectify.runtime.command.parsing.parser import number, whole_number
from stn_rectify.runtime.errors import UsageError

if TYPE_CHECKING:
    import keras

_fraction = number("a number above 0 and below 1", lambda value: 0 < value < 1)


@dataclass(frozen=True, kw_only=True)
class PruningOptions(OptionGroup):
    """The share that is removed, and the way in which it is chosen."""

    fraction: float = required(
        "share of the localization network's multiply-accumulates (MACs) to remove", _fraction, metavar="FRACTION"
    )
    steps: int = option(
        1, "prune and tune in N turns that share the epochs (default %(default)s)", whole_number(1), metavar="N"
    )
    importance: str = choice(
        ("taylor", "batch-norm"),
        "what channels are ranked by: change of the loss without them, or scale of batch normalization",
    )


@dataclass(frozen=True, kw_only=True)
class Prune(ChangeOfModel):
    """Make a trained network smaller: remove channels, then fine-tune."""

    name = "prune"
    examples = ("labels.keras --fraction 0.5 --out labels-small.keras",)

    pruning: PruningOptions = group("pruning")
    course: CourseOptions = group("fine-tuning", epochs=8, learning_rate=1e-3)
    frames: TrainingFrameOptions = group("synthesised frames", samples=12_000)

    def train(self) -> keras.Model:
        """Prunes and tunes the network and writes it."""
        from stn_rectify.models.network.cost import stn_cost
        from stn_rectify.models.pruning import PruningCourse, prune

        out, steps, epochs = self.result.out, self.pruning.steps, self.course.epochs
        course = PruningCourse(
            **self.course_arguments(),
            fraction=self.pruning.fraction,
            steps=steps,
            importance=self.pruning.importance,
            refine_margin=self.refine_margin(),
        )
        if epochs < steps:
            raise UsageError(f"--steps {steps} share {epochs} epochs: give more --epochs or fewer steps")
        prepare_out(out, overwrite=self.result.overwrite)
        model = prune(self.model, course, out, jobs=self.frames.jobs)
        print(stn_cost(model), flush=True)
        return model
