"""Frames with what is known of them: what the quantizer, the proof and the report see of the world."""

from __future__ import annotations

import os
import warnings
import zlib
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from stn_rectify.models.evaluation.known_frames import network_input, read_frame, refuse_wrong_order
from stn_rectify.runtime.annotations import has_annotations, read_annotations
from stn_rectify.runtime.arrays import FloatArray, IntArray
from stn_rectify.runtime.errors import DataError, SourceError, StnRectifyWarning, first_line
from stn_rectify.runtime.images.finding import image_files

#: More frames than these are thinned out evenly.
CALIBRATION_FRAMES, VALIDATION_FRAMES = 200, 1000
_FEW_FRAMES = 20


@dataclass(frozen=True)
class FrameSet:
    """Frames as the network sees them, and what is known of them.

    Attributes:
        frames: float32 [N, H, W, C] in the model's value range.
        corners: of the true target, float64 [N, 4, 2] in pixels at the model's input size (TL, TR, BR, BL; the centre
            of the first pixel at (0, 0)); NaN where a frame has none or it is not known. None if known of no frame.
        labels: the true class, int64 [N], -1 where it is not known. None if known of no frame.
        notes: what the reader of annotated frames mended or left out, a line each.
    """

    frames: npt.NDArray[np.float32] = field(repr=False)
    corners: FloatArray | None = field(default=None, repr=False)
    labels: IntArray | None = field(default=None, repr=False)
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.frames)


def read_frames(
    source: Path,
    input_shape: tuple[int, int, int],
    value_range: tuple[float, float],
    limit: int = CALIBRATION_FRAMES,
    *,
    is_bgr: bool = False,
) -> FrameSet:
    """Reads frames as the network sees them on a device.

    Args:
        source: a folder of images, searched with its subfolders; or one of annotated frames
            (`stn_rectify.runtime.annotations.read_annotations`), the largest target of each frame; or an .npz with
            ``frames`` uint8 [N, H, W, C] at the network's input size, in its colour order, and if known ``corners``
            float [N, 4, 2], TL TR BR BL or NaN, and ``labels`` int [N] (``stn-train`` writes one).
        input_shape: height, width, channels.
        value_range: what pixel values 0 and 255 are to the model.
        limit: more frames than this are thinned out evenly.
        is_bgr: whether the network's three channels are blue, green and red. Arrays in an .npz are taken as they are.

    Raises:
        DataError: if nothing usable is there.
    """
    reader = _read_folder if source.is_dir() else _read_npz
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always", StnRectifyWarning)
        frame_set = reader(source, input_shape, limit)
    said = dict.fromkeys(first_line(one.message) for one in warned if isinstance(one.message, StnRectifyWarning))
    frame_set = replace(frame_set, notes=(*frame_set.notes, *said))
    if is_bgr and source.is_dir():
        frame_set = replace(frame_set, frames=np.ascontiguousarray(frame_set.frames[..., ::-1]))
    low, high = value_range
    return replace(frame_set, frames=frame_set.frames * np.float32(high - low) + np.float32(low))


def stored_number(file: Path, name: str, default: float, most: float) -> float:
    """Reads a number that stands beside the frames of an .npz file.

    Args:
        file: a file that `read_frames` has read.
        name: of the number.
        default: the number where there is none in the file.
        most: the largest that it may be; the smallest is 0.

    Raises:
        DataError: if it is no single number from 0 to ``most``.
    """
    try:
        with np.load(file) as stored:
            if name not in stored:
                return default
            value = stored[name]
    except (OSError, ValueError, EOFError, BadZipFile, zlib.error) as error:
        raise DataError(f"{file}: {name} cannot be read ({error}), expected one number from 0 to {most:g}") from error
    if value.shape != () or value.dtype.kind not in "iuf" or not 0 <= value <= most:
        raise DataError(f"{file}: {name} is {value.tolist()!r:.60}, expected one number from 0 to {most:g}")
    return float(value)


def calibration_warnings(calibration: FrameSet) -> list[str]:
    """Names the reasons why frames are doubtful to calibrate with, and what was mended of them, a line each."""
    count = len(calibration)
    notes = list(calibration.notes)
    if count > 1 and (calibration.frames == calibration.frames[:1]).all():
        return [f"all {count} calibration frames are the same: no number here says how others fare", *notes]
    if count < _FEW_FRAMES:
        frames = "1 calibration frame" if count == 1 else f"{count} calibration frames"
        few = f"only {frames}: give a hundred or more, as the device will see them; numbers made from so few mislead"
        return [few, *notes]
    return notes


def frame_warnings(calibration: FrameSet, validation: FrameSet) -> list[str]:
    """Those of `calibration_warnings`, and what was mended of the validation frames."""
    warnings = calibration_warnings(calibration)
    return warnings + [note for note in validation.notes if note not in warnings]


def refuse_unknown_labels(source: Path, frames: FrameSet, classes: int | None) -> None:
    """Refuses labels that a recognizer has no class for.

    Args:
        source: where the frames come from.
        frames: those frames, with their labels.
        classes: of the recognizer; None: there is none, and labels count for nothing.

    Raises:
        DataError: if a label is neither a class nor -1.
    """
    if classes is None or frames.labels is None:
        return
    wrong = frames.labels[(frames.labels < -1) | (frames.labels >= classes)]
    if len(wrong):
        raise DataError(
            f"{source}: label {wrong[0]} is no class of the recognizer, and so with {len(wrong)} of {len(frames)} "
            f"frames: it has {classes}, numbered from 0; -1 stands for an unknown one"
        )


def frame_files(source: Path, limit: int) -> dict[str, Path]:
    """The files that a conversion reads of a source of frames, by the names they can have in another folder.

    A name that begins with ``..`` is that of a file outside the source: labels of a data set of which only the folder
    of images was given.

    Raises:
        DataError: if there are none.
    """
    if source.is_file():
        return {source.name: source}
    if not source.is_dir():
        raise DataError(f"{source}: no such calibration folder or .npz file")
    if not has_annotations(source):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", StnRectifyWarning)  # who reads the frames says it
            images = _images(source)
        return {str(images[k].relative_to(source)): images[k] for k in thinned(len(images), limit)}
    read = read_annotations(source, limit)
    named = {}
    for file in (*read.files, *(frame.path for frame in read.frames)):
        beside = file.name == f"{source.name}.truth.json" and file.parent == source.parent
        named["truth.json" if beside else os.path.relpath(file, source)] = file
    return named


def _images(folder: Path) -> list[Path]:
    try:
        return image_files(folder, subfolders=True)
    except SourceError as error:
        raise DataError(f"no images for calibration: {error}") from error


def thinned(count: int, limit: int) -> IntArray:
    """Positions of at most ``limit`` of ``count`` things, evenly spread."""
    return np.asarray(np.unique(np.linspace(0, count - 1, min(count, limit)).astype(int)))


def _read_folder(folder: Path, input_shape: tuple[int, int, int], limit: int) -> FrameSet:
    if input_shape[2] not in (1, 3):
        raise DataError(f"images have 1 or 3 channels, the model has {input_shape[2]}: give an .npz file of frames")
    if has_annotations(folder):
        return _annotated(folder, input_shape, limit)
    files = _images(folder)
    frames = []
    for file in (files[k] for k in thinned(len(files), limit)):
        frames.append(network_input(read_frame(file), input_shape))
    return FrameSet(np.stack(frames))


def _annotated(folder: Path, input_shape: tuple[int, int, int], limit: int) -> FrameSet:
    read = read_annotations(folder, limit).largest_only()
    frames = np.empty((len(read.frames), *input_shape), np.float32)
    corners = np.full((len(read.frames), 4, 2), np.nan)
    for place, known in enumerate(read.frames):
        frame = known.read()
        frames[place] = network_input(frame, input_shape)
        if known.largest is not None:
            height, width = frame.shape[:2]
            factors = np.array([input_shape[1] / width, input_shape[0] / height])
            corners[place] = (known.largest.corners + 0.5) * factors - 0.5
    return FrameSet(frames, corners, notes=tuple(f"{folder}: {note}" for note in read.notes))


def _read_npz(file: Path, input_shape: tuple[int, int, int], limit: int) -> FrameSet:
    try:
        with np.load(file) as stored:
            arrays: dict[str, Any] = {"frames": stored["frames"]}
            arrays |= {name: stored[name] for name in ("corners", "labels") if name in stored}
            frames = arrays["frames"]
    except FileNotFoundError:
        raise DataError(f"{file}: no such calibration folder or .npz file") from None
    except (OSError, ValueError, KeyError, EOFError, TypeError, AttributeError, BadZipFile, zlib.error) as error:
        reason = f"not an .npz file with an array named frames ({error})"
        raise DataError(f"{file}: {reason}; give such a file, or a folder of images") from error
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[1:] != input_shape or not len(frames):
        expected = f"uint8 [N, {', '.join(map(str, input_shape))}]"
        raise DataError(f"{file}: frames is {frames.dtype} {list(frames.shape)}, the model needs {expected}")
    chosen = thinned(len(frames), limit)
    corners = _optional_array(file, arrays, "corners", (len(frames), 4, 2), np.floating)
    if corners is not None:
        refuse_wrong_order(file, {k: c for k, c in enumerate(corners) if not np.isnan(c).all()})
    labels = _optional_array(file, arrays, "labels", (len(frames),), np.integer)
    return FrameSet(
        np.asarray(frames[chosen] / np.float32(255)),
        None if corners is None else corners[chosen].astype(np.float64),
        None if labels is None else labels[chosen].astype(np.int64),
    )


def _optional_array(file: Path, arrays: dict[str, Any], name: str, shape: tuple[int, ...], kind: Any) -> Any:
    """An array that may be absent, but must not be something else."""
    array = arrays.get(name)
    if array is not None and (array.shape != shape or not np.issubdtype(array.dtype, kind)):
        raise DataError(f"{file}: {name} is {array.dtype} {list(array.shape)}, expected {kind.__name__} {list(shape)}")
    return array
