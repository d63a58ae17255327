"""``stn-train dense``: a network that looks everywhere learns from scenes, synthesised ones and annotated frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from stn_rectify.models.command.shared_options import CourseOptions, RealFrameOptions, prepare_out
from stn_rectify.models.command.subcommands.frame_training import FrameTraining, SceneOptions
from stn_rectify.models.files import DENSE, NETWORK_SUFFIXES, check_refine_name, network_file
from stn_rectify.runtime.command.parsing.option_groups import OptionGroup, choice, group, option
from stn_rectify.runtime.command.parsing.parser import positive_number
from stn_rectify.runtime.errors import UsageError

if TYPE_CHECKING:
    import keras

    from stn_rectify.models.evaluation.known_frames import KnownFrames


@dataclass(frozen=True, kw_only=True)
class DenseOptions(OptionGroup):
    """The dense localization network."""

    find: str = choice(
        ("all", "plates", "both"),
        "targets of every kind; number plates with all else as background; or both, to start other trainings from",
    )
    width: float = option(1.0, "on the channels (default %(default)s)", positive_number, metavar="FACTOR")
    weights: Path | None = option(None, "trained dense network to start from", Path, metavar="FILE.keras|NAME")


@dataclass(frozen=True, kw_only=True)
class Dense(FrameTraining):
    """Train a network that looks everywhere: small targets, and several in a frame."""

    name = "dense"
    examples = (
        "--out labels.keras --backgrounds photographs/ --negatives empty/",
        "--find plates --weights labels.keras --out plates.keras",
        "--weights labels.keras --out own.keras --frames labelled/",
    )

    dense: DenseOptions = group("dense localization network")
    course: CourseOptions = group("training", epochs=14, batch_size=16, learning_rate=2e-3)
    frames: SceneOptions = group("synthesised scenes", samples=24_000)
    real: RealFrameOptions = group("real frames")

    def train(self) -> keras.Model:
        """Trains the network and writes it."""
        from stn_rectify.models.training.dense_training import DenseRecipe, train_dense

        out, own, negatives = self.result.out, self.dense, self.frames.negatives
        recipe = DenseRecipe(
            **self.course_arguments(),
            find=own.find,
            width=own.width,
            weights=str(network_file(own.weights, NETWORK_SUFFIXES[DENSE])) if own.weights else None,
            negatives=str(negatives) if negatives else None,
            **self.real.arguments(),
        )
        check_refine_name(out, refines=False)
        for option_name in ("validate", "sheet"):
            if getattr(self.evaluation, option_name):
                raise UsageError(f"--{option_name} is not for a dense network by itself: {self.tables_again()}")
        prepare_out(out, overwrite=self.result.overwrite)
        model = recipe.model()
        print(f"{model.count_params():,} parameters", flush=True)
        return train_dense(recipe, out, jobs=self.frames.jobs)

    def tables_again(self) -> str:
        """What to do for the tables of a model that is written."""
        return "stn-convert it, then stn-rectify evaluate DIR --model NAME.tflite"

    def print_tables(self, model: keras.Model, real: Sequence[KnownFrames]) -> None:
        """Prints how many targets of held-out scenes the network finds by itself, and what it takes for one."""
        from stn_rectify.models.evaluation.scene_table import scene_table

        if self.evaluation.hold_out and self.dense.find != "both":
            frames = self.frames
            print(
                scene_table(
                    model,
                    count=self.evaluation.hold_out,
                    seed=frames.seed,
                    backgrounds=frames.backgrounds,
                    negatives=frames.negatives,
                    plates_only=self.dense.find == "plates",
                ),
                flush=True,
            )
