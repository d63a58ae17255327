"""Where results go: the options, and the sinks they ask for."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from datetime import datetime

from stn_rectify.runtime.command.messages import say
from stn_rectify.runtime.command.option_types import byte_count, interval, mqtt_address
from stn_rectify.runtime.command.parsing import whole_number
from stn_rectify.runtime.command.target_options import video_file
from stn_rectify.runtime.errors import UsageError
from stn_rectify.runtime.sinks import JsonlSink, MqttAddress, MqttSink, Pace, ResultSink, SaveSink, ShowSink, VideoSink
from stn_rectify.runtime.sources import FrameSource, ImageSource

__all__ = ["MQTT_VARIABLE", "add_result_options", "check_result_options", "make_sinks"]

MQTT_VARIABLE = "STN_RECTIFY_MQTT"

_OFF = "off"
_FRAMERATE = 25.0  # of a video, where the source has none
_MQTT_INTERVAL_S = 1.0  # of cameras; of files each result is sent
# What an option needs, and what it is without one.
_SAVE = {"save_every": 1, "save_interval": 0.0, "save_format": "png", "save_limit": None}
_MQTT = {"mqtt_interval": None, "mqtt_discovery": "homeassistant"}


def add_result_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options of results."""
    group = parser.add_argument_group("results")
    group.add_argument("--jsonl", metavar="FILE|-", help="append one JSON object per frame; - is standard output")
    group.add_argument("--show", action="store_true", help="show the frames in a window; Q, Esc or closing it stops")
    group.add_argument("--frames", type=whole_number(1), metavar="N", help="stop after N frames")
    _add_saving(parser)
    _add_mqtt(parser)


def check_result_options(arguments: argparse.Namespace) -> None:
    """Checks what no option can know of itself.

    Raises:
        UsageError: options do not go together, or the environment's MQTT address is none.
    """
    mqtt = _mqtt_address(arguments)
    for options, needed, is_there in ((_SAVE, "--save", arguments.save), (_MQTT, "--mqtt", mqtt)):
        for key, default in options.items():
            if is_there is None and getattr(arguments, key) != default:
                raise UsageError(f"--{key.replace('_', '-')} needs {needed}")


def make_sinks(arguments: argparse.Namespace, source: FrameSource) -> Iterator[ResultSink]:
    """The sinks that the options ask for, made one after the other; each is a context manager."""
    if arguments.show:  # first: it fails most easily, and leaves nothing behind
        yield ShowSink(hold=isinstance(source, ImageSource), is_stopped=lambda: source.is_stopped)
    if arguments.jsonl is not None:
        yield JsonlSink(arguments.jsonl)
    if arguments.save is not None:
        yield _save_sink(arguments, source)
    video = video_file(arguments)
    if video is not None:
        name = datetime.now().strftime(video) if "%" in video else video
        yield VideoSink(name, framerate=source.framerate or _FRAMERATE, real_time=source.is_live)
    mqtt = _mqtt_address(arguments)
    if mqtt is not None:
        usual = _MQTT_INTERVAL_S if source.is_live else 0.0
        yield MqttSink(
            mqtt,
            interval_s=usual if arguments.mqtt_interval is None else arguments.mqtt_interval,
            discovery_prefix=None if arguments.mqtt_discovery == _OFF else arguments.mqtt_discovery,
            labels=arguments.recognizer is not None,
            report=say,
        )


def _add_saving(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("saved pictures")
    group.add_argument("--save", metavar="DIR", help="save the rectified image and a before/after picture per frame")
    group.add_argument(
        "--save-every", type=whole_number(1), default=_SAVE["save_every"], metavar="N", help="of every N-th result (1)"
    )
    group.add_argument(
        "--save-interval",
        type=interval,
        default=_SAVE["save_interval"],
        metavar="S",
        help="at most one result in S seconds (0)",
    )
    group.add_argument(
        "--save-format", choices=("png", "jpg"), default=_SAVE["save_format"], help="of the rectified image (png)"
    )
    group.add_argument(
        "--save-limit",
        type=byte_count,
        metavar="SIZE",
        help="remove the oldest saved pictures, those of earlier runs included, when they take more than 500M, 2G, …",
    )


def _add_mqtt(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("MQTT")
    group.add_argument(
        "--mqtt",
        type=mqtt_address,
        metavar="URL",
        help="publish results: mqtt://[USER:PASSWORD@]HOST[:PORT][/TOPIC], mqtts:// with TLS. Other users of this "
        f"machine see command lines: with a password better set {MQTT_VARIABLE}, or mqtt in --config",
    )
    group.add_argument(
        "--mqtt-interval",
        type=interval,
        metavar="S",
        help="at most one result in S seconds, and those with another label than the last (1 of a camera or stream, 0 "
        "of files)",
    )
    group.add_argument(
        "--mqtt-discovery",
        default=_MQTT["mqtt_discovery"],
        metavar="PREFIX|off",
        help="where Home Assistant looks for devices (homeassistant)",
    )


def _save_sink(arguments: argparse.Namespace, source: FrameSource) -> SaveSink:
    limit = arguments.save_limit
    return SaveSink(
        arguments.save,
        picture_format=arguments.save_format,
        pace=Pace(arguments.save_every, arguments.save_interval),
        dated=source.is_live or limit is not None,
        limit_bytes=None if limit is None else limit.number,
    )


def _mqtt_address(arguments: argparse.Namespace) -> MqttAddress | None:
    if arguments.mqtt is not None:
        address: MqttAddress = arguments.mqtt
        return address
    url = os.environ.get(MQTT_VARIABLE)
    try:
        return MqttAddress.parse(url) if url else None
    except UsageError as error:
        raise UsageError(f"{MQTT_VARIABLE}: {error}") from error
