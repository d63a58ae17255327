"""Streams that FFmpeg gets no pictures from: their servers are asked why, and addresses of single pictures are polled.

In: a URL. Out: `cause_of_silence`, a line for people, or `Snapshots`, one picture after the other. FFmpeg says nothing
that OpenCV would hand on.
"""

from stn_rectify.runtime.sources.streams.cause import cause_of_silence
from stn_rectify.runtime.sources.streams.snapshots import Snapshots, gives_snapshots
from stn_rectify.runtime.sources.streams.web_file import foreign_web_kind, web_container

__all__ = ["Snapshots", "cause_of_silence", "foreign_web_kind", "gives_snapshots", "web_container"]
