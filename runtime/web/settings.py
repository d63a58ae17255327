"""The settings of a run that its page changes while it goes on, called as the command's options are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from stn_rectify.runtime.checks import check_real
from stn_rectify.runtime.errors import UsageError
from stn_rectify.runtime.model.metadata import MAX_MARGIN
from stn_rectify.runtime.pipeline import Pipeline
from stn_rectify.runtime.rectifying.tracking.smoothing import CornerSmoother
from stn_rectify.runtime.results import FOUND_SCORE, MissRule
from stn_rectify.runtime.sources import FrameView

_WHOLE = (0.0, 0.0, 1.0, 1.0)
_LEAST_SIDE = 0.01  # of a region, as a share of the frame: less is a slip of the finger
_NOT_FOLLOWING = "images, and several inputs, do not follow one another"


@dataclass(frozen=True)
class Change:
    """A setting that was asked for.

    Attributes:
        text: says it to people.
        apply: takes it up; called by the thread of the run, between two frames. Raises UsageError if the model does
            not go with it.
    """

    text: str
    apply: Callable[[Pipeline], None]


def checked_changes(asked: Mapping[str, object], *, frames_follow: bool) -> dict[str, Change]:
    """The changes that a request asks for, by the names of the settings.

    Args:
        asked: of ``min_score`` (0 to 1; None for the model's own), ``smooth`` (cutoff at rest, Hz; None for none),
            ``margin`` (a share of the target's sides), ``roi`` (x, y, width and height as shares of the frame; None for
            the whole one) those that shall change.
        frames_follow: whether the source's frames follow one another.

    Raises:
        UsageError: if there is none, one is unknown, a value is out of range, or ``smooth`` has no frames that follow.
    """
    if not asked or not asked.keys() <= _KINDS.keys():
        raise UsageError(f"send one or more of {', '.join(_KINDS)}")
    if asked.get("smooth") is not None and not frames_follow:
        raise UsageError(f"smooth: {_NOT_FOLLOWING}")
    return {name: _KINDS[name](value) for name, value in asked.items()}


def settings_values(pipeline: Pipeline, *, frames_follow: bool) -> dict[str, Any]:
    """The settings as they are, in types that JSON has.

    Args:
        pipeline: of the run.
        frames_follow: whether the source's frames follow one another.

    Returns:
        By the names of the settings ``value``, as `checked_changes` takes it, and ``impossible_because``, None where it
        can be changed. ``min_score`` has ``in_use``, which may be the model's own, ``margin`` has ``most``.
    """
    rectifier, rule = pipeline.rectifier, pipeline.rule
    smoother = pipeline.smoother
    no_score = "the model gives no score" if rectifier.model.metadata.score is None else None
    not_smooth = _reason(rectifier.check_takes_corners) if frames_follow else _NOT_FOLLOWING
    roi = pipeline.view.roi
    return {
        "min_score": {
            "value": pipeline.asked_rule.min_score,
            "in_use": FOUND_SCORE if rule.min_score is None else rule.min_score,
            "impossible_because": no_score,
        },
        "smooth": {"value": None if smoother is None else smoother.min_cutoff, "impossible_because": not_smooth},
        "margin": {
            "value": rectifier.margin,
            "most": MAX_MARGIN,
            "impossible_because": _reason(rectifier.check_takes_margin),
        },
        "roi": {"value": None if roi == _WHOLE else list(roi), "impossible_because": None},
    }


def _reason(check: Callable[[], None]) -> str | None:
    try:
        check()
    except UsageError as error:
        return str(error)
    return None


def _min_score(value: object) -> Change:
    check_real("min_score", 0.0 if value is None else value, "a number from 0 to 1, or null", least=0, most=1)
    rule = MissRule(value)  # type: ignore[arg-type]  # which is checked
    text = "the model's own" if rule.min_score is None else f"{rule.min_score:.2f}"
    return Change(
        f"lowest score of a target: {text}",
        lambda pipeline: pipeline.set_rule(replace(pipeline.asked_rule, min_score=rule.min_score)),
    )


def _smooth(value: object) -> Change:
    if value is None:
        return Change("corners are not smoothed", lambda pipeline: pipeline.set_smoother(None))
    cutoff_hz = check_real("smooth", value, "a number of Hz above 0, or null", least=0.001, most=1000)
    smoother = CornerSmoother(cutoff_hz)
    return Change(f"corners are smoothed, {cutoff_hz:g} Hz", lambda pipeline: pipeline.set_smoother(smoother))


def _margin(value: object) -> Change:
    margin = check_real("margin", value, f"a number from 0 to {MAX_MARGIN:g}", least=0, most=MAX_MARGIN)
    return Change(f"margin: {margin:.0%} of the target", lambda pipeline: pipeline.rectifier.set_margin(margin))


def _roi(value: object) -> Change:
    roi = FrameView(roi=_WHOLE if value is None else value).roi  # type: ignore[arg-type]  # which it checks
    if min(roi[2:]) < _LEAST_SIDE:
        raise UsageError(f"the region is too small: each side must be {_LEAST_SIDE:g} of the frame or more")
    text = "the whole frame" if roi == _WHOLE else ", ".join(f"{share:.0%}" for share in roi)
    return Change(f"region: {text}", lambda pipeline: pipeline.set_view(replace(pipeline.view, roi=roi)))


_KINDS: dict[str, Callable[[object], Change]] = {
    "min_score": _min_score,
    "smooth": _smooth,
    "margin": _margin,
    "roi": _roi,
}
