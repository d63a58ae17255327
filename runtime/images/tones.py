"""Pixels of any depth, and transparent ones, as a person sees them: uint8, on a ground that shows them."""

from __future__ import annotations

import numpy as np

from stn_rectify.runtime.arrays import Array, Image

#: Depths that cameras and scanners store in 16 bits, the sample in the lower ones.
_STORED_BITS = (8, 10, 12, 14, 16)
#: Levels that are few enough for labels or masks: no picture is as dark as that.
_FEW_LEVELS = 31
#: Floats up to here, not whole ones, are light beyond white; above, they are levels to 255.
_BRIGHTEST_LIGHT = 64.0
#: From this mean level on visible pixels would vanish on white.
_LIGHT_LEVEL = 192
_BAND_ROWS = 256  # what is worked on at once, so that a large image is not copied as wider numbers


def to_bytes(values: Array, bits: int | None = None) -> tuple[Image, str]:
    """Levels of any depth as bytes.

    Args:
        values: [H, W] or [H, W, C], integers or floats: bytes stay; integers are of ``bits``, else of the fewest of 8,
            10, 12, 14, 16 bits that hold them all, where int16 has 15 at most; floats are 0 to 1, 0 to 255 or 0 to
            65535. What fits in none of these is stretched from its least value to its greatest.
        bits: how many bits the file says that it has; None if it does not say, or more than its maker may have used.

    Returns:
        uint8, of the same shape; and what was taken for granted, empty if nothing was.
    """
    if values.dtype == np.uint8:
        return np.asarray(values, np.uint8), ""
    if values.dtype.kind == "f":
        return _of_floats(values)
    least, greatest = int(values.min(initial=0)), int(values.max(initial=0))
    if least < 0 or greatest > 0xFFFF:
        return _stretched(values, float(values.min()), float(greatest))
    if bits is None or greatest >> bits:
        full = 15 if values.dtype == np.int16 else 16
        bits = min(full, next(depth for depth in _STORED_BITS if not greatest >> depth))
        if 0 < greatest <= _FEW_LEVELS:
            return _stretched(values, 0.0, float(greatest))
        note = f"its 16-bit values end at {greatest}: taken for {bits} bits" if bits < full and greatest else ""
    else:
        note = ""
    return (values >> (bits - 8) if bits >= 8 else values << (8 - bits)).astype(np.uint8), note


def _of_floats(values: Array) -> tuple[Image, str]:
    finite = np.isfinite(values)
    holes = "" if finite.all() else f"{int((~finite).sum())} values are no numbers: taken for the least"
    if not finite.any():
        return np.zeros(values.shape, np.uint8), holes
    least, greatest = float(values.min(where=finite, initial=np.inf)), float(values.max(where=finite, initial=-np.inf))
    values = values if not holes else np.where(finite, values, least)
    if least >= 0 and greatest <= 1:
        image, note = _scaled(values, 0.0, 1.0), ""
    elif least >= 0 and greatest <= 255 and (greatest >= _BRIGHTEST_LIGHT or not (values % 1).any()):
        image, note = to_bytes(values.astype(np.uint16)) if greatest <= _FEW_LEVELS else (_scaled(values, 0, 255), "")
    elif least >= 0 and 255 < greatest <= 0xFFFF and not (values % 1).any():
        image, note = to_bytes(values.astype(np.uint16))
    else:
        image, note = _stretched(values, least, greatest)
    return image, "; ".join(filter(None, (note, holes)))


def _stretched(values: Array, low: float, high: float) -> tuple[Image, str]:
    return _scaled(values, low, high), f"its values {low:g} to {high:g} are of no known depth: stretched to all levels"


def _scaled(values: Array, low: float, high: float) -> Image:
    image = np.empty(values.shape, np.uint8)
    factor = 255 / (high - low) if high > low else 0.0
    for top in range(0, len(values), _BAND_ROWS):
        band = values[top : top + _BAND_ROWS].astype(np.float64)
        image[top : top + _BAND_ROWS] = np.clip((band - low) * factor + 0.5, 0, 255)
    return image


def on_ground(colours: Image, alpha: Image) -> tuple[Image, str]:
    """Transparent pixels on a white ground; on a black one where what is visible would vanish on white.

    Args:
        colours: uint8 [H, W] or [H, W, 3], not multiplied by alpha.
        alpha: uint8 [H, W], 255 where it is opaque.

    Returns:
        uint8 of the shape of ``colours``; and what was taken for granted, empty if nothing was. Where all is wholly
        transparent, the colours as they are: some writers leave alpha 0.
    """
    if alpha.size == 0 or alpha.min() == 255:
        return colours, ""
    if alpha.max() == 0:
        varies = colours.size > 0 and bool((colours != colours[:1, :1]).any())
        note = "it is wholly transparent: its hidden colours are taken" if varies else ""
        return (colours if varies else np.full_like(colours, 255)), note
    ground = 0 if _visible_level(colours, alpha) >= _LIGHT_LEVEL else 255
    image = np.empty_like(colours)
    for top in range(0, len(colours), _BAND_ROWS):
        rows = slice(top, top + _BAND_ROWS)
        share = alpha[rows].astype(np.uint32)
        share = share[..., None] if colours.ndim == 3 else share
        image[rows] = (colours[rows] * share + ground * (255 - share) + 127) // 255
    return image, ""


def _visible_level(colours: Image, alpha: Image) -> float:
    """The mean level of what is visible, 0 to 255."""
    levels, weights = 0.0, 0.0
    for top in range(0, len(colours), _BAND_ROWS):
        band = colours[top : top + _BAND_ROWS].astype(np.float32)
        share = alpha[top : top + _BAND_ROWS].astype(np.float32)
        levels += float(((band.mean(axis=2) if band.ndim == 3 else band) * share).sum(dtype=np.float64))
        weights += float(share.sum(dtype=np.float64))
    return levels / weights
