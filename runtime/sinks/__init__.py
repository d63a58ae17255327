"""Where results go: each sink takes them one by one and is closed."""

from stn_rectify.runtime.sinks.jsonl import JsonlSink
from stn_rectify.runtime.sinks.mqtt import MqttSink
from stn_rectify.runtime.sinks.mqtt_address import MqttAddress
from stn_rectify.runtime.sinks.pace import Pace
from stn_rectify.runtime.sinks.pictures import SaveSink
from stn_rectify.runtime.sinks.result_sink import ResultSink
from stn_rectify.runtime.sinks.video import VIDEO_SUFFIXES, VideoSink
from stn_rectify.runtime.sinks.window import ShowSink

__all__ = [
    "VIDEO_SUFFIXES",
    "JsonlSink",
    "MqttAddress",
    "MqttSink",
    "Pace",
    "ResultSink",
    "SaveSink",
    "ShowSink",
    "VideoSink",
]
