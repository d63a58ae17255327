"""``stn-train pose``: a network learns from frames with known corners, synthesised and annotated ones."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from stn_rectify.models.command.shared_options import NetworkOptions, RealFrameOptions, prepare_out
from stn_rectify.models.command.subcommands.frame_training import FrameTraining, SceneOptions
from stn_rectify.models.files import REFINE_SUFFIX, WHOLE_SUFFIX, check_refine_name, is_refine_file, network_file
from stn_rectify.runtime.command.parsing.option_groups import OptionGroup, choice, flag, group, option
from stn_rectify.runtime.errors import UsageError
from stn_rectify.runtime.rectifying.pixels.crops import REFINE_MARGIN

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True, kw_only=True)
class LocalizationOptions(OptionGroup):
    """The localization network."""

    body: str = choice(("separable", "fused"), "small, or with more plain convolutions")
    localization: str = choice(
        ("profiles", "flatten", "pooled"), "what is taken of its last map: means along rows and columns, all, one mean"
    )
    weights: Path | None = option(None, "trained network of its kind to start from", Path, metavar="FILE.keras|NAME")


@dataclass(frozen=True, kw_only=True)
class RefinementOptions(OptionGroup):
    """A network that corrects the poses of another."""

    refine: bool = flag("a network that sees the target as rectified so far: --out NAME.refine.keras beside NAME.keras")
    scan: Path | None = option(
        None, "with --refine: draw crops where this network looks, too", Path, metavar="NAME.keras"
    )


@dataclass(frozen=True, kw_only=True)
class Pose(FrameTraining):
    """Train a network on frames with known corners, synthesised or annotated ones."""

    name = "pose"
    examples = (
        "--out labels.keras --backgrounds photographs/",
        "--refine --scan labels.keras --out labels.refine.keras",
        "--out labels.keras --frames labelled/",
    )

    frames: SceneOptions = group("synthesised frames")
    network: NetworkOptions = group("network")
    localization: LocalizationOptions = group("localization network")
    refinement: RefinementOptions = group("refinement")
    real: RealFrameOptions = group("real frames")

    def train(self) -> keras.Model:
        """Trains the network and writes it."""
        from stn_rectify.models.network.cost import stn_cost
        from stn_rectify.models.training.pose_training import TrainingRecipe, train

        out, network, own = self.result.out, self.network, self.localization
        refine, scan = self.refinement.refine, self.refinement.scan
        recipe = TrainingRecipe(
            **self.course_arguments(),
            **asdict(network),
            body=own.body,
            refine_margin=REFINE_MARGIN if refine else None,
            scan=str(scan) if scan else None,
            negatives=str(self.frames.negatives) if self.frames.negatives else None,
            weights=str(network_file(own.weights, REFINE_SUFFIX if refine else WHOLE_SUFFIX)) if own.weights else None,
            localization=own.localization,
            **self.real.arguments(),
        )
        check_refine_name(out, refines=refine)
        if scan and not refine:
            raise UsageError("--scan is for a refine network: give --refine, too")
        if scan and is_refine_file(scan):
            raise UsageError(f"--scan {scan} is a refine network: give the one whose poses it corrects")
        if self.frames.negatives and not (refine and recipe.behind_dense):
            raise UsageError("--negatives is for a refine network behind a dense one: give --refine and --scan, too")
        if refine and recipe.transform != "projective":
            raise UsageError(f"--transform {recipe.transform}: a refine network is projective")
        prepare_out(out, overwrite=self.result.overwrite)
        print(stn_cost(recipe.model()), flush=True)
        return train(recipe, out, jobs=self.frames.jobs)
