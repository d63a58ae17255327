"""A result as the values that JSON lines, MQTT and the web view give out."""

from __future__ import annotations

from typing import Any

from stn_rectify.runtime.rectification import Rectification
from stn_rectify.runtime.sources import CapturedFrame

__all__ = ["result_values"]


def result_values(frame: CapturedFrame, result: Rectification) -> dict[str, Any]:
    """What a result says, in types that JSON has; pictures are left out.

    Args:
        frame: as it is seen through the view.
        result: of this frame.

    Returns:
        ``source``, ``frame`` (its index), ``timestamp`` (Unix seconds), ``corners`` (four [x, y], frame pixels),
        ``score``, ``label``, ``label_score`` (None without a recognizer, and where the score is 0), ``latency_ms``;
        and ``labels`` (pairs of label and score, best first) where the best few were asked for.
    """
    labels = [[label, round(score, 4)] for label, score in result.top_labels]
    return {
        "source": frame.source,
        "frame": frame.index,
        "timestamp": round(frame.timestamp, 6),
        "corners": [[round(x, 3), round(y, 3)] for x, y in result.corners.tolist()],
        "score": round(result.score, 4),
        "label": result.label,
        "label_score": None if result.label_score is None else round(result.label_score, 4),
        "latency_ms": round(result.latency_ms, 3),
        **({"labels": labels} if labels else {}),
    }
