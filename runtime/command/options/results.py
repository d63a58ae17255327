"""The options for results, and the sinks that they ask for."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Literal

from stn_rectify.runtime.command.options.values import Count, byte_count, interval, mqtt_address
from stn_rectify.runtime.command.parsing.option_groups import OptionGroup, flag, option
from stn_rectify.runtime.command.parsing.parser import whole_number
from stn_rectify.runtime.errors import UsageError
from stn_rectify.runtime.process.standard_streams import say
from stn_rectify.runtime.sinks import JsonlSink, MqttAddress, MqttSink, Pace, ResultSink, SaveSink, ShowSink, VideoSink
from stn_rectify.runtime.sinks.background import BackgroundSaveSink, BackgroundSink
from stn_rectify.runtime.sinks.ending import TimeToEnd
from stn_rectify.runtime.sinks.video_file import dated_name, salvage
from stn_rectify.runtime.sources import FrameSource, ImageSource

MQTT_VARIABLE = "STN_RECTIFY_MQTT"

_OFF = "off"
_FRAMERATE = 25.0  # of a video, where the source has none
_MQTT_INTERVAL_S, _MQTT_PICTURE_INTERVAL_S = 1.0, 10.0  # of cameras; of files each result is sent


@dataclass(frozen=True)
class ResultOptions(OptionGroup):
    """The outputs that get all results, and the number of frames after which the run stops."""

    title: ClassVar[str] = "results"

    jsonl: str | None = option(None, "append one JSON object per frame; - is standard output", metavar="FILE|-")
    show: bool = flag("show the frames in a window; Q, Esc or closing it stops")
    frames: int | None = option(None, "stop after N frames", whole_number(1), metavar="N")
    commit_interval: float = option(
        5.0,
        "bring results to the disk itself every S seconds, which spares SD cards; 0: each (5)",
        interval,
        metavar="S",
    )


@dataclass(frozen=True)
class SavingOptions(OptionGroup):
    """The pictures of ``--save``."""

    title: ClassVar[str] = "saved pictures"

    save: str | None = option(None, "save the rectified image and a before/after picture per frame", metavar="DIR")
    save_every: int = option(1, "of every N-th result (1)", whole_number(1), metavar="N")
    save_interval: float = option(0.0, "at most one result in S seconds (0)", interval, metavar="S")
    save_format: Literal["png", "jpg"] = option("png", "of the rectified image (png)", choices=("png", "jpg"))
    save_limit: Count | None = option(
        None,
        "remove the oldest saved pictures, those of earlier runs included, when they take more than 500M, 2G, …",
        byte_count,
        metavar="SIZE",
    )


@dataclass(frozen=True)
class MqttOptions(OptionGroup):
    """The messages of ``--mqtt``."""

    title: ClassVar[str] = "MQTT"

    mqtt: MqttAddress | None = option(
        None,
        "publish results: mqtt://[USER:PASSWORD@]HOST[:PORT][/TOPIC], mqtts:// with TLS. Other users of this "
        f"machine see command lines: with a password better set {MQTT_VARIABLE}, or mqtt in --config (extra mqtt)",
        mqtt_address,
        metavar="URL",
    )
    mqtt_interval: float | None = option(
        None,
        "at most one result in S seconds, and those with another label than the last (1 of a camera or stream, 0 "
        "of files)",
        interval,
        metavar="S",
    )
    mqtt_pictures: bool = flag("send the rectified picture of a target, too", default=True)
    mqtt_picture_interval: float | None = option(
        None,
        "at most one picture of the same target in S seconds (10 of a camera or stream, 0 of files)",
        interval,
        metavar="S",
    )
    mqtt_discovery: str = option(
        "homeassistant", "where Home Assistant looks for devices (homeassistant)", metavar="PREFIX|off"
    )

    @property
    def address(self) -> MqttAddress | None:
        """The broker and topic that the option or else the environment names.

        Raises:
            UsageError: if the environment's address is not one.
        """
        url = os.environ.get(MQTT_VARIABLE)
        if self.mqtt is not None or not url:
            return self.mqtt
        try:
            return MqttAddress.parse(url)
        except UsageError as error:
            raise UsageError(f"{MQTT_VARIABLE}: {error}") from error


def make_sinks(
    results: ResultOptions,
    saving: SavingOptions,
    mqtt: MqttOptions,
    source: FrameSource,
    *,
    video: str | None,
    labels: bool,
    targets: bool = False,
) -> Iterator[ResultSink]:
    """The sinks that the options ask for, made one after the other; each is a context manager.

    Those that write files do so in threads of their own if the source does not wait, or ends in one that does not.

    Args:
        results: options.
        saving: options.
        mqtt: options.
        source: of the run.
        video: the name of a video file to write, with the directives of `strftime`.
        labels: whether results have labels.
        targets: whether several targets are looked for in a frame.

    Raises:
        StnRectifyError: if a sink cannot be made.
    """
    is_live, end = source.is_live, TimeToEnd(lambda: source.is_stopped)
    is_paced = is_live and source.frames_follow  # of several inputs none is to be left out

    def writing(name: str, open_sink: Callable[[], ResultSink]) -> ResultSink:
        return BackgroundSink(open_sink, name, report=say, end=end, waits=True) if is_live else open_sink()

    if results.show:  # first: it fails most easily, and leaves nothing behind
        yield ShowSink(hold=isinstance(source, ImageSource), is_stopped=lambda: source.is_stopped)
    if results.jsonl is not None:
        name = "standard output" if results.jsonl == "-" else results.jsonl
        yield writing(name, partial(_jsonl_sink, results.jsonl, results, targets, is_live))
    if saving.save is not None:
        open_sink = partial(_save_sink, saving.save, saving, results, source)
        in_background = partial(BackgroundSaveSink, open_sink, saving.save, report=say, end=end, waits=True)
        yield in_background() if is_live else open_sink()
    if video is not None:
        yield writing(video, partial(_video_sink, video, results, source))
    address = mqtt.address
    if address is not None:
        usual = _MQTT_INTERVAL_S if is_paced else 0.0
        picture_interval_s = mqtt.mqtt_picture_interval
        if picture_interval_s is None:
            picture_interval_s = _MQTT_PICTURE_INTERVAL_S if is_paced else 0.0
        yield MqttSink(
            address,
            interval_s=usual if mqtt.mqtt_interval is None else mqtt.mqtt_interval,
            picture_interval_s=picture_interval_s if mqtt.mqtt_pictures else None,
            discovery_prefix=None if mqtt.mqtt_discovery == _OFF else mqtt.mqtt_discovery,
            labels=labels,
            targets=targets,
            report=say,
            is_stopped=lambda: source.is_stopped,
        )


def _jsonl_sink(file: str, results: ResultOptions, targets: bool, is_live: bool) -> JsonlSink:
    return JsonlSink(file, targets=targets, waits=not is_live, commit_s=results.commit_interval)


def _save_sink(folder: str, saving: SavingOptions, results: ResultOptions, source: FrameSource) -> SaveSink:
    limit = saving.save_limit
    return SaveSink(
        folder,
        picture_format=saving.save_format,
        pace=Pace(saving.save_every, saving.save_interval),
        dated=source.is_live or limit is not None,
        limit_bytes=None if limit is None else limit.number,
        commit_s=results.commit_interval,
    )


def _video_sink(video: str, results: ResultOptions, source: FrameSource) -> VideoSink:
    try:
        salvage(video, say)
    except OSError as error:
        say(f"what earlier runs have left of {video} stays: {error}")
    return VideoSink(
        dated_name(video),
        framerate=source.framerate or _FRAMERATE,
        real_time=source.is_live and source.frames_follow,
        numbered=source.is_live,
        commit_s=results.commit_interval,
        report=say,
    )
