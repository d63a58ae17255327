"""The broker's address, from the command line and the environment, and its password, which nobody is shown."""

from __future__ import annotations

import math
import socket
import sys
import threading

import pytest

from stn_rectify.runtime import StnRectifyError, UsageError
from stn_rectify.runtime.command.cli import main
from stn_rectify.runtime.sinks import MqttAddress, MqttSink, mqtt
from tests.waiting import DEADLINE_S


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("mqtt://host/a", MqttAddress("host", 1883, "a")),
        ("mqtt://host:1999/a/b/", MqttAddress("host", 1999, "a/b")),
        ("mqtts://host/a", MqttAddress("host", 8883, "a", is_encrypted=True)),
        ("mqtt://me:p%40%3A%2F@[::1]/a%20b", MqttAddress("::1", 1883, "a b", "me", "p@:/")),
        ("mqtt://me@host/a", MqttAddress("host", 1883, "a", "me")),
    ],
)
def test_an_address_is_read_and_written_without_its_password(url: str, expected: MqttAddress) -> None:
    found = MqttAddress.parse(url)
    assert found == expected
    if found.password is None:
        assert MqttAddress.parse(str(found)) == found
    else:
        assert found.password not in str(found) + repr(found)
        with pytest.raises(UsageError, match="put the password there"):
            MqttAddress.parse(str(found))


def test_the_topic_is_the_hosts_if_there_is_none() -> None:
    assert MqttAddress.parse("mqtt://host").topic.startswith("stn-rectify/")


@pytest.mark.parametrize(
    ("url", "message"),
    [
        pytest.param("localhost", "is not mqtt://", id="no scheme"),
        pytest.param("http://u:s3cret@host/a", "is not mqtt://", id="another scheme"),
        pytest.param("mqtt:///a", "is not mqtt://", id="no host"),
        pytest.param("mqtt://u:s3cret@host:99999/a", "no URL", id="port"),
        pytest.param("mqtt://u:s3cret#1@host/a", "%23 for #", id="password with #"),
        pytest.param("mqtt://u:s3cret/1@host/a", "no URL", id="password with /"),
        pytest.param("mqtt://:s3cret@host/a", "no user", id="password alone"),
        pytest.param("mqtt://host/a/+/b", "no + or #", id="wildcard"),
        pytest.param(f"mqtt://{'a' * 70}.de/a", "names no host", id="host"),
    ],
)
def test_a_wrong_address_is_one_line_without_the_password(
    capsys: pytest.CaptureFixture[str], url: str, message: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--demo", "--mqtt", url])
    errors = capsys.readouterr().err
    assert ended.value.code == 2
    assert len(errors.splitlines()) == 1
    assert message in errors
    assert "s3cret" not in errors


def test_print_config_hides_the_password(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--demo", "--mqtt", "mqtt://me:s3cret@host/a", "--print-config"]) == 0
    printed = capsys.readouterr().out
    assert 'mqtt = "mqtt://me:***@host:1883/a"' in printed
    assert "s3cret" not in printed


def test_without_paho_it_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "paho.mqtt.client", None)
    with pytest.raises(StnRectifyError, match=r"-m pip install .*\[mqtt\]'?$") as raised:
        MqttSink(MqttAddress("host", 1883, "a"))
    assert not isinstance(raised.value, UsageError)  # whose status keeps a service from being started again


def test_the_environments_address_is_checked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("STN_RECTIFY_MQTT", "host")
    assert main(["--demo", "--model", "fast"]) == 2
    assert "error: STN_RECTIFY_MQTT: the MQTT address is not mqtt://" in capsys.readouterr().err


def test_a_run_that_was_stopped_waits_no_longer_for_the_goodbye(monkeypatch: pytest.MonkeyPatch) -> None:
    """The broker takes the connection and says nothing; the wait of a run that was not stopped would not end."""
    monkeypatch.setattr(mqtt, "_CLOSE_S", math.inf)
    monkeypatch.setattr(mqtt, "_FIRST_ANSWER_S", 0.0)
    with socket.create_server(("127.0.0.1", 0)) as server:
        sink = MqttSink(MqttAddress("127.0.0.1", server.getsockname()[1], "a"), is_stopped=lambda: True)
        held, ended = threading.Event(), list[bool]()
        monkeypatch.setattr(sink._client, "loop_stop", lambda: ended.append(held.wait(DEADLINE_S)))
        sink.close()
        assert not ended
        held.set()
