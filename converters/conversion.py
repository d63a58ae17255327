"""From a .keras file to a proved model file."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from stn_rectify.converters.calibration import read_calibration
from stn_rectify.converters.comparison import Comparison, compare, comparison_sheet
from stn_rectify.converters.integer_head import IntegerHead, build_head, quantize_head
from stn_rectify.converters.integer_sampler import build_sampler
from stn_rectify.converters.packing import pack
from stn_rectify.converters.proof import COEFFICIENTS, FEATURES, Check, Proof, prove
from stn_rectify.converters.sampler_plan import THETA_BITS, SamplerPlan
from stn_rectify.converters.stn_parts import StnParts, split_stn
from stn_rectify.converters.trunk import quantize_trunk
from stn_rectify.models.cost import StnCost, stn_cost
from stn_rectify.models.files import load_model
from stn_rectify.models.partial_file import partial_file
from stn_rectify.runtime.errors import ModelFileError, UsageError
from stn_rectify.runtime.metadata import FORMAT
from stn_rectify.runtime.model_file import ModelFile

__all__ = ["Conversion", "ConversionOptions", "convert"]

_COORDINATES = (
    "normalised: x right, y down, [-1, 1] from the outer edge of the first pixel to the outer edge of the last "
    "(align_corners=False); theta maps output to input coordinates, x_in ~ H(theta) x_out, H[2][2] = 1, row-major; "
    "corners are frame pixels, TL TR BR BL, the centre of the first pixel at (0, 0)"
)
_PROOF_FRAMES = 50
_MOST_LEVELS = 2.5  # docs/integer-sampler.md


@dataclass(frozen=True)
class ConversionOptions:
    """How to convert.

    Attributes:
        calibration: folder of images or .npz file, see `read_calibration`.
        pose_only: leave the sampler out: the runtime warps the full-resolution frame.
        value_range: what pixel values 0 and 255 are to the Keras model.
        labels: lines for labels.txt.
        description: one line for the metadata.
        overwrite: replace existing files.
    """

    calibration: Path
    pose_only: bool = False
    value_range: tuple[float, float] = (0.0, 1.0)
    labels: tuple[str, ...] = ()
    description: str = ""
    overwrite: bool = False


@dataclass(frozen=True)
class Conversion:
    """A finished conversion.

    Attributes:
        path: the model file.
        size_bytes: of the file.
        proof: what was proved of it.
        comparison: against the Keras model.
        cost: of the Keras model.
    """

    path: Path
    size_bytes: int
    proof: Proof
    comparison: Comparison
    cost: StnCost = field(repr=False)


@dataclass(frozen=True)
class _Graph:
    """The unproved result: flatbuffer, its numbers, its metadata."""

    flatbuffer: bytes
    head: IntegerHead
    plan: SamplerPlan | None
    metadata: dict[str, Any]
    frames: npt.NDArray[np.int8]


def convert(source: Path, out: Path, options: ConversionOptions) -> Conversion:
    """Converts one .keras file to ``out/NAME.tflite`` with ``NAME.report.json`` and ``NAME.png``.

    The model is written to a temporary name, read back, proved and only then renamed. The interpreter runs in a
    spawned process: a script that calls this needs ``if __name__ == "__main__":``.

    Raises:
        UsageError: an output exists and ``overwrite`` is not set, or cannot be written.
        DataError: the model or the calibration frames cannot be read.
        ModelFileError: the model cannot be converted, or the proof failed; then only the report is written.
    """
    try:
        return _convert(source, out, options)
    except OSError as error:
        what = f"cannot write {error.filename or out}: {error.strerror or error}"
        raise UsageError(f"{what}; choose another --out or make room") from error


def _convert(source: Path, out: Path, options: ConversionOptions) -> Conversion:
    target = out / f"{source.stem}.tflite"
    if target.exists() and not options.overwrite:
        raise UsageError(f"{target} exists: give --overwrite to replace it, or another --out")
    model = load_model(source)
    parts = split_stn(model)
    frames = read_calibration(options.calibration, (*parts.input_size, parts.channels), options.value_range)
    cost = stn_cost(model)
    graph = _build(parts, frames, source, cost, options)
    out.mkdir(parents=True, exist_ok=True)
    partial = target.with_suffix(".tflite.partial")
    try:
        partial.write_bytes(pack(graph.flatbuffer, graph.metadata, options.labels))
        written = ModelFile.open(partial)
        proof = prove(written.flatbuffer, graph.head, graph.plan, graph.frames[:_PROOF_FRAMES])
        comparison = None
        if proof.passed:
            comparison = compare(written, parts, frames, graph.frames)
            proof = replace(proof, checks=(*proof.checks, *_comparison_checks(comparison)))
        _write_report(out, source, graph, proof, comparison, cost)
        if comparison is None or not proof.passed:
            raise ModelFileError(f"{source}: proof failed: {proof.failures}")
        comparison_sheet(out / f"{source.stem}.png", parts, frames, comparison)
        size = partial.stat().st_size
        os.replace(partial, target)
    finally:
        partial.unlink(missing_ok=True)
    return Conversion(target, size, proof, comparison, cost)


def _comparison_checks(comparison: Comparison) -> list[Check]:
    if comparison.levels_max is None:
        return []
    found = f"at most {comparison.levels_max:.1f} levels of 255 on {comparison.frames} calibration frames"
    return [Check("sampler against float64", comparison.levels_max <= _MOST_LEVELS, found)]


def _build(
    parts: StnParts, frames: npt.NDArray[np.float32], source: Path, cost: StnCost, options: ConversionOptions
) -> _Graph:
    trunk = quantize_trunk(parts.trunk, frames, options.value_range)
    graph, quantized = trunk.graph, trunk.frame.quantization
    features = trunk.features.quantization
    if quantized is None or features is None:
        raise ModelFileError(f"{source}: TensorFlow left the input or the features without a quantization")
    plan = None
    if not options.pose_only:
        plan = SamplerPlan(
            parts.transform,
            parts.padding,
            parts.input_size,
            parts.output_size,
            parts.channels,
            quantized.zero_point,
        )
    head = quantize_head(parts.kernel, parts.bias, features, plan)
    coefficients, theta = build_head(graph, trunk.features, head)
    graph.rename(trunk.features, FEATURES)
    outputs = {"theta": theta}
    if plan is not None and coefficients is not None:
        graph.rename(coefficients, COEFFICIENTS)
        outputs = {"rectified": build_sampler(graph, trunk.frame, coefficients, plan), **outputs}
    if trunk.score is not None:
        outputs["score"] = trunk.score
    score = trunk.score.quantization if trunk.score is not None else None
    height, width = parts.input_size
    image = {"height": parts.output_size[0], "width": parts.output_size[1], "channels": parts.channels}
    metadata = {
        "format": FORMAT,
        "name": source.stem,
        "description": options.description,
        "kind": "pose-only" if plan is None else "in-graph",
        "transform": parts.transform,
        "padding": parts.padding,
        "coordinates": _COORDINATES,
        "input": {
            "height": height,
            "width": width,
            "channels": parts.channels,
            "colour": {1: "GREY", 3: "RGB"}.get(parts.channels, "OTHER"),
            "value_range": list(options.value_range),
            **asdict(quantized),
        },
        "outputs": {
            "rectified": None if plan is None else image,
            "theta": {"size": len(parts.bias), "fractional_bits": THETA_BITS},
            "score": None if score is None else asdict(score),
        },
        "parameters": cost.parameters,
        "macs": cost.macs,
        "source_sha256": hashlib.sha256(source.read_bytes()).hexdigest(),
        "converter": {
            "stn_rectify": importlib.metadata.version("stn-rectify"),
            "tensorflow": _tensorflow_version(),
        },
    }
    flatbuffer = graph.finish({"frame": trunk.frame}, outputs)
    levels = np.round(frames / np.float32(quantized.scale)) + quantized.zero_point
    return _Graph(flatbuffer, head, plan, metadata, np.clip(levels, -128, 127).astype(np.int8))


def _tensorflow_version() -> str:
    import tensorflow as tf

    return str(tf.__version__)


def _write_report(
    out: Path, source: Path, graph: _Graph, proof: Proof, comparison: Comparison | None, cost: StnCost
) -> None:
    report = {
        "source": str(source),
        "passed": proof.passed,
        "proof": asdict(proof),
        "comparison": None if comparison is None else comparison.summary(),
        "cost": asdict(cost),
        "metadata": graph.metadata,
    }
    with partial_file(out / f"{source.stem}.report.json") as partial:
        partial.write_text(json.dumps(report, indent=2) + "\n")


def summary_line(conversion: Conversion) -> str:
    """One line for a person."""
    c = conversion.comparison
    levels = "" if c.levels_mean is None else f" · sampler within {c.levels_max:.1f} levels of float"
    return (
        f"{conversion.path.stem}  proved all-integer · {conversion.size_bytes / 1000:.0f} KB · corner error "
        f"float→INT8 {c.corners_mean_px:.2f} px mean, {c.corners_max_px:.2f} max{levels} · {conversion.path}"
    )


def find_models(inputs: Sequence[Path]) -> list[Path]:
    """The .keras files that are named, or lie in the folders that are named, in order.

    Raises:
        UsageError: a folder holds none, or two files would have the same output.
    """
    found: list[Path] = []
    for path in inputs:
        files = sorted(path.glob("*.keras")) if path.is_dir() else [path]
        if not files:
            raise UsageError(f"{path}: no .keras files in this folder")
        found += files
    twice = [name for name, count in Counter(file.stem for file in found).items() if count > 1]
    if twice:
        raise UsageError(f"several inputs are called {twice[0]}.keras and would replace each other: use several --out")
    return found
