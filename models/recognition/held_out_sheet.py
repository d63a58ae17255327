"""The verification sheet of a Spatial Transformer that was trained through its recognizer: its held-out images."""

from __future__ import annotations

from pathlib import Path

import cv2
import keras
import numpy as np

from stn_rectify.models.evaluation.known_frames import KnownFrames
from stn_rectify.models.evaluation.verification_sheet import FoundPoses, save_sheet
from stn_rectify.models.recognition.labelled_images import LabelledImages
from stn_rectify.models.recognition.recognizer_training import RecognizerCourse
from stn_rectify.runtime.geometry import normalised_to_pixels, theta_to_corners, transform_points

__all__ = ["save_held_out_sheet"]

_MOST_FRAMES = 1000
_STREAM = 1_000_039  # random numbers that neither training nor its errors use


def save_held_out_sheet(model: keras.Model, course: RecognizerCourse, data: LabelledImages, file: Path) -> None:
    """Draws held-out images, a thousand at most, and writes the poses that the model gives them, a mean for each label.

    Distorted images have known corners, and are put in order by their errors; frames as they are have none: of them the
    means alone are shown.

    Args:
        model: the trained model; its layer ``theta`` gives the poses.
        course: the course that it was trained in.
        data: the images that were held out.
        file: the PNG file to write.

    Raises:
        DataError: if the file cannot be written.
    """
    data = data[:_MOST_FRAMES]
    batch = course.drawn(data, _STREAM)
    height, width, channels = batch.frames.shape[1:]
    pixels = np.round(batch.frames * 255).astype(np.uint8)
    to_bgr = cv2.COLOR_GRAY2BGR if channels == 1 else cv2.COLOR_RGB2BGR
    to_pixels = normalised_to_pixels(width, height)
    frame_set = KnownFrames(
        "held-out images",
        tuple(cv2.cvtColor(frame, to_bgr) for frame in pixels),
        tuple(transform_points(to_pixels, c) if course.distortions else None for c in batch.corners.astype(np.float64)),
        tuple(data.names[label] for label in batch.labels),
    )
    theta = keras.Model(model.input, model.get_layer("theta").output).predict(batch.frames, verbose=0)
    poses = FoundPoses("float", tuple(theta_to_corners(pose, width, height) for pose in theta))
    save_sheet(file, f"{file.name.partition('.')[0]}, float", [(frame_set, [poses])])
