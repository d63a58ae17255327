"""The arguments of a `Rectifier` and of its methods, checked against its model."""

from __future__ import annotations

import re
import time
from typing import Literal

import numpy as np

from stn_rectify.runtime.arrays import FloatArray, Image
from stn_rectify.runtime.checks import check_choice, check_real, is_whole
from stn_rectify.runtime.errors import DataError, UsageError, shown
from stn_rectify.runtime.geometry import corners_to_homography, homography_to_theta, is_valid_quadrilateral
from stn_rectify.runtime.images.given import ImageLike, given_image
from stn_rectify.runtime.model.metadata import MAX_MARGIN, MAX_PASSES, InputSpec
from stn_rectify.runtime.model.model_file import ModelFile
from stn_rectify.runtime.rectifying.pixels.frame_sampler import MAX_OUTPUT_SIDE
from stn_rectify.runtime.rectifying.pixels.preprocess import check_frame
from stn_rectify.runtime.rectifying.refining.refinement import FURTHER_PASSES
from stn_rectify.runtime.rectifying.searching.dense_scan import SCANS, Scan
from stn_rectify.runtime.results import Location
from stn_rectify.runtime.sources import CapturedFrame

_UPRIGHT: tuple[Literal["auto", "off"], ...] = ("auto", "off")

#: Targets of a frame that are looked for where nobody says how many.
DEFAULT_TARGETS = 8


def check_scan(scan: object) -> Scan:
    """Checks the argument ``scan``.

    Raises:
        UsageError: if it is no word that names levels.
    """
    return check_choice("scan", scan, SCANS)


def check_upright(upright: object) -> Literal["auto", "off"]:
    """Checks the argument ``upright``.

    Raises:
        UsageError: if it is neither ``"auto"`` nor ``"off"``.
    """
    return check_choice("upright", upright, _UPRIGHT)


def check_margin(margin: object, output: str, model: ModelFile) -> float:
    """Checks the argument ``margin``.

    Raises:
        UsageError: if it is out of range, or the model, or ``output``, allows none.
    """
    wanted = f"a number from 0 to {MAX_MARGIN:g}, a share of the target's sides"
    margin = check_real("margin", margin, wanted, least=0, most=MAX_MARGIN)
    if margin and output == "model":
        raise UsageError("margin needs output='frame' (--output frame): the graph's own image shows the target alone")
    if margin and model.metadata.transform == "tps":
        raise UsageError(
            f"model {model.metadata.name!r} follows the bend of its targets (tps), which nothing tells beyond their "
            "edges: use margin=0 (leave --margin out), or an affine or projective model"
        )
    return margin


def check_refine(refine: object, output: str, model: ModelFile) -> tuple[int, int]:
    """Checks the argument ``refine``, and gives the number of refinement passes to make, and how many may follow them.

    Raises:
        UsageError: if the model, or ``output``, allows no such number.
    """
    spec, name = model.metadata.refine, model.metadata.name
    if refine is None:
        return (0, 0) if spec is None or output == "model" else (spec.passes, FURTHER_PASSES)
    if not is_whole(refine) or not 0 <= refine <= MAX_PASSES:
        raise UsageError(f"refine is {refine!r}: must be a whole number from 0 to {MAX_PASSES}, or None")
    if refine and spec is None:
        raise UsageError(
            f"model {name!r} has no refine network: use refine=0 (--refine 0), or a model converted with one"
        )
    if refine and output == "model":
        raise UsageError(
            "refine needs output='frame' (--output frame): the graph's own image has been taken before any refinement"
        )
    return int(refine), 0


def given_frame(frame: object, spec: InputSpec) -> tuple[Image, CapturedFrame | None]:
    """The pixels of a frame that the model takes; and, of an image that is read for it, where they come from.

    Args:
        frame: see `ImageLike`.
        spec: what the model takes.

    Raises:
        DataError: if it is no frame for this model.
        SourceError: if an image cannot be read.
    """
    image = given_image(frame)
    if image is None:
        return check_frame(frame, spec), None
    pixels = check_frame(image.pixels, spec)
    return pixels, CapturedFrame(image.name, 0, time.time(), pixels, is_still=True)


def given_pose(corners: object, frame: Image) -> tuple[FloatArray, FloatArray]:
    """Corners that did not come from a network: θ [8] of the target, and they as a new array [4, 2].

    Raises:
        DataError: if they are no quadrilateral that `is_valid_quadrilateral` passes.
    """
    try:
        given = np.array(corners, np.float64)
    except (ValueError, TypeError):
        raise DataError(f"corners are {shown(corners)}: must be numbers [4, 2], pixels of the frame") from None
    if not is_valid_quadrilateral(given):
        raise DataError(f"corners {given.tolist()} are no quadrilateral that turns clockwise")
    return homography_to_theta(corners_to_homography(given, frame.shape[1], frame.shape[0])), given


def check_takes_boxes(passes: int, output: str, model: ModelFile) -> None:
    """Checks that targets can be looked for in boxes, which only a refine network does.

    Raises:
        UsageError: if the model has none, its passes are off, or ``output`` allows none.
    """
    if passes:
        return
    name = model.metadata.name
    if model.metadata.refine is None:
        raise UsageError(
            f"boxes need a refine network, and model {name!r} has none: leave boxes out, or use another model"
        )
    if output == "model":
        raise UsageError(
            "boxes need output='frame': the graph's own image is taken where its own look finds the target"
        )
    raise UsageError("boxes need refinement passes: leave refine=0 (--refine 0) out")


def check_takes_corners(output: str, model: ModelFile) -> None:
    """Checks that the target can be taken from other corners than the network's.

    Raises:
        UsageError: if images are the graph's own, or of a spline, whose bend four corners do not tell.
    """
    if output == "model":
        raise UsageError("other corners (--smooth) need output='frame' (--output frame): the graph has its own image")
    if model.metadata.transform == "tps":
        raise UsageError(
            f"model {model.metadata.name!r} follows the bend of its targets (tps), which four corners do not tell: "
            "leave smoothing (--smooth) out, or use an affine or projective model"
        )


def check_output(output: object, size: object, model: ModelFile) -> tuple[int, int] | None:
    """Width and height of the rectified image, pixels, one of them 0 to keep the aspect; None for the target's own.

    Raises:
        UsageError: if the model has no such output, or the size is out of range.
    """
    output = check_choice("output", output, ("frame", "model"))
    if output == "model":
        rectified = model.metadata.rectified
        if rectified is None:
            raise UsageError(
                f"model {model.metadata.name!r} is {model.metadata.kind} and makes no image: use output='frame' "
                "(--output frame)"
            )
        if size is not None:
            raise UsageError(
                "output_size needs output='frame' (--output frame): the graph's own image has a fixed size"
            )
        return rectified.width, rectified.height
    return None if size is None else checked_size("output_size", size)


def checked_size(name: str, size: object) -> tuple[int, int]:
    """Checks an argument that is width and height of an image, pixels, one of them 0 to keep the aspect.

    Args:
        name: of the argument.
        size: its value.

    Raises:
        UsageError: if it is something else, or out of range.
    """
    sides = size.tolist() if isinstance(size, np.ndarray) else size
    if not isinstance(sides, tuple | list) or len(sides) != 2 or not all(map(is_whole, sides)):
        raise UsageError(
            f"{name} is {size!r}: must be two whole numbers, width and height, such as {_meant_size(size)}; 0 for one "
            "of them keeps the target's aspect"
        )
    width, height = map(int, sides)
    if not 0 <= min(width, height) <= max(width, height) <= MAX_OUTPUT_SIDE or not max(width, height):
        raise UsageError(
            f"{name} is {width}x{height}: each side must be 1 to {MAX_OUTPUT_SIDE} pixels, or one of them 0"
        )
    return width, height


def _meant_size(size: object) -> tuple[int, int]:
    """The size that something else was meant for, as the command line has it, or one number; else any."""
    written = re.fullmatch(r"\s*(\d*)\s*[xX]\s*(\d*)\s*", size) if isinstance(size, str) else None
    sides = (size, 0) if is_whole(size) else (0, 0) if written is None else written.groups()
    width, height = (int(side or 0) for side in sides)
    return (width, height) if 0 < max(width, height) <= MAX_OUTPUT_SIDE else (320, 240)


def pixels_read(frame: ImageLike, location: Location) -> ImageLike:
    """A frame as it was given, or of one that was read from a file for this location, the pixels."""
    return frame if location.frame is None else location.frame.image
