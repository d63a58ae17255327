"""``stn-train reader``: a network learns to read rectified number plates, from synthesised ones."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

from stn_rectify.models.command.shared_options import (
    SEED,
    CourseOptions,
    ResultOptions,
    frame_shape,
    prepare_out,
)
from stn_rectify.models.command.subcommand import Subcommand
from stn_rectify.models.files import RECOGNIZER_SUFFIX, network_file
from stn_rectify.runtime.command.parsing.option_groups import OptionGroup, group, option, repeated
from stn_rectify.runtime.command.parsing.parser import positive_number, whole_number
from stn_rectify.runtime.errors import DataError, UsageError
from stn_rectify.runtime.process.cores import usable_cores
from stn_rectify.runtime.process.standard_streams import escaped, say


def _format(text: str) -> str:
    from stn_rectify.models.synthesis.targets.legible_plates.texts import check_format

    try:
        return check_format(text)
    except DataError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


@dataclass(frozen=True, kw_only=True)
class ReaderNetworkOptions(OptionGroup):
    """The reader."""

    input_shape: tuple[int, int, int] = option(
        (32, 128, 1),
        "of the rectified plate; H and W are multiples of 8, C is 1 (default %(default)s)",
        frame_shape,
        metavar="HxWx1",
    )
    width: float = option(1.0, "on its channels (default %(default)s)", positive_number, metavar="FACTOR")
    weights: Path | None = option(None, "trained network of its kind to start from", Path, metavar="FILE.keras|NAME")


@dataclass(frozen=True, kw_only=True)
class PlateOptions(OptionGroup):
    """The synthesised plates."""

    seed: int = option(0, "of all random numbers (default %(default)s)", SEED, metavar="N")
    samples: int = option(60_000, "how many (default %(default)s)", whole_number(1), metavar="N")
    format: tuple[str, ...] = repeated(
        "of their texts: A a letter, 9 a digit, * either, space or - a gap, | the next row; repeatable (default: those "
        "of 37 countries, and any text)",
        _format,
        metavar="'AA-999 AA'",
    )
    backgrounds: Path | None = option(None, "photographs as backgrounds", Path, metavar="DIR")
    jobs: int = option(
        usable_cores(), "processes that synthesise them (default %(default)s)", whole_number(1), metavar="N"
    )
    hold_out: int = option(
        1000, "plates of another seed to try it on (default %(default)s)", whole_number(0), metavar="N"
    )


@dataclass(frozen=True, kw_only=True)
class Reader(Subcommand):
    """Train a network that reads rectified number plates: --out NAME.recognizer.keras."""

    name = "reader"
    examples = ("--out plates.recognizer.keras --backgrounds photographs/",)

    result: ResultOptions = group()
    network: ReaderNetworkOptions = group("network")
    course: CourseOptions = group("training")
    plates: PlateOptions = group("synthesised plates")

    def run(self) -> int:
        """Trains the network, and says how many plates it reads without a mistake.

        Raises:
            DataError: if the training's files cannot be read or written.
            UsageError: if options contradict each other.
        """
        from stn_rectify.models.training.reader_training import ReaderRecipe, held_out_accuracy, train_reader

        out, plates, course, network = self.result.out, self.plates, self.course, self.network
        if not out.name.endswith(RECOGNIZER_SUFFIX):
            raise UsageError(f"--out {out}: a reader is called NAME{RECOGNIZER_SUFFIX}")
        height, width, channels = network.input_shape
        if height % 8 or width % 8 or channels != 1:
            raise UsageError(
                f"--input-shape {height}x{width}x{channels}: height and width must be multiples of 8, and 1 channel"
            )
        if plates.samples < course.batch_size:
            raise UsageError(
                f"--samples {plates.samples} is less than one batch of {course.batch_size}: give more, or a smaller "
                "--batch-size"
            )
        recipe = ReaderRecipe(
            input_shape=network.input_shape,
            samples=plates.samples,
            epochs=course.epochs,
            batch_size=course.batch_size,
            learning_rate=course.learning_rate,
            seed=plates.seed,
            backgrounds=str(plates.backgrounds) if plates.backgrounds else None,
            width=network.width,
            formats=plates.format,
            weights=str(network_file(network.weights, RECOGNIZER_SUFFIX)) if network.weights else None,
        )
        prepare_out(out, overwrite=self.result.overwrite)
        model = train_reader(recipe, out, jobs=plates.jobs)
        labels = f"{out.name.removesuffix(RECOGNIZER_SUFFIX)}.labels.txt"
        beside = ", ".join(out.with_suffix(suffix).name for suffix in (".calibration.npz", ".curve.png"))
        print(escaped(f"wrote {out}, {beside} and {labels}"), flush=True)
        try:
            if plates.hold_out:
                work = out.with_suffix(".hold-out")
                print(held_out_accuracy(model, recipe, plates.hold_out, work, jobs=plates.jobs), flush=True)
        except KeyboardInterrupt:  # nothing is left to go on with
            say("stn-train reader: stopped; the network is written")
            return 130
        except DataError as error:
            print(escaped(f"not tried: {error}"), flush=True)
        return 0
