"""The common part of the networks that go into the file of another: a look at the whole frame, refining, turning."""

from __future__ import annotations

from pathlib import Path

from stn_rectify.converters.networks.network import Network
from stn_rectify.converters.reading.model_files import calibration_of
from stn_rectify.runtime.errors import DataError, ModelFileError

_IMAGE_CHANNELS = (1, 3)  # grey and RGB can be made of each other, other channels cannot


def companion_frames(file: Path, first: Network, content: str) -> Path:
    """The calibration frames beside a companion of a network.

    Args:
        file: the companion's .keras file.
        first: the network whose companion it is.
        content: what the frames are, and what writes them, for the message.

    Raises:
        DataError: if they are missing.
    """
    frames = calibration_of(file)
    if not frames.is_file():
        raise DataError(
            f"{file} needs {frames.name} beside it, {content}; to convert {first.source.name} without it move it away"
        )
    return frames


def check_companion(file: Path, channels: int, first_transform: str, first_channels: int, task: str) -> None:
    """Checks that a companion fits the network whose companion it is.

    Args:
        file: the companion's .keras file.
        channels: of its images.
        first_transform: of the poses of the other network.
        first_channels: of the frames of the other network.
        task: what cannot be done to a thin-plate spline, for the message.

    Raises:
        ModelFileError: if the other network's poses are no homographies, or the channels differ.
    """
    if first_transform == "tps":
        raise ModelFileError(f"{file}: the model is a thin-plate spline (tps), whose {task}")
    if channels != first_channels and not (channels in _IMAGE_CHANNELS and first_channels in _IMAGE_CHANNELS):
        raise ModelFileError(f"{file}: reads {channels} channels, the model {first_channels}; they must agree")
