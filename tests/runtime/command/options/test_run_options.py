"""The options as a run gets them: their types, and what repeating one does."""

from __future__ import annotations

import dataclasses
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import pytest

from stn_rectify.runtime.command.options.run_options import RunOptions, parse_options

# Together they set every option to something other than its default.
COMMAND_LINES = (
    "--config= --print-config --debug --quiet --list-models --print-schema --print-completion bash "
    "--image a b --max-pixels 9M --frozen-after 7 --commit-interval 7 "
    "--width 640 --height 480 --framerate 30 --fourcc MJPG --no-reconnect "
    "--reconnect-timeout 5 --hflip --vflip --rotation 90 --roi 0,0,1,0.5 --model fast --threads 2 --output frame a.mp4 "
    "--output-size 320x --refine 0 --scan fast --margin 0.1 --upright off --max-archive-bytes 2M --max-tensor-bytes 2G "
    "--recognizer-sha256 00 "
    "--min-score 0.5 --max-targets 4 --on-miss skip --smooth --smooth-cutoff 2 --scan-every 5 --recognizer digits "
    "--labels a.txt --recognizer-command x --recognizer-timeout 3 --text block --label-characters A-Z --known a.txt "
    "--known-distance 2 --min-label-length 4 --label-format [A-Z]+ --no-lookalikes --label-map a.txt "
    "--top-k 3 --beam-width 2 --every 3 --recognize-when steady --vote 5 --jsonl - --show --frames 5 --save out "
    "--save-every 2 --save-interval 1 --save-format jpg --save-limit 2G --mqtt mqtt://me@host/topic --mqtt-interval 1 "
    "--mqtt-discovery off --no-mqtt-pictures --mqtt-picture-interval 5 --serve 8080 --token secret --serve-models fast "
    "--tls-cert c.pem --tls-key k.pem",
    "--video a.mp4",
    "--camera 0",
    "--demo",
    "--list-cameras",
    "--demo --verbose",
    "a.jpg b.mp4 --list-models",
)


def test_every_value_has_the_type_that_its_field_says() -> None:
    tried: set[str] = set()
    for words in COMMAND_LINES:
        for group in parse_options(words.split()).groups():
            hints = get_type_hints(type(group))
            for name, value in group.values().items():
                assert fits(value, hints[name.replace("-", "_")]), name
            tried |= set(group.changed())
    assert tried == {name for group in RunOptions.group_types().values() for name in group.names()}


def fits(value: object, hint: Any) -> bool:
    origin = get_origin(hint)
    if origin in (UnionType, Union):
        return any(fits(value, part) for part in get_args(hint))
    if origin is Literal:
        return value in get_args(hint)
    if origin is tuple:
        return type(value) is tuple and all(type(item) is str for item in value)
    return type(value) is hint


def test_options_cannot_be_changed() -> None:
    for group in parse_options(["--demo"]).groups():
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(group, dataclasses.fields(group)[0].name, None)


def test_a_repeated_image_adds() -> None:
    images = ["--image", "a.jpg", "b.jpg", "--image", "c/", "--image=d.png"]
    assert parse_options(images).source.image == ("a.jpg", "b.jpg", "c/", "d.png")
    models = ["--demo", "--serve-models", "x", "--serve-models", "y", "z"]
    assert parse_options(models).web.serve_models == ("x", "y", "z")


def test_the_last_of_a_repeated_option_with_one_value_wins() -> None:
    options = parse_options(["--demo", "--threads", "1", "--threads", "2", "--reconnect", "--no-reconnect"])
    assert (options.model.threads, options.reconnection.reconnect) == (2, False)
