"""metadata.json of a model file (docs/model-file.md)."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import tensorflow as tf

from stn_rectify.converters.assembly import Assembly
from stn_rectify.converters.integer.sampler_plan import THETA_BITS
from stn_rectify.converters.reading.stn_parts import StnParts
from stn_rectify.runtime.model.metadata import FORMAT

__all__ = ["file_metadata", "refine_metadata", "versions"]

_COORDINATES = (
    "normalised: x right, y down, [-1, 1] from the outer edge of the first pixel to the outer edge of the last "
    "(align_corners=False); theta maps output to input coordinates, {theta}; "
    "corners are frame pixels, TL TR BR BL, the centre of the first pixel at (0, 0)"
)
_PLANAR = "x_in ~ H(theta) x_out, H[2][2] = 1, row-major"
_SPLINE = "the thin-plate spline through x, y in the input of the 4x4 points of the output, row-major"


def file_metadata(
    name: str,
    description: str,
    parts: StnParts,
    assembly: Assembly,
    value_range: Sequence[float],
    source_sha256: str,
    refine: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """What the runtime and people need to know of a file; `packing.pack` adds length and hash of the flatbuffer.

    Args:
        name: of the model.
        description: one line.
        parts: the float model.
        assembly: what became of it.
        value_range: what pixel values 0 and 255 are to it.
        source_sha256: of the .keras file or SavedModel.
        refine: of `refine_metadata`; None for a file of one network.
    """
    rectified = {"height": parts.output_size[0], "width": parts.output_size[1], "channels": parts.channels}
    score, class_scores = (assembly.quantizations.get(output) for output in ("score", "class_scores"))
    outputs: dict[str, Any] = {
        "rectified": None if assembly.plan is None else rectified,
        "theta": {"size": len(parts.bias), "fractional_bits": THETA_BITS},
        "score": None if score is None else asdict(score),
        "class_scores": None,
    }
    if class_scores is not None:
        outputs["class_scores"] = {
            "size": parts.classes,
            **asdict(class_scores),
            "activation": assembly.class_activation,
        }
    metadata = {
        "format": FORMAT,
        "name": name,
        "description": description,
        "kind": "pose-only" if assembly.plan is None else "in-graph",
        "transform": parts.transform,
        "padding": parts.padding,
        "coordinates": _COORDINATES.format(theta=_SPLINE if parts.transform == "tps" else _PLANAR),
        "input": _input(parts, assembly, value_range),
        "outputs": outputs,
        "parameters": assembly.cost.parameters,
        "macs": assembly.cost.macs,
        "source_sha256": source_sha256,
        "converter": versions(),
    }
    return metadata if refine is None else {**metadata, "refine": refine}


def refine_metadata(
    parts: StnParts, assembly: Assembly, value_range: Sequence[float], *, margin: float, passes: int
) -> dict[str, Any]:
    """What the runtime needs to know of a refine network.

    Args:
        parts: the float network.
        assembly: what became of it.
        value_range: what pixel values 0 and 255 are to it.
        margin: of its crops, as a share of the target's side.
        passes: how many a `Rectifier` makes unasked.
    """
    score = assembly.quantizations.get("score")
    return {
        "input": _input(parts, assembly, value_range),
        "theta": {"size": len(parts.bias), "fractional_bits": THETA_BITS},
        "score": None if score is None else asdict(score),
        "margin": margin,
        "passes": passes,
        "parameters": assembly.cost.parameters,
        "macs": assembly.cost.macs,
    }


def _input(parts: StnParts, assembly: Assembly, value_range: Sequence[float]) -> dict[str, Any]:
    height, width = parts.input_size
    return {
        "height": height,
        "width": width,
        "channels": parts.channels,
        "colour": {1: "GREY", 3: "RGB"}.get(parts.channels, "OTHER"),
        "value_range": list(value_range),
        **asdict(assembly.quantizations["frame"]),
    }


def versions() -> dict[str, str]:
    """Of what made the file."""
    return {"stn_rectify": importlib.metadata.version("stn-rectify"), "tensorflow": str(tf.__version__)}
