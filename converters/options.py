"""The options of a conversion and of a batch; importing them does not import TensorFlow."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

#: Refinement passes that a file asks for if nobody says otherwise.
DEFAULT_PASSES = 3


@dataclass(frozen=True)
class ConversionOptions:
    """The choice of how to convert.

    Attributes:
        calibration: folder of images or .npz file, see `read_frames`.
        pose_only: leave the sampler out: the runtime warps the full-resolution frame.
        value_range: what pixel values 0 and 255 are to the Keras model.
        labels: lines for labels.txt.
        description: one line for the metadata.
        latency: measure the file beside its float32 twin for the report; some seconds.
        refine_passes: how many passes of a refine network, if the model has one, a `Rectifier` makes unasked.
        refit_head: fit θ's linear function to the quantized features, where that helps (`head_refit`).
        overwrite: replace existing files.
        validation: frames with known truth for the report's checks; None: the calibration frames.
        max_corner_error: largest corner error float↔INT8, pixels at the model's size, that passes; None: any.
        min_coverage: least share of the target inside the rectified image that passes; None: any.
    """

    calibration: Path
    pose_only: bool = False
    value_range: tuple[float, float] = (0.0, 1.0)
    labels: tuple[str, ...] = ()
    description: str = ""
    latency: bool = True
    refine_passes: int = DEFAULT_PASSES
    refit_head: bool = True
    overwrite: bool = False
    validation: Path | None = None
    max_corner_error: float | None = None
    min_coverage: float | None = None


@dataclass(frozen=True)
class BatchOptions:
    """The choice of models that ``stn-convert`` converts, and of the place.

    Attributes:
        inputs: files, folders and patterns, see `find_models`.
        out: the folder for the results.
        jobs: conversions at a time on this machine; None: by cores and memory.
        scheduler: address of a Dask scheduler, on whose workers to convert; None: on this machine.
        force: convert unchanged models, too.
        debug: show tracebacks and what TensorFlow printed.
    """

    inputs: tuple[str, ...]
    out: Path
    jobs: int | None = None
    scheduler: str | None = None
    force: bool = False
    debug: bool = False
