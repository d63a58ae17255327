"""The JSON line of a result: its keys, what they mean, and the schema that says so to other programs.

`ResultLine` is the one description: results become values by it, in files, messages, browsers and apps, and
``stn-rectify --print-schema`` is made of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from stn_rectify.runtime.sources import CapturedFrame

if TYPE_CHECKING:  # which gives itself as such a line
    from stn_rectify.runtime.results.target import FoundTarget

_SCHEMA_DIALECT = "https://json-schema.org/draft/2020-12/schema"

_Point = Annotated[list[float], Meta(min_length=2, max_length=2)]
_Share = Annotated[float, Meta(ge=0, le=1)]
_Corners = Annotated[
    list[_Point],
    Meta(
        min_length=4,
        max_length=4,
        description="top-left, top-right, bottom-right, bottom-left of the upright target: [x, y], pixels of the "
        "frame, the centre of the first pixel at (0, 0)",
    ),
]
_Score = Annotated[_Share, Meta(description="how sure the model is that a target is there")]
_Label = Annotated[
    str | None,
    Meta(description="what a recognizer says the target is; null without one, of a miss, and of nothing it knows"),
]
_LabelScore = Annotated[_Share | None, Meta(description="how sure the recognizer is; null where it does not say")]
_Labels = Annotated[
    list[Annotated[list[str | _Share | None], Meta(min_length=2, max_length=2)]],
    Meta(description="the best labels, best first, each with its score; with --top-k"),
]
_Read = Annotated[str, Meta(description="what the recognizer said, where rules made another label of it, or none")]
_TurnScore = Annotated[_Share, Meta(description="how sure the turn is")]
_Quarters = Annotated[int, Meta(ge=0, le=3)]
_TURN = "by how many quarters the target was turned clockwise to be upright"
_Number = Annotated[int, Meta(ge=1)]
_TRACK = "the target's number, which it keeps from frame to frame"


class TargetLine(Struct, kw_only=True):
    """One of several targets of a frame."""

    corners: _Corners
    score: _Score
    label: _Label
    label_score: _LabelScore
    track: Annotated[_Number | None, Meta(description=f"{_TRACK}; null where targets are not followed")]
    turn: Annotated[_Quarters | None, Meta(description=f"{_TURN}; null where that is not known")]
    labels: _Labels | UnsetType = UNSET
    read: _Read | UnsetType = UNSET
    turn_score: _TurnScore | UnsetType = UNSET


class ResultLine(Struct, kw_only=True):
    """What stn-rectify found in one frame: a line of --jsonl, a message of --mqtt, the answer of /api/latest."""

    source: Annotated[
        str | None, Meta(description="file, URL or device; null of a frame that an app handed over as an array")
    ]
    frame: Annotated[
        Annotated[int, Meta(ge=0)] | None,
        Meta(description="number of the frame in its source, from 0; null where the source is"),
    ]
    page: Annotated[_Number, Meta(description="of a file of several pages, or an animation: which one")] | UnsetType = (
        UNSET
    )
    timestamp: Annotated[
        float | None, Meta(description="when the frame was captured or read, Unix seconds; null where the source is")
    ]
    corners: _Corners
    score: _Score
    label: _Label
    label_score: _LabelScore
    latency_ms: Annotated[
        Annotated[float, Meta(ge=0)], Meta(description="what the frame took from its pixels to this result")
    ]
    labels: _Labels | UnsetType = UNSET
    read: _Read | UnsetType = UNSET
    turn_score: _TurnScore | UnsetType = UNSET
    track: Annotated[_Number, Meta(description=_TRACK)] | UnsetType = UNSET
    turn: Annotated[_Quarters, Meta(description=_TURN)] | UnsetType = UNSET
    targets: (
        Annotated[list[TargetLine], Meta(description="all targets, best first; with --max-targets from 2")] | UnsetType
    ) = UNSET


def line_values(
    result: FoundTarget, frame: CapturedFrame | None = None, targets: Sequence[FoundTarget] | None = None
) -> dict[str, Any]:
    """Gives a result as values of types that JSON has; pictures are left out.

    Args:
        result: of a frame; of several targets that of the best one.
        frame: as it is seen through the view; None where nothing is known of it.
        targets: all targets, best first; None where only one was looked for.

    Returns:
        The keys of `ResultLine`, those that are not set left out.
    """
    line = ResultLine(
        source=None if frame is None else frame.source,
        frame=None if frame is None else frame.index,
        page=UNSET if frame is None or frame.page is None else frame.page,
        timestamp=None if frame is None else round(frame.timestamp, 6),
        latency_ms=round(result.latency_ms, 3),
        track=UNSET if result.track is None else result.track,
        turn=UNSET if result.turn is None else result.turn,
        targets=UNSET if targets is None else [_target_line(target) for target in targets],
        **_shared_values(result),
    )
    values: dict[str, Any] = msgspec.to_builtins(line)
    return values


def line_schema() -> dict[str, Any]:
    """The JSON schema (draft 2020-12) of a line."""
    schema = msgspec.json.schema(ResultLine)
    return {"$schema": _SCHEMA_DIALECT, "title": "A result of stn-rectify", **schema}


def _target_line(target: FoundTarget) -> TargetLine:
    return TargetLine(track=target.track, turn=target.turn, **_shared_values(target))


def _shared_values(target: FoundTarget) -> dict[str, Any]:
    """What a line says of its own target and of each of several."""
    labels = [[label, _rounded(score)] for label, score in target.top_labels]
    return {
        "corners": [[round(x, 3), round(y, 3)] for x, y in target.corners.tolist()],
        "score": round(target.score, 4),
        "label": target.label,
        "label_score": _rounded(target.label_score),
        "labels": labels or UNSET,
        "read": UNSET if target.read is None else target.read,
        "turn_score": UNSET if target.turn_score is None else round(target.turn_score, 4),
    }


def _rounded(score: float | None) -> float | None:
    return None if score is None else round(score, 4)
