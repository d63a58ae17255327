"""The containers of video files: what they say of themselves that OpenCV keeps to itself.

In: a video file. Out: `Container`, whether the file ends where it should, and whether its pictures are mirrored. Only
headers are read and the last bytes; pictures are OpenCV's matter. A file for each family of containers.
"""

from stn_rectify.runtime.sources.containers.container import Container
from stn_rectify.runtime.sources.containers.reading import read_container, read_open_container

__all__ = ["Container", "read_container", "read_open_container"]
