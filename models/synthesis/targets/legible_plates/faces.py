"""The characters of plates: TrueType faces stretched, and faces of plain strokes as plate makers stamp them.

A stroke face is drawn at the size at which it is seen, so that a narrow character has strokes as heavy as a wide one's:
that tells plates from squeezed print. How round corners are, how heavy strokes are and how far points are out of place
make many faces of the same skeletons.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

import cv2
import numpy as np
from PIL import Image as PillowImage
from PIL import ImageDraw

from stn_rectify.models.synthesis.drawing.images import resized
from stn_rectify.models.synthesis.targets.typeset.faces import BUNDLED_FACES, font
from stn_rectify.runtime.arrays import FloatArray, Image

#: Points x, y from 0 to 1 in a character's box, left to right and top to bottom; a third number of 1 rounds the corner.
_Stroke = tuple[tuple[float, ...], ...]

_BOWL: _Stroke = ((0.5, 0), (1, 0, 1), (1, 1, 1), (0, 1, 1), (0, 0, 1), (0.5, 0))
_SKELETONS: dict[str, tuple[tuple[_Stroke, ...], ...]] = {
    "A": ((((0, 1), (0.5, 0), (1, 1)), ((0.18, 0.68), (0.82, 0.68))),
          (((0, 1), (0.4, 0), (0.6, 0), (1, 1)), ((0.15, 0.7), (0.85, 0.7)))),
    "B": ((((0, 0.48), (0, 0), (0.94, 0, 1), (0.94, 0.48, 1), (0, 0.48)),
           ((0, 0.48), (1, 0.48, 1), (1, 1, 1), (0, 1), (0, 0.48))),),
    "C": ((((1, 0.28), (1, 0, 1), (0, 0, 1), (0, 1, 1), (1, 1, 1), (1, 0.72)),),),
    "D": ((((0, 0), (1, 0, 1), (1, 1, 1), (0, 1), (0, 0)),),),
    "E": ((((1, 0), (0, 0), (0, 1), (1, 1)), ((0, 0.49), (0.86, 0.49))),),
    "F": ((((1, 0), (0, 0), (0, 1)), ((0, 0.5), (0.86, 0.5))),),
    "G": ((((1, 0.26), (1, 0, 1), (0, 0, 1), (0, 1, 1), (1, 1, 1), (1, 0.54), (0.55, 0.54)),),),
    "H": ((((0, 0), (0, 1)), ((1, 0), (1, 1)), ((0, 0.49), (1, 0.49))),),
    "I": ((((0.5, 0), (0.5, 1)),), (((0.5, 0), (0.5, 1)), ((0.1, 0), (0.9, 0)), ((0.1, 1), (0.9, 1)))),
    "J": ((((1, 0), (1, 1, 1), (0, 1, 1), (0, 0.72)),), (((0.3, 0), (1, 0), (1, 1, 1), (0, 1, 1), (0, 0.72)),)),
    "K": ((((0, 0), (0, 1)), ((1, 0), (0, 0.62)), ((0.36, 0.42), (1, 1))),
          (((0, 0), (0, 1)), ((1, 0), (0.1, 0.5), (1, 1)))),
    "L": ((((0, 0), (0, 1), (1, 1)),),),
    "M": ((((0, 1), (0, 0), (0.5, 0.6), (1, 0), (1, 1)),), (((0, 1), (0, 0), (0.5, 1), (1, 0), (1, 1)),),
          (((0, 1), (0.04, 0), (0.5, 0.45), (0.96, 0), (1, 1)),)),
    "N": ((((0, 1), (0, 0), (1, 1), (1, 0)),),),
    "O": ((_BOWL,),),
    "P": ((((0, 1), (0, 0), (1, 0, 1), (1, 0.54, 1), (0, 0.54)),),),
    "Q": ((_BOWL, ((0.58, 0.74), (1, 1.02))), (_BOWL, ((0.55, 0.7), (1.08, 1.06)))),
    "R": ((((0, 1), (0, 0), (1, 0, 1), (1, 0.52, 1), (0, 0.52)), ((0.5, 0.52), (1, 1))),),
    "S": ((((1, 0.22), (1, 0, 1), (0, 0, 1), (0, 0.49, 1), (1, 0.49, 1), (1, 1, 1), (0, 1, 1), (0, 0.78)),),),
    "T": ((((0, 0), (1, 0)), ((0.5, 0), (0.5, 1))),),
    "U": ((((0, 0), (0, 1, 1), (1, 1, 1), (1, 0)),),),
    "V": ((((0, 0), (0.5, 1), (1, 0)),), (((0, 0), (0.42, 1), (0.58, 1), (1, 0)),)),
    "W": ((((0, 0), (0.25, 1), (0.5, 0.3), (0.75, 1), (1, 0)),), (((0, 0), (0.22, 1), (0.5, 0), (0.78, 1), (1, 0)),),
          (((0, 0), (0.12, 1), (0.5, 0.42), (0.88, 1), (1, 0)),),
          (((0, 0), (0.06, 1), (0.5, 0.6), (0.94, 1), (1, 0)),)),
    "X": ((((0, 0), (1, 1)), ((1, 0), (0, 1))),),
    "Y": ((((0, 0), (0.5, 0.5), (1, 0)), ((0.5, 0.5), (0.5, 1))),),
    "Z": ((((0, 0), (1, 0), (0, 1), (1, 1)),),),
    "0": ((_BOWL,), (_BOWL,), (_BOWL,), (_BOWL, ((0.9, 0.1), (0.1, 0.9)))),
    "1": ((((0.15, 0.22), (0.66, 0), (0.66, 1)),), (((0.2, 0.12), (0.6, 0), (0.6, 1)), ((0.15, 1), (1, 1)))),
    "2": ((((0, 0.26), (0, 0, 1), (1, 0, 1), (1, 0.42, 1), (0, 1), (1, 1)),),),
    "3": ((((0, 0.2), (0, 0, 1), (0.96, 0, 1), (0.96, 0.47, 1), (0.42, 0.47)),
           ((0.42, 0.47), (1, 0.47, 1), (1, 1, 1), (0, 1, 1), (0, 0.8))),
          (((0, 0), (1, 0), (0.42, 0.4), (1, 0.4, 1), (1, 1, 1), (0, 1, 1), (0, 0.8)),)),
    "4": ((((0.58, 0), (0, 0.73), (1, 0.73)), ((0.74, 0.42), (0.74, 1))),
          (((0.74, 1), (0.74, 0), (0, 0.72), (1, 0.72)),)),
    "5": ((((0.95, 0), (0.06, 0), (0.02, 0.42), (1, 0.42, 1), (1, 1, 1), (0, 1, 1), (0, 0.8)),),),
    "6": ((((1, 0.2), (1, 0, 1), (0, 0, 1), (0, 1, 1), (1, 1, 1), (1, 0.42, 1), (0, 0.42)),),
          (((0.72, 0), (0, 0.5), (0, 1, 1), (1, 1, 1), (1, 0.42, 1), (0.06, 0.42)),)),
    "7": ((((0, 0), (1, 0), (0.34, 1)),), (((0, 0.14), (0, 0), (1, 0), (0.3, 1)),)),
    "8": ((((0.5, 0), (0.95, 0, 1), (0.95, 0.48, 1), (0.05, 0.48, 1), (0.05, 0, 1), (0.5, 0)),
           ((0.5, 0.48), (1, 0.48, 1), (1, 1, 1), (0, 1, 1), (0, 0.48, 1), (0.5, 0.48))),),
    "9": ((((0, 0.8), (0, 1, 1), (1, 1, 1), (1, 0, 1), (0, 0, 1), (0, 0.58, 1), (1, 0.58)),),
          (((0.28, 1), (1, 0.5), (1, 0, 1), (0, 0, 1), (0, 0.58, 1), (0.94, 0.58)),)),
}  # fmt: skip
#: How wide a character is beside the others.
_WIDTHS = {"I": 0.35, "1": 0.62, "J": 0.85, "L": 0.9, "M": 1.15, "W": 1.25}
_HERSHEY = (cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_DUPLEX)
_MASTER_PX = 96
_STROKES, _HERSHEYS = 0.62, 0.08  # shares of the kinds of faces; the rest are TrueType
_SHIFT = 4  # of OpenCV's fixed-point coordinates


@dataclass(frozen=True)
class PlateFace:
    """The characters of one plate.

    Attributes:
        kind: ``"stroke"``, ``"hershey"`` or the file of a TrueType face.
        weight: of a stroke, as a share of the character's height.
        radius: of rounded corners of a stroke face, as a share of the character's shorter side; 0.5 for half circles.
        seed: decides variants of characters and how far their points are out of place.
        wobble: standard deviation of the latter, as a share of the box's sides.
        equal_widths: whether narrow characters have the width of the others, as in a typewriter's face.
    """

    kind: str
    weight: float
    radius: float
    seed: int
    wobble: float
    equal_widths: bool
    _drawn: dict[tuple[str, int, int], Image] = field(default_factory=dict, repr=False, compare=False)

    def width_of(self, character: str) -> float:
        """The width of a character beside most others' width."""
        if self.equal_widths:
            return 0.8 if character in "I1" else 1.0
        return _WIDTHS.get(character, 1.0)

    def mask(self, character: str, width: int, height: int) -> Image:
        """A character, uint8 [height, width]: 255 is ink; its strokes reach the edges."""
        key = (character, width, height)
        if key not in self._drawn:
            self._drawn[key] = self._draw(character, width, height)
        return self._drawn[key]

    def _draw(self, character: str, width: int, height: int) -> Image:
        if self.kind == "stroke":
            return self._strokes(character, width, height)
        drawn = _hershey(character, self.seed) if self.kind == "hershey" else _typeset(self.kind, character)
        if self.kind != "hershey" and self.weight > 0.14:  # bolder than it comes
            reach = 2 * int((self.weight - 0.14) * _MASTER_PX / 2) + 3
            drawn = np.asarray(
                cv2.dilate(drawn, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach))), np.uint8
            )
        return resized(drawn, width, height)

    def _strokes(self, character: str, width: int, height: int) -> Image:
        rng = np.random.default_rng([self.seed, ord(character)])
        variants = _SKELETONS[character]
        skeleton = variants[int(rng.integers(len(variants)))]
        fine = 2  # times as large as it is seen, then averaged
        thickness = max(1.0, self.weight * height) * fine
        room = np.array([width, height]) * fine - thickness
        room = np.maximum(room, 1.0)
        image = np.zeros((height * fine, width * fine), np.uint8)
        for stroke in skeleton:
            points = np.array([point[:2] for point in stroke], np.float64)
            closed = bool((points[0] == points[-1]).all())
            points = points + rng.normal(0, self.wobble, points.shape)
            if closed:
                points[-1] = points[0]
            points = points * room + thickness / 2 - 0.5
            rounded = [len(point) > 2 for point in stroke]
            outline = _rounded(points, rounded, self.radius * float(room.min()))
            fixed = np.round(outline * 2**_SHIFT).astype(np.int32)
            cv2.polylines(image, [fixed], False, (255,), max(1, round(thickness)), cv2.LINE_AA, _SHIFT)
        return resized(image, width, height)


def draw_face(rng: np.random.Generator) -> PlateFace:
    """Draws a face."""
    style = rng.random()
    kind = "stroke" if style < _STROKES else "hershey" if style < _STROKES + _HERSHEYS else ""
    if not kind:
        kind = BUNDLED_FACES.plates[int(rng.integers(len(BUNDLED_FACES.plates)))]
    return PlateFace(
        kind=kind,
        weight=float(np.clip(rng.normal(0.135, 0.03), 0.07, 0.22)),
        radius=float(rng.uniform(0.12, 0.5)),
        seed=int(rng.integers(1 << 31)),
        wobble=float(rng.uniform(0, 0.02)),
        equal_widths=bool(rng.random() < 0.35),
    )


def _rounded(points: FloatArray, rounded: list[bool], radius: float) -> FloatArray:
    """The line with rounded corners: a parabola from where the corner's edges are ``radius`` away from it."""
    line = [points[0]]
    for place in range(1, len(points) - 1):
        before, corner, after = points[place - 1], points[place], points[place + 1]
        if not rounded[place]:
            line.append(corner)
            continue
        # Two rounded corners of an edge share it.
        starts = _towards(corner, before, radius, 0.5 if rounded[place - 1] else 1.0)
        ends = _towards(corner, after, radius, 0.5 if rounded[place + 1] else 1.0)
        middle = corner + 0.12 * (starts + ends - 2 * corner)  # nearer to a circle than the parabola
        for t in np.linspace(0, 1, 7):
            line.append((1 - t) ** 2 * starts + 2 * t * (1 - t) * middle + t**2 * ends)
    return np.array([*line, points[-1]])


def _towards(corner: FloatArray, other: FloatArray, radius: float, share: float) -> FloatArray:
    way = other - corner
    length = float(np.hypot(*way))
    return np.asarray(corner + way * min(share, radius / max(length, 1e-6)))


@lru_cache(maxsize=1024)
def _typeset(face: str, character: str) -> Image:
    drawn = PillowImage.new("L", (2 * _MASTER_PX, 2 * _MASTER_PX))
    ImageDraw.Draw(drawn).text((_MASTER_PX // 2, _MASTER_PX // 4), character, 255, font(face, _MASTER_PX))
    return np.ascontiguousarray(np.asarray(drawn.crop(drawn.getbbox()), np.uint8))


@lru_cache(maxsize=1024)
def _hershey_at(character: str, face: int, thickness: int) -> Image:
    (width, height), _ = cv2.getTextSize(character, face, 3, thickness)
    drawn = np.zeros((height + 60, width + 60), np.uint8)
    cv2.putText(drawn, character, (30, height + 30), face, 3, (255,), thickness, cv2.LINE_AA)
    x, y, across, down = cv2.boundingRect(drawn)
    return np.ascontiguousarray(drawn[y : y + down, x : x + across])


def _hershey(character: str, seed: int) -> Image:
    return _hershey_at(character, _HERSHEY[seed % len(_HERSHEY)], 6 + seed // 7 % 6)
