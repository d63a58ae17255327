"""Checks of a `Rectifier`'s arguments against its model."""

from __future__ import annotations

import numpy as np

from stn_rectify.runtime.errors import UsageError
from stn_rectify.runtime.frame_sampler import MAX_OUTPUT_SIDE
from stn_rectify.runtime.metadata import MAX_PASSES
from stn_rectify.runtime.model_file import ModelFile

__all__ = ["check_output", "check_refine"]


def check_refine(refine: object, output: str, model: ModelFile) -> int:
    """How many refinement passes to make.

    Raises:
        UsageError: the model, or ``output``, has none such.
    """
    spec, name = model.metadata.refine, model.metadata.name
    if refine is None:
        return 0 if spec is None or output == "model" else spec.passes
    if not isinstance(refine, int | np.integer) or isinstance(refine, bool) or not 0 <= refine <= MAX_PASSES:
        raise UsageError(f"refine is {refine!r}: must be a whole number from 0 to {MAX_PASSES}, or None")
    if refine and spec is None:
        raise UsageError(
            f"model {name!r} has no refine network: use refine=0 (--refine 0), or a model converted with one"
        )
    if refine and output == "model":
        raise UsageError(
            "refine needs output='frame' (--output frame): the graph's own image has been taken before any refinement"
        )
    return int(refine)


def check_output(output: str, size: tuple[int, int] | None, model: ModelFile) -> tuple[int, int] | None:
    """Width and height of the rectified image, pixels, one of them 0 to keep the aspect; None for the target's own.

    Raises:
        UsageError: the model has no such output, or the size is out of range.
    """
    if output not in ("frame", "model"):
        raise UsageError(f"output is {output!r}: choose 'frame' or 'model'")
    if output == "model":
        rectified = model.metadata.rectified
        if rectified is None:
            raise UsageError(
                f"model {model.metadata.name!r} is pose-only and makes no image: use output='frame' (--output frame)"
            )
        if size is not None:
            raise UsageError(
                "output_size needs output='frame' (--output frame): the graph's own image has a fixed size"
            )
        return rectified.width, rectified.height
    if size is None:
        return None
    width, height = size
    if not 0 <= min(size) <= max(size) <= MAX_OUTPUT_SIDE or not max(size):
        raise UsageError(
            f"output_size is {width}x{height}: each side must be 1 to {MAX_OUTPUT_SIDE} pixels, or one of them 0"
        )
    return int(width), int(height)
