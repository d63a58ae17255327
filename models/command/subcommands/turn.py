"""``stn-train turn``: a network learns which side of a rectified target is up."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from stn_rectify.models.command.shared_options import (
    CourseOptions,
    EvaluationOptions,
    ResultOptions,
    SmallNetworkOptions,
    frame_shape,
    prepare_out,
)
from stn_rectify.models.command.subcommand import Subcommand, print_accuracies
from stn_rectify.models.command.subcommands.evaluate import read_real_frames
from stn_rectify.models.command.subcommands.frame_training import TrainingFrameOptions, course_arguments
from stn_rectify.models.files import TURN_SUFFIX, is_turn_file
from stn_rectify.runtime.command.parsing.option_groups import group, option
from stn_rectify.runtime.errors import UsageError
from stn_rectify.runtime.process.standard_streams import escaped


@dataclass(frozen=True, kw_only=True)
class TurnNetworkOptions(SmallNetworkOptions):
    """The turn network."""

    input_shape: tuple[int, int, int] = option(
        (96, 96, 1),
        "of the rectified target; both sides the same multiple of 16, C is 1 or 3 (default %(default)s)",
        frame_shape,
        metavar="HxWxC",
    )


@dataclass(frozen=True, kw_only=True)
class PrintedFrameOptions(TrainingFrameOptions):
    """Synthesised targets, and the faces of their words."""

    fonts: Path | None = option(
        None, "TrueType and OpenType faces for the words, beside those that are always there", Path, metavar="DIR"
    )


@dataclass(frozen=True, kw_only=True)
class Turn(Subcommand):
    """Train a network that says which side of a target is up: --out NAME.turn.keras beside NAME.keras."""

    name = "turn"
    examples = (
        "--out labels.turn.keras --backgrounds photographs/",
        "--out labels.turn.keras --weights general --fonts /usr/share/fonts/",
    )

    result: ResultOptions = group()
    network: TurnNetworkOptions = group("network")
    course: CourseOptions = group("training", batch_size=64, learning_rate=2.5e-3)
    frames: PrintedFrameOptions = group("synthesised targets", samples=16_000)
    evaluation: EvaluationOptions = group("evaluation")

    def run(self) -> int:
        """Trains the network, and says how often it is right.

        Raises:
            DataError: if real frames cannot be read, which is noticed before the training, or the training's files.
            UsageError: if options contradict each other.
        """
        from stn_rectify.models.evaluation.turn_accuracy import evaluate_turns
        from stn_rectify.models.training.turn_training import TurnRecipe, held_out_accuracy, train_turn

        out, frames, course, network = self.result.out, self.frames, self.course, self.network
        if not is_turn_file(out):
            raise UsageError(f"--out {out}: a turn network is called NAME{TURN_SUFFIX}")
        height, width, _ = network.input_shape
        if height != width or height % 16:
            raise UsageError(f"--input-shape {height}x{width}: both sides must be the same multiple of 16")
        if self.evaluation.sheet:
            raise UsageError("--sheet: a turn network has no verification sheet: leave it out")
        arguments = course_arguments(frames, course)
        real = read_real_frames(self.evaluation)
        recipe = TurnRecipe(
            **arguments,
            input_shape=network.input_shape,
            width=network.width,
            weights=network.weights_file(TURN_SUFFIX),
            fonts=str(frames.fonts) if frames.fonts else None,
        )
        prepare_out(out, overwrite=self.result.overwrite)
        model = train_turn(recipe, out, jobs=frames.jobs)
        beside = " and ".join(out.with_suffix(suffix).name for suffix in (".calibration.npz", ".curve.png"))
        print(escaped(f"wrote {out}, {beside}"), flush=True)

        def accuracies() -> Iterator[object]:
            if self.evaluation.hold_out:
                work = out.with_suffix(".hold-out")
                yield held_out_accuracy(model, recipe, self.evaluation.hold_out, work, jobs=frames.jobs)
            yield from evaluate_turns(model, real)

        return print_accuracies(self.name, accuracies())
