"""The picture of a training's curve: losses over the epochs on a logarithmic scale, and the learning rate."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import cv2
import numpy as np

from stn_rectify.models.drawing import FLOAT, TRUTH, Colour, below, beside, text
from stn_rectify.runtime.arrays import Array, Image

__all__ = ["curve_chart"]


_LOSS, _OUTPUTS, _RATE = TRUTH, (FLOAT, (0, 110, 235), (170, 60, 150), (120, 120, 0)), (186, 180, 174)
_PAPER, _PANEL, _GRID, _FAINT = (255, 255, 255), (238, 241, 243), (222, 218, 214), (112, 101, 91)
_WIDTH, _HEIGHT = 860, 400
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 70, 32, 40
_MOST_DOTS = 60  # more of them are a thick line
_SUBPIXEL_BITS = 4


def curve_chart(name: str, rows: Sequence[Mapping[str, float]], starts: Sequence[tuple[int, str]] = ()) -> Image:
    """Draws the rows of a `stn_rectify.models.training.curve.Curve`.

    Losses that are not above zero or no numbers are left out, and so is an output's loss that is all of the loss.

    Args:
        name: the trained file's.
        rows: with ``epoch``; ``loss``, ``..._loss``, ``learning_rate`` and ``seconds`` are drawn.
        starts: epochs that begin a part, and what it is called.
    """
    epochs = _column(rows, "epoch")
    loss = _column(rows, "loss")
    named = dict.fromkeys(column for row in rows for column in row if column.endswith("_loss"))
    of_outputs = {column: _column(rows, column) for column in named}
    losses = {"loss": loss, **{k: v for k, v in of_outputs.items() if not np.array_equal(v, loss, equal_nan=True)}}
    losses = {column: values for column, values in losses.items() if (values > 0).any()}
    if not losses:
        return text(f"{name}: no loss that can be drawn", size=18)
    chart = np.full((_TOP + _HEIGHT + _BOTTOM, _LEFT + _WIDTH + _RIGHT, 3), _PAPER, np.uint8)
    chart[_TOP : _TOP + _HEIGHT, _LEFT : _LEFT + _WIDTH] = _PANEL
    place_x = _epoch_axis(chart, epochs, starts)
    place_y = _loss_axis(chart, np.concatenate([values[values > 0] for values in losses.values()]))
    legend: list[tuple[str, Colour, int]] = []
    rates = _column(rows, "learning_rate")
    if (highest := float(np.nanmax([0.0, *rates]))) > 0:
        _rate_axis(chart, highest)
        _line(chart, place_x(epochs), _TOP + (1 - rates / highest) * _HEIGHT, _RATE, 1, dots=False)
        legend.append(("learning rate", _RATE, 1))
    for k, (column, values) in enumerate(losses.items()):
        colour, width = (_LOSS, 2) if column == "loss" else (_OUTPUTS[(k - 1) % len(_OUTPUTS)], 1)
        _line(chart, place_x(epochs), place_y(values), colour, width, dots=len(epochs) <= _MOST_DOTS)
        legend.insert(k, (f"{column.replace('_', ' ')} {_number(values[-1])}", colour, width))
    return below([text(_title(name, rows), size=18), _legend(legend), chart], gap=4)


def _column(rows: Sequence[Mapping[str, float]], name: str) -> Array:
    values = np.array([row.get(name, math.nan) for row in rows], np.float64)
    return np.where(np.isfinite(values), values, math.nan)


def _title(name: str, rows: Sequence[Mapping[str, float]]) -> str:
    count, last = int(rows[-1]["epoch"]), _number(rows[-1].get("loss", math.nan))
    minutes = round(sum(row.get("seconds", 0.0) for row in rows) / 60)
    took = f"{minutes // 60} h {minutes % 60:02d} min" if minutes >= 60 else f"{minutes} min"
    return f"{name}: loss {last} after {count} epoch{'s' * (count > 1)}{f', {took}' if minutes else ''}"


def _number(value: float) -> str:
    return f"{value:.3g}" if math.isfinite(value) else "not finite"


def _legend(entries: Sequence[tuple[str, Colour, int]]) -> Image:
    parts = []
    for label, colour, width in entries:
        swatch = np.full((20, 26, 3), _PAPER, np.uint8)
        cv2.line(swatch, (0, 10), (25, 10), colour, width, cv2.LINE_AA)
        parts += [swatch, text(f"{label}    ", size=13)]
    return beside(parts, gap=6)


def _epoch_axis(chart: Image, epochs: Array, starts: Sequence[tuple[int, str]]) -> Callable[[Array], Array]:
    """Draws it; returns where epochs are, pixels from the left."""
    first, last = float(epochs[0]), float(epochs[-1])
    span = max(last - first, 1.0)

    def place(values: Array) -> Array:
        # Half a dot's room at both ends, so that the first and the last one are whole.
        return np.asarray(_LEFT + 8 + (values - first) / span * (_WIDTH - 16))

    step = max(1, round(_even_step(span / 10)))
    ticks = sorted({int(first), *(k for k in range(0, int(last) + 1, step) if k >= first + step / 2)})
    for tick in ticks:
        _put(chart, text(f"{tick}", size=12, colour=_FAINT), float(place(np.array(tick))), _TOP + _HEIGHT + 3, 0.5)
    _put(chart, text("epoch", size=13), _LEFT + _WIDTH / 2, _TOP + _HEIGHT + 20, 0.5)
    for epoch, label in starts:
        x = round(float(place(np.array(epoch))))
        cv2.line(chart, (x, _TOP), (x, _TOP + _HEIGHT - 1), _FAINT, 1)
        _put(chart, text(label, size=12, colour=_FAINT), x + 4, _TOP + _HEIGHT - 20, 0)
    return place


def _loss_axis(chart: Image, values: Array) -> Callable[[Array], Array]:
    """Draws it; returns where losses are, pixels from above, NaN for those that are not above zero."""
    low, high = (float(end) for end in np.log10([values.min(), values.max()]))
    rim = max(0.04 * (high - low), 0.01)
    low, high = low - rim, high + rim

    def place(losses: Array) -> Array:
        logarithms = np.log10(np.where(losses > 0, losses, np.nan))
        return np.asarray(_TOP + (high - logarithms) / (high - low) * _HEIGHT)

    for tick in _loss_ticks(10**low, 10**high):
        y = float(place(np.array(tick)))
        cv2.line(chart, (_LEFT, round(y)), (_LEFT + _WIDTH - 1, round(y)), _GRID, 1)
        _put(chart, text(f"{tick:g}", size=12, colour=_FAINT), _LEFT - 5, y - 10, 1)
    _put(chart, text("loss (logarithmic)", size=13), 0, 0, 0)
    return place


def _loss_ticks(low: float, high: float) -> list[float]:
    """Round numbers from ``low`` to ``high``: powers of ten, with those between if they are few, else even steps."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for digits in ((1,), (1, 3), (1, 2, 5), tuple(range(1, 10))):
        ticks = [digit * 10.0**k for k in decades for digit in digits if low <= digit * 10.0**k <= high]
        if len(ticks) >= 4:
            return ticks
    step = _even_step((high - low) / 6)
    return [k * step for k in range(math.ceil(low / step), math.floor(high / step) + 1)]


def _even_step(least: float) -> float:
    """The least of 1, 2, 5, 10, ... times a power of ten that is not below."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(digit * power for digit in (1, 2, 5, 10, 20) if digit * power >= least)


def _rate_axis(chart: Image, highest: float) -> None:
    x = _LEFT + _WIDTH + 5
    for share in (0.0, 0.5, 1.0):
        _put(chart, text(f"{share * highest:.2g}", size=12, colour=_FAINT), x, _TOP + (1 - share) * _HEIGHT - 10, 0)
    _put(chart, text("learning rate", size=13, colour=_FAINT), chart.shape[1], 0, 1)


def _line(chart: Image, x: Array, y: Array, colour: Colour, width: int, *, dots: bool) -> None:
    """A line through the points that are numbers; broken where one is none."""
    points = np.round(np.stack([x, y], axis=-1) * 2**_SUBPIXEL_BITS)
    known = np.isfinite(points).all(axis=1)
    for run in np.split(np.arange(len(points)), np.flatnonzero(~known)):
        of_line = points[run[known[run]]].astype(np.int32)
        cv2.polylines(chart, [of_line[:, None]], False, colour, width, cv2.LINE_AA, _SUBPIXEL_BITS)
    if dots or known.sum() == 1:
        for point in points[known].astype(np.int32):
            cv2.circle(
                chart, point.tolist(), (width + 4) * 2 ** (_SUBPIXEL_BITS - 1), colour, -1, cv2.LINE_AA, _SUBPIXEL_BITS
            )


def _put(chart: Image, label: Image, x: float, y: float, anchor: float) -> None:
    """Draws a label over the chart; ``anchor``: the share of it that lies left of ``x``."""
    height, width = label.shape[:2]
    left = int(np.clip(round(x - anchor * width), 0, chart.shape[1] - width))
    top = int(np.clip(round(y), 0, chart.shape[0] - height))
    part = chart[top : top + height, left : left + width]
    np.minimum(part, label, out=part)  # only the ink
