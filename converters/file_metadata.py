"""metadata.json and labels.txt, appended to a flatbuffer as a zip archive (docs/reference/model-file.md)."""

from __future__ import annotations

import hashlib
import importlib.metadata
import io
import json
import zipfile
from collections.abc import Sequence

import msgspec
import tensorflow as tf

from stn_rectify.converters.assembly import Assembly
from stn_rectify.converters.integer.sampler_plan import THETA_BITS
from stn_rectify.converters.reading.stn_parts import StnParts
from stn_rectify.runtime.model.metadata import (
    ClassScoresSpec,
    FlatbufferSpec,
    ImageSpec,
    InputSpec,
    Metadata,
    NetworkMetadata,
    OutputsSpec,
    RecognizerMetadata,
    RefineSpec,
    ScoreSpec,
    ThetaSpec,
    TurnSpec,
    WholeSpec,
)

#: ``coordinates`` of a file without θ.
CORNERS_IN_PIXELS = "corners are frame pixels, TL TR BR BL, the centre of the first pixel at (0, 0)"
_COORDINATES = (
    "normalised: x right, y down, [-1, 1] from the outer edge of the first pixel to the outer edge of the last "
    f"(align_corners=False); theta maps output to input coordinates, {{theta}}; {CORNERS_IN_PIXELS}"
)
_PLANAR = "x_in ~ H(theta) x_out, H[2][2] = 1, row-major"
_LONG_AGO = (1980, 1, 1, 0, 0, 0)  # the same input gives the same bytes
_SPLINE = "the thin-plate spline through x, y in the input of the 4x4 points of the output, row-major"


def file_metadata(
    name: str,
    description: str,
    parts: StnParts,
    assembly: Assembly,
    value_range: tuple[float, float],
    source_sha256: str,
    flatbuffer: bytes,
    refine: RefineSpec | None = None,
    min_score: float | None = None,
    turn: TurnSpec | None = None,
) -> Metadata:
    """Gives the content of metadata.json: what the runtime and people need to know of a file.

    Args:
        name: of the model.
        description: one line.
        parts: the float model.
        assembly: what became of it.
        value_range: what pixel values 0 and 255 are to it.
        source_sha256: of the .keras file or SavedModel.
        flatbuffer: of all networks.
        refine: of `refine_metadata`; None for a file of one network.
        min_score: from which on a target counts as found; None: the runtime's own choice.
        turn: what metadata.json says under ``turn``; None for a file without a turn network.
    """
    in_graph = assembly.plan is not None
    return Metadata(
        name=name,
        description=description,
        kind="in-graph" if in_graph else "pose-only",
        transform=parts.transform,
        padding=parts.padding,
        coordinates=_COORDINATES.format(theta=_SPLINE if parts.transform == "tps" else _PLANAR),
        input=_input(parts, assembly, value_range),
        outputs=OutputsSpec(
            ImageSpec(*parts.output_size, parts.channels) if in_graph else None,
            ThetaSpec(len(parts.bias), THETA_BITS),
            _score(assembly),
            _class_scores(parts, assembly),
        ),
        parameters=assembly.cost.parameters,
        macs=assembly.cost.macs,
        source_sha256=source_sha256,
        converter=versions(),
        refine=refine,
        turn=turn,
        min_score=min_score,
        flatbuffer=flatbuffer_spec(flatbuffer),
    )


def refine_metadata(
    parts: StnParts, assembly: Assembly, value_range: tuple[float, float], *, margin: float, passes: int
) -> RefineSpec:
    """Gives what metadata.json says under ``refine``: what the runtime needs to know of a refine network.

    Args:
        parts: the float network.
        assembly: what became of it.
        value_range: what pixel values 0 and 255 are to it.
        margin: of its crops, as a share of the target's side.
        passes: how many a `Rectifier` makes unasked.
    """
    return RefineSpec(
        _input(parts, assembly, value_range),
        ThetaSpec(len(parts.bias), THETA_BITS),
        _score(assembly),
        margin,
        passes,
        assembly.cost.parameters,
        assembly.cost.macs,
    )


def whole_metadata(
    parts: StnParts, assembly: Assembly, value_range: tuple[float, float], *, weight: float
) -> WholeSpec:
    """Gives what metadata.json says under ``whole``: what the runtime needs to know of a look at the whole frame.

    Args:
        parts: the float network.
        assembly: what became of it.
        value_range: what pixel values 0 and 255 are to it.
        weight: what its scores count beside those of the dense network.
    """
    return WholeSpec(
        _input(parts, assembly, value_range),
        ThetaSpec(len(parts.bias), THETA_BITS),
        _score(assembly),
        weight,
        assembly.cost.parameters,
        assembly.cost.macs,
    )


def flatbuffer_spec(flatbuffer: bytes) -> FlatbufferSpec:
    """Gives size and hash, by which the runtime knows that the flatbuffer is whole and unaltered."""
    return FlatbufferSpec(len(flatbuffer), hashlib.sha256(flatbuffer).hexdigest())


def pack(
    flatbuffer: bytes, metadata: Metadata | RecognizerMetadata | NetworkMetadata, labels: Sequence[str] = ()
) -> bytes:
    """The model file: flatbuffer, then the archive."""
    file = io.BytesIO(flatbuffer)
    with zipfile.ZipFile(file, "a", zipfile.ZIP_DEFLATED) as archive:
        for name, text in (
            # Numbers as Python writes them: msgspec's own JSON has 1e-5 for 1e-05.
            ("metadata.json", json.dumps(msgspec.to_builtins(metadata), indent=2) + "\n"),
            ("labels.txt", "".join(f"{label}\n" for label in labels)),
        ):
            info = zipfile.ZipInfo(name, _LONG_AGO)
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, text)
    return file.getvalue()


def _score(assembly: Assembly) -> ScoreSpec | None:
    score = assembly.quantizations.get("score")
    return None if score is None else ScoreSpec(score.scale, score.zero_point)


def _class_scores(parts: StnParts, assembly: Assembly) -> ClassScoresSpec | None:
    scores, activation = assembly.quantizations.get("class_scores"), assembly.class_activation
    if scores is None or parts.classes is None or activation is None:
        return None
    return ClassScoresSpec(size=parts.classes, scale=scores.scale, zero_point=scores.zero_point, activation=activation)


def _input(parts: StnParts, assembly: Assembly, value_range: tuple[float, float]) -> InputSpec:
    frame, colour = assembly.quantizations["frame"], "BGR" if parts.is_bgr else colour_name(parts.channels)
    return InputSpec(*parts.input_size, parts.channels, colour, value_range, frame.scale, frame.zero_point)


def colour_name(channels: int) -> str:
    """The colour that metadata.json names for a number of channels."""
    return {1: "GREY", 3: "RGB"}.get(channels, "OTHER")


def versions() -> dict[str, str]:
    """Gives the versions of what made the file, by name."""
    return {"stn_rectify": importlib.metadata.version("stn-rectify"), "tensorflow": str(tf.__version__)}
