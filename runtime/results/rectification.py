"""A target that was found in a frame, and the same made upright."""

from __future__ import annotations

import io
import os
import sys
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path

import cv2
from PIL import Image as Pillow

from stn_rectify.runtime.arrays import FloatArray, Image
from stn_rectify.runtime.checks import check_path
from stn_rectify.runtime.errors import StnRectifyError, UsageError, first_line
from stn_rectify.runtime.files import partial_file
from stn_rectify.runtime.results.miss_rule import MissRule
from stn_rectify.runtime.results.target import FoundTarget
from stn_rectify.runtime.sources import CapturedFrame

_JPEG_QUALITY = 90


@dataclass(frozen=True, eq=False)
class Rectification(FoundTarget):
    """One frame's rectified target, and where it was.

    Image, corners and homography always belong together. Where the network gave no usable pose (crossed,
    mirrored, behind the camera, a few pixels small), `score` is 0, the corners are the frame's own outer
    corners, and the image is the frame resized.

    Attributes:
        image: uint8 [h, w, 3] BGR or [h, w] grey: the target upright. Pixels of the frame have the frame's
            channels, the graph's own pixels have the model's.
        corners: float64 [4, 2], frame pixels: top-left, top-right, bottom-right, bottom-left of the upright
            target. Without a margin they are the outer corners of the image, (-0.5, -0.5) and so on, mapped by
            `homography`. With a margin m they lie within it: that of x from m / (1 + 2m) to (1 + m) / (1 + 2m) of its
            width, and so that of y.
        homography: float64 [3, 3], ``[2, 2] = 1``: from pixels of `image` to pixels of the frame; (0, 0) is
            the centre of the first pixel in both. What ``cv2.warpPerspective`` takes with WARP_INVERSE_MAP. The image
            of a model with transform ``"tps"`` follows the bend of its target, which no homography does: there it is
            that of the four corners.
        score: 0 to 1, how sure the model is that a target is there, after refinement passes both its networks together;
            1.0 if the model has no score.
        latency_ms: what rectifying the frame took, milliseconds.
        label: what a recognizer says the target is; None without one, where `score` is 0, and where it says that the
            image shows nothing it knows.
        label_score: how sure it is, 0 to 1, that nothing is known included; None where it does not say.
        class_scores: float64 [K], how probable each class is, in the order of the file's labels; they add up to 1, but
            for recognizers that end with a sigmoid.
        top_labels: the best labels or texts with their scores, best first, where they were asked for
            (`RecognitionStage`).
        turn: by how many quarters the target was turned clockwise to be upright, 0 to 3: 1 if its top points to the
            left in the frame. The corners are in the order of the upright target. None where the model has no turn
            network, or is unsure; then nothing was turned.
        turn_score: how sure that is, 0 to 1; where ``turn`` is None, what was too little, or None if nobody asked.
        track: the target's number, which it keeps from frame to frame; None where targets are not followed.
        box: the row of the ``boxes`` that it was looked for in; None without boxes.
        read: what the recognizer itself said, where rules made another label of it, or none (`LabelRules`).
        rule: by which `found` tells whether a target was found: with the lowest score that the model's file names, or
            that of the `Pipeline`.
        frame: the frame and where it comes from, where it was read from a file or a source; None where an app handed
            over an array. It is held with all its pixels: ``dataclasses.replace(result, frame=None)`` lets them go.

    Example:
        >>> result = rectifier.rectify("photo.jpg")  # doctest: +SKIP
        >>> if result.found:
        ...     result.save("upright.png")
        ...     cv2.imwrite("marked.jpg", result.draw())
        ...     print(json.dumps(result.to_dict()))
    """

    image: Image = field(repr=False)
    corners: FloatArray
    homography: FloatArray = field(repr=False)
    score: float
    latency_ms: float
    label: str | None = None
    label_score: float | None = None
    class_scores: FloatArray | None = field(default=None, repr=False)
    top_labels: tuple[tuple[str, float | None], ...] = field(default=(), repr=False)
    turn: int | None = None
    turn_score: float | None = None
    track: int | None = None
    box: int | None = None
    read: str | None = None
    rule: MissRule = field(default=MissRule(), repr=False)
    frame: CapturedFrame | None = field(default=None, repr=False)

    def save(self, path: str | PathLike[str]) -> Path:
        """Writes the rectified image into a file, which replaces one of this name when it is complete.

        Args:
            path: its ending says the format: ``.png``, ``.jpg``, ``.webp``, ``.tif``, ``.bmp`` and what else Pillow
                writes. The folder is made if it does not exist.

        Returns:
            The path.

        Raises:
            UsageError: if the ending is of no format that can be written.
            StnRectifyError: if the file cannot be written.
        """
        file = Path(check_path("path", path))
        Pillow.init()
        kind = Pillow.registered_extensions().get(file.suffix.lower())
        if kind is None or kind not in Pillow.SAVE:
            named = f"its name ends with {file.suffix!r}" if file.suffix else "its name has no ending"
            raise UsageError(f"{file} says no format of a picture, as {named}: use .png, .jpg, .webp, .tif or .bmp")
        try:
            encoded = self._encoded(kind)
            file.parent.mkdir(parents=True, exist_ok=True)
        except (OSError, ValueError) as error:  # the image may be too large for the format
            reason = getattr(error, "strerror", None) or first_line(error)
            raise StnRectifyError(f"cannot write {file}: {reason}; choose another place or format") from error
        with partial_file(file) as partial:
            partial.write_bytes(encoded)
        return file

    def show(self) -> None:
        """Shows the rectified image: in a notebook below the cell, else with the desktop's viewer of pictures.

        Raises:
            StnRectifyError: if there is no desktop, or no viewer.
        """
        if _is_notebook():
            sys.modules["IPython"].display.display(self)
            return
        from PIL import ImageShow  # looks for programs when it is imported

        has_desktop = sys.platform != "linux" or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
        if not has_desktop or not ImageShow.show(self._pillow(), title="stn-rectify"):
            missing = "no program that shows pictures" if has_desktop else "no desktop (DISPLAY is not set)"
            raise StnRectifyError(
                f"cannot show the picture: {missing}; write it with save(), or look at it in a notebook"
            )

    def _repr_png_(self) -> bytes:
        """The rectified image as PNG, which notebooks show."""
        return self._encoded("PNG")

    def _encoded(self, kind: str) -> bytes:
        content = io.BytesIO()
        self._pillow().save(content, kind, **({"quality": _JPEG_QUALITY} if kind == "JPEG" else {}))
        return content.getvalue()

    def _pillow(self) -> Pillow.Image:
        return Pillow.fromarray(self.image if self.image.ndim == 2 else cv2.cvtColor(self.image, cv2.COLOR_BGR2RGB))


@dataclass(frozen=True, eq=False)
class Location(FoundTarget):
    """The target's place in a frame: `Rectifier.locate` gives it, `Rectifier.sample` makes a `Rectification` of it.

    Attributes:
        corners: float64 [4, 2], frame pixels, as in `Rectification`: without a usable pose the frame's outer corners.
        score: 0 to 1, as in `Rectification`; 0 without a usable pose.
        latency_ms: what locating took, milliseconds.
        theta: float64 [6], [8] or [32], target → frame (`stn_rectify.runtime.geometry`). None without a usable pose:
            crossed, mirrored, behind the camera or a few pixels small.
        image: uint8 [h, w, 3] BGR or [h, w] grey: the graph's own rectified image, with ``output="model"``.
        label: what a recognizer in the model file says, as in `Rectification`; so ``label_score`` and ``class_scores``.
        turn: as in `Rectification`; so ``turn_score``, ``track``, ``box``, ``rule`` and ``frame``.
    """

    corners: FloatArray
    score: float
    latency_ms: float
    theta: FloatArray | None = field(default=None, repr=False)
    image: Image | None = field(default=None, repr=False)
    label: str | None = None
    label_score: float | None = None
    class_scores: FloatArray | None = field(default=None, repr=False)
    turn: int | None = None
    turn_score: float | None = None
    track: int | None = None
    box: int | None = None
    rule: MissRule = field(default=MissRule(), repr=False)
    frame: CapturedFrame | None = field(default=None, repr=False)


def _is_notebook() -> bool:
    """Tells whether this runs in a kernel of Jupyter, which shows what its cells give."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return shell is not None and getattr(shell, "kernel", None) is not None
