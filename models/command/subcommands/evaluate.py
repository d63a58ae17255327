"""``stn-train evaluate``: how well a trained network finds targets; other subcommands end with the same tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from stn_rectify.models.command.shared_options import EvaluationOptions, FrameOptions
from stn_rectify.models.command.subcommand import Subcommand
from stn_rectify.models.files import DENSE, scan_file_of
from stn_rectify.runtime.command.parsing.option_groups import group, positional
from stn_rectify.runtime.errors import DataError, UsageError
from stn_rectify.runtime.process.standard_streams import escaped

if TYPE_CHECKING:
    import keras

    from stn_rectify.models.evaluation.known_frames import KnownFrames


@dataclass(frozen=True, kw_only=True)
class Evaluate(Subcommand):
    """Print how well a trained network finds targets."""

    name = "evaluate"
    examples = ("labels.keras --validate real_frames/",)

    file: Path = positional("a trained network", Path, metavar="FILE.keras")
    evaluation: EvaluationOptions = group("evaluation")
    frames: FrameOptions = group("synthesised frames")

    def run(self) -> int:
        """Prints the network's cost and the tables."""
        from stn_rectify.models.network.cost import stn_cost
        from stn_rectify.models.network.keras_file import load_model, network_kind
        from stn_rectify.models.network.poses import pose_predictor

        if network_kind(self.file) == DENSE:
            raise UsageError(
                f"{self.file} is a dense network: stn-convert it, then stn-rectify evaluate DIR --model NAME.tflite"
            )
        real = read_real_frames(self.evaluation)
        model = load_model(self.file)
        try:
            pose_predictor(model)
        except DataError as error:
            raise DataError(f"{self.file}: {error}") from error
        print(stn_cost(model), flush=True)
        print_tables(model, self.file, self.evaluation, self.frames, real)
        return 0


def read_real_frames(options: EvaluationOptions) -> list[KnownFrames]:
    """The annotated frames that ``--validate`` names; prints a line about each folder.

    Raises:
        DataError: if a folder cannot be read.
    """
    from stn_rectify.models.evaluation.known_frames import read_truth

    sets = [read_truth(source) for source in options.validate]
    for frames in sets:
        print(escaped(frames.about), flush=True)
    return sets


def print_tables(
    model: keras.Model,
    file: Path,
    options: EvaluationOptions,
    frames: FrameOptions,
    real: Sequence[KnownFrames],
    sheet: Path | None = None,
) -> None:
    """Prints a row for each set of frames and each pass, and writes the verification sheet.

    Args:
        model: the trained model.
        file: the file that it is in.
        options: the frames that it is tried on, and the file of the sheet.
        frames: the options of the synthesised frames.
        real: further sets of frames.
        sheet: the file of the sheet if the options name none; with None there is no sheet then.

    Raises:
        DataError: if the model is no Spatial Transformer Network, or the sheet cannot be written.
    """
    from stn_rectify.models.evaluation.evaluate import can_be_evaluated, evaluate
    from stn_rectify.models.evaluation.known_frames import synthesised_hold_out

    if not (options.hold_out or real):
        return
    if not can_be_evaluated(file):
        print(f"no tables: a refine network is evaluated with its scan network, {scan_file_of(file).name} beside it")
        return
    sets = list(real)
    if options.hold_out:
        sets.insert(0, synthesised_hold_out(options.hold_out, frames.seed, frames.backgrounds, frames.targets))
    evaluation = evaluate(model, file, sets)
    print(evaluation.table, flush=True)
    sheet = options.sheet or sheet
    if sheet is not None and evaluation.shown:
        evaluation.save_sheet(sheet)
        print(escaped(f"wrote {sheet.name}"), flush=True)
