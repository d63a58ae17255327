"""Where frames come from: images, a video, a camera. Each source is iterated once and closed."""

from stn_rectify.runtime.sources.camera import CameraSource
from stn_rectify.runtime.sources.frame_view import FrameView
from stn_rectify.runtime.sources.images import ImageSource
from stn_rectify.runtime.sources.source import CapturedFrame, FrameSource
from stn_rectify.runtime.sources.v4l2 import CameraInfo, list_cameras
from stn_rectify.runtime.sources.video import VideoSource

__all__ = [
    "CameraInfo",
    "CameraSource",
    "CapturedFrame",
    "FrameSource",
    "FrameView",
    "ImageSource",
    "VideoSource",
    "list_cameras",
]
