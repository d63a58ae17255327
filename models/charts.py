"""Charts drawn by matplotlib: the curve of a training, and histograms; pictures to put beside others on a sheet.

Figures are made without pyplot, so that nothing is kept between two of them and no display is looked for. matplotlib
(extra ``train``) is imported with the first chart.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from stn_rectify.runtime.arrays import Array, Image
from stn_rectify.runtime.drawing import FLOAT, TRUTH, Colour, below, text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


_LOSS, _OUTPUTS, _RATE = TRUTH, (FLOAT, (0, 110, 235), (170, 60, 150), (120, 120, 0)), (186, 180, 174)
_PANEL, _GRID, _FAINT = (238, 241, 243), (222, 218, 214), (112, 101, 91)
_CURVE_PX = (980, 490)
_DPI = 72  # a point is a pixel
_MOST_DOTS = 60  # more of them are a thick line
_LEGEND_COLUMNS = 6


def curve_chart(name: str, rows: Sequence[Mapping[str, float]], starts: Sequence[tuple[int, str]] = ()) -> Image:
    """Draws the rows of a `stn_rectify.models.training.course.curve.Curve`: losses, and the learning rate.

    The losses' scale is logarithmic.

    Losses that are not above zero or no numbers are left out, and so is an output's loss that is all of the loss.

    Args:
        name: the trained file's.
        rows: with ``epoch``; ``loss``, ``..._loss``, ``learning_rate`` and ``seconds`` are drawn.
        starts: epochs that begin a part, and what it is called.

    Returns:
        BGR uint8 [H, W, 3].
    """
    loss = _column(rows, "loss")
    named = dict.fromkeys(column for row in rows for column in row if column.endswith("_loss"))
    of_outputs = {column: _column(rows, column) for column in named}
    losses = {"loss": loss, **{k: v for k, v in of_outputs.items() if not np.array_equal(v, loss, equal_nan=True)}}
    losses = {column: values for column, values in losses.items() if (values > 0).any()}
    if not losses:
        return text(f"{name}: no loss that can be drawn", size=18)
    epochs = _column(rows, "epoch")
    figure, axes = _figure(*_CURVE_PX)
    for k, (column, values) in enumerate(losses.items()):
        colour, width = (_LOSS, 2.5) if column == "loss" else (_OUTPUTS[(k - 1) % len(_OUTPUTS)], 1.2)
        # Without dots a number between two that are none would not be seen: it has a dot as broad as the line.
        dot = width + 3 if len(epochs) <= _MOST_DOTS else width
        label = f"{column.replace('_', ' ')} {_number(values[-1])}".replace("$", r"\$")  # which would begin a formula
        above_zero = np.where(values > 0, values, math.nan)
        axes.plot(epochs, above_zero, "o-", color=_rgb(colour), lw=width, ms=dot, markeredgewidth=0, label=label)
    rates = _column(rows, "learning_rate")
    if (highest := float(np.nanmax([0.0, *rates]))) > 0:
        _add_rate(axes, epochs, rates, highest)
    _scale_losses(axes)
    _scale_epochs(axes, epochs, starts)
    figure.legend(loc="outside upper left", ncols=_LEGEND_COLUMNS, frameon=False, fontsize=13)
    return below([text(_title(name, rows), size=18), _drawn(figure)], gap=0)


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


def _add_rate(axes: Axes, epochs: Array, rates: Array, highest: float) -> None:
    """Draws the learning rate behind the losses, on a scale of its own at the right."""
    behind = axes.twinx()
    behind.plot(epochs, rates, color=_rgb(_RATE), linewidth=1.2, label="learning rate")
    behind.set_ylim(0, highest)
    behind.set_yticks([0, highest / 2, highest])
    behind.yaxis.set_major_formatter("{x:.2g}")
    behind.set_ylabel("learning rate", color=_rgb(_FAINT), size=13)
    _style(behind)
    behind.patch.set_visible(True)
    axes.patch.set_visible(False)
    axes.set_zorder(behind.get_zorder() + 1)


def _scale_losses(axes: Axes) -> None:
    from matplotlib.ticker import AutoLocator, LogLocator, NullLocator

    axes.set_yscale("log")
    low, high = axes.get_ylim()
    decades = math.log10(high / low)
    steps = (1.0, 2.0, 5.0) if decades < 3 else (1.0,)
    axes.yaxis.set_major_locator(LogLocator(subs=steps) if decades >= 1 else AutoLocator())
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter("{x:g}")
    axes.set_ylabel("loss (logarithmic)", size=13)
    axes.grid(axis="y", color=_rgb(_GRID))


def _scale_epochs(axes: Axes, epochs: Array, starts: Sequence[tuple[int, str]]) -> None:
    from matplotlib.ticker import MaxNLocator

    first, last = epochs[0], max(epochs[-1], epochs[0] + 1)  # a single one has an axis, too
    rim = (last - first) / 100
    axes.set_xlim(first - rim, last + rim)
    axes.xaxis.set_major_locator(MaxNLocator(10, integer=True, steps=[1, 2, 5, 10], min_n_ticks=1))
    axes.set_xlabel("epoch", size=13)
    for epoch, label in starts:
        axes.axvline(epoch, color=_rgb(_FAINT), linewidth=1)
        foot = (epoch, 0.0), axes.get_xaxis_transform()  # epoch, share of the height
        axes.annotate(label, foot[0], (4, 4), foot[1], "offset points", color=_rgb(_FAINT), size=12)


def histogram(
    title: str, series: Sequence[tuple[str, Colour, Array]], edges: Array, *, width: int = 560, height: int = 210
) -> Image:
    """Shows how often values fall between edges, for a few series beside each other; a line marks each median.

    Args:
        title: what is counted, with its unit.
        series: a label, a colour and the values [N] of each; NaN are left out, values beyond the edges fall into the
            outermost bins.
        edges: [B + 1], rising evenly.
        width: of the picture, pixels.
        height: of the picture below its title, pixels.

    Returns:
        BGR uint8 [H, width, 3].
    """
    figure, axes = _figure(width, height)
    for k, (label, colour, values) in enumerate(series):
        finite = np.asarray(values, np.float64)[np.isfinite(values)]
        counts = np.histogram(np.clip(finite, edges[0], edges[-1]), edges)[0]
        bar = 0.84 * np.diff(edges) / len(series)
        lefts = edges[:-1] + 0.08 * np.diff(edges) + k * bar
        if len(finite):
            median = float(np.median(finite))
            axes.axvline(float(np.clip(median, edges[0], edges[-1])), color=_rgb(colour), linewidth=1.2)
            label = f"{label}, median {median:.3g}"
        axes.bar(lefts, counts / max(len(finite), 1), bar, align="edge", color=_rgb(colour), label=label)
    axes.set_xlim(edges[0], edges[-1])
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_formatter(lambda share, _: f"{100 * share:.3g} %")
    figure.legend(loc="outside upper left", ncols=_LEGEND_COLUMNS, frameon=False, fontsize=12)
    return below([text(title, width), _drawn(figure)], gap=0)


def error_histogram(title: str, series: Sequence[tuple[str, Colour, Array]]) -> Image:
    """Draws a `histogram` from 0 to where 19 of 20 values of the best series lie, or a little further."""
    reach = min([_percentile(values, 95) for _, _, values in series])
    top = next((end for end in (0.75, 1.5, 3.0, 6.0, 12.0, 24.0) if end >= reach), 48.0)
    return histogram(f"{title} (last: {top * 23 / 24:.3g} and more)", series, np.linspace(0, top, 25))


def _percentile(values: Array, percent: float) -> float:
    finite = np.asarray(values)[np.isfinite(values)]
    return float(np.percentile(finite, percent)) if len(finite) else 0.0


def _figure(width: int, height: int) -> tuple[Figure, Axes]:
    """An empty figure of this many pixels, and its axes."""
    from matplotlib.figure import Figure

    # Half a pixel more: the canvas cuts fractions off.
    figure = Figure(((width + 0.5) / _DPI, (height + 0.5) / _DPI), dpi=_DPI, layout="constrained")
    axes = figure.add_subplot()
    _style(axes)
    return figure, axes


def _style(axes: Axes) -> None:
    axes.set_facecolor(_rgb(_PANEL))
    axes.tick_params(length=0, pad=6, labelsize=12, labelcolor=_rgb(_FAINT))
    axes.set_axisbelow(True)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _rgb(colour: Colour) -> tuple[float, float, float]:
    blue, green, red = colour
    return red / 255, green / 255, blue / 255


def _drawn(figure: Figure) -> Image:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.ascontiguousarray(np.asarray(canvas.buffer_rgba(), np.uint8)[..., 2::-1])
