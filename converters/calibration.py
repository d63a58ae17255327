"""Calibration frames: what the quantizer and the proof see of the world."""

from __future__ import annotations

import zlib
from pathlib import Path
from zipfile import BadZipFile

import cv2
import numpy as np
import numpy.typing as npt

from stn_rectify.models.validation import network_input
from stn_rectify.runtime.errors import DataError

__all__ = ["read_calibration"]

_SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".webp"}


def read_calibration(
    source: Path, input_shape: tuple[int, int, int], value_range: tuple[float, float], limit: int = 200
) -> npt.NDArray[np.float32]:
    """Reads frames as the network sees them on a device.

    Args:
        source: a folder of images, searched with its subfolders; or an .npz whose array ``frames`` is uint8
            [N, H, W, C] at the network's input size, in its colour order (``stn-train`` writes one).
        input_shape: height, width, channels.
        value_range: what pixel values 0 and 255 are to the model.
        limit: more frames than this are thinned out evenly.

    Returns:
        float32 [N, H, W, C] in ``value_range``.

    Raises:
        DataError: nothing usable is there.
    """
    frames = _read_folder(source, input_shape, limit) if source.is_dir() else _read_npz(source, input_shape, limit)
    low, high = value_range
    return frames * np.float32(high - low) + np.float32(low)


def _thinned(count: int, limit: int) -> npt.NDArray[np.int64]:
    return np.asarray(np.unique(np.linspace(0, count - 1, min(count, limit)).astype(int)))


def _read_folder(folder: Path, input_shape: tuple[int, int, int], limit: int) -> npt.NDArray[np.float32]:
    files = sorted(f for f in folder.rglob("*") if f.suffix.lower() in _SUFFIXES)
    if not files:
        raise DataError(f"{folder}: no images for calibration in it (jpg, png, bmp or webp)")
    if input_shape[2] not in (1, 3):
        raise DataError(f"images have 1 or 3 channels, the model has {input_shape[2]}: give --calibration an .npz file")
    frames = []
    for file in (files[k] for k in _thinned(len(files), limit)):
        image = cv2.imread(str(file))
        if image is None:
            raise DataError(f"{file}: not an image that can be read; remove it from the calibration folder")
        frames.append(network_input(image, input_shape))
    return np.stack(frames)


def _read_npz(file: Path, input_shape: tuple[int, int, int], limit: int) -> npt.NDArray[np.float32]:
    try:
        with np.load(file) as stored:
            frames = stored["frames"]
    except FileNotFoundError:
        raise DataError(f"{file}: no such calibration folder or .npz file") from None
    except (OSError, ValueError, KeyError, EOFError, TypeError, AttributeError, BadZipFile, zlib.error) as error:
        raise DataError(f"{file}: not an .npz file with an array named frames ({error})") from error
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[1:] != input_shape or not len(frames):
        expected = f"uint8 [N, {', '.join(map(str, input_shape))}]"
        raise DataError(f"{file}: frames is {frames.dtype} {list(frames.shape)}, the model needs {expected}")
    return np.asarray(frames[_thinned(len(frames), limit)] / np.float32(255))
