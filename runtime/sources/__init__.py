"""Sources of frames: images, a video or stream, a camera.

In: paths, URLs, devices. Out: `CapturedFrame`, BGR uint8, the newest one where frames come by themselves. Each source
is iterated once and closed. Nothing here knows of models.
"""

from stn_rectify.runtime.sources.by_name import list_cameras, open_camera, open_source, open_video
from stn_rectify.runtime.sources.camera import CameraSource
from stn_rectify.runtime.sources.frame_view import FrameView
from stn_rectify.runtime.sources.images import ImageSource
from stn_rectify.runtime.sources.pi_camera import PiCameraSource
from stn_rectify.runtime.sources.reconnecting import ReconnectingSource
from stn_rectify.runtime.sources.source import CapturedFrame, FrameSource
from stn_rectify.runtime.sources.v4l2 import CameraInfo
from stn_rectify.runtime.sources.video import VideoSource

__all__ = [
    "CameraInfo",
    "CameraSource",
    "CapturedFrame",
    "FrameSource",
    "FrameView",
    "ImageSource",
    "PiCameraSource",
    "ReconnectingSource",
    "VideoSource",
    "list_cameras",
    "open_camera",
    "open_source",
    "open_video",
]
