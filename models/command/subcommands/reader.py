"""``stn-train reader``: a network learns to read rectified number plates, from synthesised ones."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from stn_rectify.models.command.shared_options import (
    SEED,
    CourseOptions,
    ResultOptions,
    SmallNetworkOptions,
    frame_shape,
    prepare_out,
)
from stn_rectify.models.command.subcommand import Subcommand, print_accuracies
from stn_rectify.models.files import RECOGNIZER_SUFFIX, labels_file_of
from stn_rectify.runtime.command.parsing.option_groups import OptionGroup, group, option, repeated
from stn_rectify.runtime.command.parsing.parser import whole_number
from stn_rectify.runtime.errors import DataError, UsageError
from stn_rectify.runtime.process.cores import usable_cores
from stn_rectify.runtime.process.standard_streams import escaped


def _format(text: str) -> str:
    from stn_rectify.models.synthesis.targets.legible_plates.texts import check_format

    try:
        return check_format(text)
    except DataError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


@dataclass(frozen=True, kw_only=True)
class ReaderNetworkOptions(SmallNetworkOptions):
    """The reader."""

    input_shape: tuple[int, int, int] = option(
        (32, 128, 1),
        "of the rectified plate; H and W are multiples of 8, C is 1 (default %(default)s)",
        frame_shape,
        metavar="HxWx1",
    )


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
        course.check_samples(plates.samples)
        recipe = ReaderRecipe(
            input_shape=network.input_shape,
            samples=plates.samples,
            **asdict(course),
            seed=plates.seed,
            backgrounds=str(plates.backgrounds) if plates.backgrounds else None,
            width=network.width,
            formats=plates.format,
            weights=network.weights_file(RECOGNIZER_SUFFIX),
        )
        prepare_out(out, overwrite=self.result.overwrite)
        model = train_reader(recipe, out, jobs=plates.jobs)
        beside = ", ".join(out.with_suffix(suffix).name for suffix in (".calibration.npz", ".curve.png"))
        print(escaped(f"wrote {out}, {beside} and {labels_file_of(out).name}"), flush=True)

        def accuracies() -> Iterator[object]:
            if plates.hold_out:
                work = out.with_suffix(".hold-out")
                yield held_out_accuracy(model, recipe, plates.hold_out, work, jobs=plates.jobs)

        return print_accuracies(self.name, accuracies())
