"""Rectified plates whose texts are known, made once and kept on disk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from stn_rectify.models.synthesis.legible import LegibleSynthesiser
from stn_rectify.models.synthesis.targets.legible_plates.texts import CHARACTERS, LONGEST
from stn_rectify.models.training.pools.stored_pool import DrawItem, StoredPool
from stn_rectify.runtime.arrays import IntArray

#: Width and height of the stored crops, pixels, and what they show beyond the plate's edges, as a share of its side.
CROP_SIZE, CROP_MARGIN = (224, 56), 0.15


class PlatePool(StoredPool):
    """Rectified plates in a folder.

    Args:
        folder: see `StoredPool`; so ``count`` and ``jobs``.
        seed: seed of the synthesiser.
        formats: of the texts; empty for those of many countries.
        backgrounds: folder of photographs, or None.

    Attributes:
        crops: uint8 [N, 56, 224] grey: the plate and `CROP_MARGIN` around it.
        texts: uint8 [N, 10], see `text_classes`.

    Raises:
        DataError: as `StoredPool` does.
    """

    def __init__(
        self,
        folder: Path,
        *,
        count: int,
        seed: int,
        formats: Sequence[str] = (),
        backgrounds: Path | None = None,
        jobs: int = 1,
    ) -> None:
        self._synthesiser = LegibleSynthesiser(
            seed=seed, size=CROP_SIZE, margin=CROP_MARGIN, formats=formats, backgrounds=backgrounds
        )
        recipe = {"seed": seed, "formats": list(formats), "backgrounds": backgrounds}
        super().__init__(folder, count=count, recipe=recipe, jobs=jobs)
        self.crops, self.texts = self.open_array("crops"), self.open_array("texts")

    def array_shapes(self) -> Mapping[str, tuple[Any, tuple[int, ...]]]:
        """See `StoredPool.array_shapes`."""
        return {"crops": (np.uint8, CROP_SIZE[::-1]), "texts": (np.uint8, (LONGEST,))}

    def drawer(self) -> DrawItem:
        """See `StoredPool.drawer`."""
        return _DrawPlate(self._synthesiser)


@dataclass
class _DrawPlate:
    synthesiser: LegibleSynthesiser

    def __call__(self, index: int) -> Mapping[str, Any]:
        target = self.synthesiser(index)
        return {"crops": target.crop, "texts": text_classes(target.label)}


def text_classes(text: str) -> IntArray:
    """The classes of a text's characters, [LONGEST]: 1 is the first of `CHARACTERS`; zeros, the blank, follow."""
    classes = np.zeros(LONGEST, np.int64)
    classes[: len(text)] = [CHARACTERS.index(character) + 1 for character in text]
    return classes
