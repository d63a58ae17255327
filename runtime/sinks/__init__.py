"""Places for results: JSON lines, pictures, video, a window, MQTT.

In: frames and their results, one by one. Out: files, messages, lines. Each sink is opened, written to and closed.
"""

from stn_rectify.runtime.sinks.jsonl import JsonlSink, result_values
from stn_rectify.runtime.sinks.mqtt import MqttSink
from stn_rectify.runtime.sinks.mqtt_address import MqttAddress
from stn_rectify.runtime.sinks.overview import draw_overview
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
    "draw_overview",
    "result_values",
]
