"""``stn-train tune``: a trained network is fine-tuned with the rounding of its INT8 file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from stn_rectify.models.command.shared_options import CourseOptions, prepare_out
from stn_rectify.models.command.subcommands.frame_training import ChangeOfModel, TrainingFrameOptions
from stn_rectify.runtime.command.parsing.option_groups import group

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True, kw_only=True)
class Tune(ChangeOfModel):
    """Fine-tune a trained network until its INT8 file gives the poses that it gives in float."""

    name = "tune"
    examples = ("labels.keras --out labels-tuned.keras",)

    course: CourseOptions = group("fine-tuning", epochs=10, learning_rate=1e-3)
    frames: TrainingFrameOptions = group("synthesised frames", samples=4_000)

    def train(self) -> keras.Model:
        """Tunes the network and writes it."""
        from stn_rectify.models.quantization import FineTuning, fine_tune

        course = FineTuning(**self.course_arguments(), refine_margin=self.refine_margin())
        prepare_out(self.result.out, overwrite=self.result.overwrite)
        return fine_tune(self.model, course, self.result.out, jobs=self.frames.jobs)
