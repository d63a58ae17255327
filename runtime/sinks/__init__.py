"""Where results go: each sink takes them one by one and is closed."""

from stn_rectify.runtime.sinks.jsonl import JsonlSink
from stn_rectify.runtime.sinks.pictures import SaveSink
from stn_rectify.runtime.sinks.result_sink import ResultSink

__all__ = ["JsonlSink", "ResultSink", "SaveSink"]
