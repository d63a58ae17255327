"""The files of a report, beside the model file; its page is HTML that needs nothing else, pictures and styles in it."""

from __future__ import annotations

import base64
import importlib.resources
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jinja2 import Environment, FunctionLoader, StrictUndefined

from stn_rectify.converters.report.pictures.frame_pictures import (
    DIFFERENCE_GAIN,
    AlignmentPicture,
    FramePicture,
    frame_sheet,
)
from stn_rectify.models.files import partial_file
from stn_rectify.runtime import drawing
from stn_rectify.runtime.arrays import Array, Image

_MOST_PX = 320  # longer side of an embedded picture
_MARGIN = 0.04  # around a frame, of its size
_TOO_FAR = 8  # frames: outlines beyond are cut, no browser needs them


def write_report(
    out: Path,
    report: Mapping[str, Any],
    pictures: Sequence[FramePicture] = (),
    alignment: Sequence[AlignmentPicture] = (),
    sheets: Sequence[AlignmentPicture] = (),
    turns: Sequence[AlignmentPicture] = (),
    *,
    pictured: int = 0,
) -> None:
    """Writes ``NAME.report.json``, ``NAME.report.html`` and, if there are pictures, ``NAME.png``.

    Args:
        out: the folder.
        report: of `report_dict`.
        pictures: of `take_pictures`; none when the proof failed before.
        alignment: of `take_alignment`; the same.
        sheets: of `take_level_pictures`; the same.
        turns: of `take_turn_pictures`; the same.
        pictured: which of the report's networks ``pictures`` and ``alignment`` are of.

    Raises:
        DataError: if a file cannot be written.
    """
    name = report["name"]
    with partial_file(out / f"{name}.report.json") as partial:
        text = json.dumps(report, indent=2, allow_nan=False, ensure_ascii=False) + "\n"
        partial.write_text(text, encoding="utf-8", errors="backslashreplace")  # paths can be any bytes
    _write_html(out / f"{name}.report.html", report, pictures, alignment, sheets, turns, pictured)
    images = [sheet.image for sheet in sheets] + ([frame_sheet(pictures, alignment)] if pictures else [])
    if images:
        drawing.write_png(out / f"{name}.png", drawing.below(images, gap=14))


def _write_html(
    file: Path,
    report: Mapping[str, Any],
    pictures: Sequence[FramePicture],
    alignment: Sequence[AlignmentPicture],
    sheets: Sequence[AlignmentPicture],
    turns: Sequence[AlignmentPicture],
    pictured: int,
) -> None:
    """Writes the page; arguments as of `write_report`.

    Raises:
        DataError: if the page cannot be written.
    """
    environment = Environment(
        loader=FunctionLoader(_template),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "number": _number,
        "percent": _percent,
        "count": lambda value: f"{value:,}".replace(",", "\u202f"),
        "dtypes": _dtypes,
        "pretty": lambda value: json.dumps(value, indent=2, ensure_ascii=False),
    }
    page = environment.get_template("page.html").render(
        report=report,
        pictures=[_embedded(picture) for picture in pictures],
        alignment=[(picture.words, _encoded(picture.image), picture.image.shape) for picture in alignment],
        sheets=[(sheet.words, _encoded(sheet.image), sheet.image.shape) for sheet in sheets],
        turns=[(sheet.words, _encoded(sheet.image), sheet.image.shape) for sheet in turns],
        gain=DIFFERENCE_GAIN,
        pictured=pictured,
    )
    with partial_file(file) as partial:
        partial.write_text(page, encoding="utf-8", errors="backslashreplace")  # paths can be any bytes


def _template(name: str) -> str:
    """A file of templates/: page.html, and what it includes."""
    return importlib.resources.files(__package__).joinpath("templates", name).read_text(encoding="utf-8")


def _number(value: float | None, digits: int = 2) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def _percent(value: float | None, digits: int = 1) -> str:
    return "–" if value is None else f"{100 * value:.{digits}f}\u00a0%"


def _dtypes(names: Sequence[str]) -> str:
    """``int8, int8, int32`` as ``int8 ×2, int32``."""
    runs: list[list[Any]] = []
    for name in names:
        if runs and runs[-1][0] == name:
            runs[-1][1] += 1
        else:
            runs.append([name, 1])
    return ", ".join(name if count == 1 else f"{name} ×{count}" for name, count in runs)


def _embedded(picture: FramePicture) -> dict[str, Any]:
    """Gives what the template needs of a picture."""
    height, width = picture.frame.shape[:2]
    outlines = [("int8", picture.outline_int8), ("float", picture.outline_float)]
    if picture.truth is not None:
        outlines.insert(0, ("truth", picture.truth))
    images = [
        ("rectified, float", picture.rectified_float),
        ("rectified, INT8", picture.rectified_int8),
        (f"difference ×{DIFFERENCE_GAIN}", picture.difference),
    ]
    return {
        "rank": picture.rank,
        "number": picture.number,
        "corner_error_px": picture.corner_error_px,
        "width": width,
        "height": height,
        "view": _view(width, height),
        "frame": _data_uri(picture.frame),
        "outlines": [(name, _points(points, width, height)) for name, points in outlines],
        "rectified_size": picture.rectified_float.shape[1::-1],
        "images": [(name, _data_uri(image)) for name, image in images if image is not None],
    }


def _view(width: int, height: int) -> str:
    """SVG's view of a frame with a margin, for outlines that leave it; pixels have their centres at whole numbers."""
    x, y = _MARGIN * width, _MARGIN * height
    return f"{-0.5 - x:.2f} {-0.5 - y:.2f} {width + 2 * x:.2f} {height + 2 * y:.2f}"


def _points(points: Array, width: int, height: int) -> str:
    """SVG's list of points."""
    far = _TOO_FAR * max(width, height)
    return " ".join(f"{x:.2f},{y:.2f}" for x, y in np.clip(points, -far, far))


def _data_uri(image: Image) -> str:
    longer = max(image.shape[:2])
    if longer > _MOST_PX:
        size = [max(1, round(n * _MOST_PX / longer)) for n in image.shape[1::-1]]
        image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    return _encoded(image)


def _encoded(image: Image) -> str:
    encoded = cv2.imencode(".png", image)[1]
    return "data:image/png;base64," + base64.b64encode(encoded.tobytes()).decode("ascii")
