"""Against a real mosquitto, which each test starts for itself."""

from __future__ import annotations

import getpass
import json
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from stn_rectify.runtime import CapturedFrame, Rectification, StnRectifyError, UsageError
from stn_rectify.runtime.cli import main
from stn_rectify.runtime.sinks import MqttAddress, MqttSink, mqtt
from stn_rectify.runtime.sinks.home_assistant import discovery_messages

paho = pytest.importorskip("paho.mqtt.client", reason="paho-mqtt is not installed")
MOSQUITTO = shutil.which("mosquitto", path="/usr/local/sbin:/usr/sbin:/usr/local/bin:/usr/bin:/opt/homebrew/sbin")
needs_mosquitto = pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not installed")


class Broker:
    """A mosquitto on a port of its own."""

    def __init__(self, folder: Path, *lines: str) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self._config = folder / "mosquitto.conf"
        own = [f"user {getpass.getuser()}", f"listener {self.port} 127.0.0.1"]  # root's would become another user
        self._config.write_text("\n".join([*own, *(lines or ["allow_anonymous true"])]))
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> Broker:
        self.process = subprocess.Popen([str(MOSQUITTO), "-c", str(self._config)], stderr=subprocess.DEVNULL)
        wait_until(self._answers)
        return self

    def kill(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
            self.process.wait()

    def _answers(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


class Listener:
    """Subscribes to everything; `messages` are (topic, payload, retained)."""

    def __init__(self, port: int) -> None:
        self.messages: list[tuple[str, str, bool]] = []
        self._client = paho.Client(paho.CallbackAPIVersion.VERSION2)
        self._client.on_message = lambda client, data, message: self.messages.append(
            (message.topic, message.payload.decode(), message.retain)
        )
        subscribed: list[bool] = []
        self._client.on_connect = lambda *_: self._client.subscribe("#")
        self._client.on_subscribe = lambda *_: subscribed.append(True)
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        wait_until(lambda: subscribed)

    def of(self, topic: str) -> list[str]:
        return [payload for found, payload, _ in self.messages if found == topic]

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    started = Broker(tmp_path).start()
    yield started
    started.kill()


@pytest.fixture
def listen() -> Iterator[Callable[[Broker], Listener]]:
    made: list[Listener] = []

    def make(broker: Broker) -> Listener:
        made.append(Listener(broker.port))
        return made[-1]

    yield make
    for listener in made:
        listener.close()


def wait_until(condition: Callable[[], object]) -> None:
    for _ in range(2000):
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError("it did not happen within 20 s")


def address(broker: Broker, *, login: str = "", scheme: str = "mqtt") -> MqttAddress:
    return MqttAddress.parse(f"{scheme}://{login}127.0.0.1:{broker.port}/a/b")


def captured(index: int = 0) -> CapturedFrame:
    return CapturedFrame("/dev/video0", index, 1700000000.25, np.zeros((40, 60, 3), np.uint8))


def result(label: str | None = None) -> Rectification:
    corners = np.array([[10.0, 5.0], [50.0, 8.0], [48.0, 30.0], [12.0, 33.0]])
    return Rectification(np.zeros((20, 30, 3), np.uint8), corners, np.eye(3), 0.9, 1.5, label, label and 0.5)


@needs_mosquitto
def test_a_result_arrives_and_the_status_is_retained(broker: Broker, listen: Callable[[Broker], Listener]) -> None:
    listener = listen(broker)
    with MqttSink(address(broker)) as sink:
        sink.write(captured(7), result("A"))
        wait_until(lambda: listener.of("a/b/result"))
        late = listen(broker)
        wait_until(lambda: ("a/b/status", "online", True) in late.messages)
        assert not late.of("a/b/result")
    values = json.loads(listener.of("a/b/result")[0])
    assert (values["frame"], values["label"], values["corners"][1]) == (7, "A", [50.0, 8.0])
    wait_until(lambda: listener.of("a/b/status") == ["online", "offline"])
    later = listen(broker)
    wait_until(lambda: ("a/b/status", "offline", True) in later.messages)


@needs_mosquitto
def test_home_assistant_finds_every_sensor(broker: Broker, listen: Callable[[Broker], Listener]) -> None:
    MqttSink(address(broker)).close()
    listener = listen(broker)
    wait_until(lambda: sum(topic.endswith("/config") for topic, *_ in listener.messages) == 4)
    configs = {topic: json.loads(text) for topic, text, retained in listener.messages if retained and "config" in topic}
    for topic, config in configs.items():
        _, component, object_id, _ = topic.split("/")
        assert (component, config["unique_id"]) == ("sensor", object_id)
        assert (config["state_topic"], config["availability_topic"]) == ("a/b/result", "a/b/status")
        assert config["device"]["identifiers"] == ["a_b"]
        assert config["origin"]["name"]
        key = config["value_template"].removeprefix("{{ value_json.").removesuffix(" }}")
        assert key in ("label", "label_score", "score", "latency_ms")
    assert len({config["unique_id"] for config in configs.values()}) == 4


def test_without_a_recognizer_home_assistant_is_told_of_no_label() -> None:
    names = [values["name"] for values in discovery_messages("ha", "pi#4", "r", "s", labels=False).values()]
    assert names == ["Target score", "Latency"]
    assert next(iter(discovery_messages("ha", "wörk/4", "r", "s"))) == "ha/sensor/w_rk_4_label/config"


@needs_mosquitto
def test_a_killed_process_leaves_its_last_will(broker: Broker, listen: Callable[[Broker], Listener]) -> None:
    code = (
        "import sys, time; from stn_rectify.runtime.sinks import MqttAddress, MqttSink\n"
        f"sink = MqttSink(MqttAddress.parse('mqtt://127.0.0.1:{broker.port}/a/b')); print('there', flush=True)\n"
        "time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    process.stdout.readline()
    listener = listen(broker)
    wait_until(lambda: listener.of("a/b/status") == ["online"])
    process.kill()
    process.communicate()
    wait_until(lambda: listener.of("a/b/status") == ["online", "offline"])
    later = listen(broker)
    wait_until(lambda: ("a/b/status", "offline", True) in later.messages)


@needs_mosquitto
def test_after_a_restart_of_the_broker_all_is_as_before(tmp_path: Path, listen: Callable[[Broker], Listener]) -> None:
    """At first there is none at all."""
    broker, lines = Broker(tmp_path), list[str]()
    try:
        with MqttSink(address(broker), interval_s=0, report=lines.append) as sink:
            sink.write(captured(0), result())
            assert sink.unsent == 1
            for number in (1, 2):
                broker.start()
                listener = listen(broker)
                wait_until(lambda heard=listener: heard.of("a/b/status") == ["online"])  # type: ignore[misc]
                assert listener.of("homeassistant/sensor/a_b_score/config")
                sink.write(captured(number), result())
                wait_until(lambda heard=listener: heard.of("a/b/result"))  # type: ignore[misc]
                broker.kill()
                wait_until(lambda count=number: sum("lost" in line for line in lines) == count)  # type: ignore[misc]
    finally:
        broker.kill()
    name = f"127.0.0.1:{broker.port}"
    refused = f"mqtt: cannot reach {name} (Connection refused); trying on"
    there, lost = f"mqtt: connected to {name}, topic a/b", f"mqtt: lost {name}; trying on"
    assert [line for line in lines if line != refused][:4] == [there, lost, there, lost]
    assert lines[0] == refused


@needs_mosquitto
def test_two_runs_of_one_topic_say_once_what_is_wrong(
    broker: Broker, listen: Callable[[Broker], Listener], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mqtt, "_STEADY_S", 2.5)
    name, lines, others = f"127.0.0.1:{broker.port}", list[str](), list[str]()
    thrown_out = "mqtt: another client uses the name a_b: give each run its own topic; trying on"
    there, lost = f"mqtt: connected to {name}, topic a/b", f"mqtt: lost {name}; trying on"
    listener = listen(broker)
    with MqttSink(address(broker), interval_s=0, report=lines.append) as sink:
        with MqttSink(address(broker), report=others.append):
            wait_until(lambda: thrown_out in lines and thrown_out in others)
            count = len(listener.of("a/b/status"))
            wait_until(lambda: len(listener.of("a/b/status")) > count + 4)  # it goes on, and nobody speaks of it
            assert lines == others == [there, lost, there, lost, there, thrown_out]

        def is_said_to_be_well() -> bool:
            sink.write(captured(), result())
            return lines[-1] == there

        wait_until(is_said_to_be_well)
    assert lines == [there, lost, there, lost, there, thrown_out, there]


@needs_mosquitto
def test_a_wrong_password_is_one_line_without_it(tmp_path: Path, listen: Callable[[Broker], Listener]) -> None:
    passwords = tmp_path / "passwords"
    subprocess.run(["mosquitto_passwd", "-b", "-c", passwords, "me", "right"], check=True, capture_output=True)
    passwords.chmod(0o644)
    broker, lines = Broker(tmp_path, "allow_anonymous false", f"password_file {passwords}").start(), list[str]()
    try:
        for login in ("me:wr0ng@", "", "me:right@"):
            MqttSink(address(broker, login=login), report=lines.append).close()
    finally:
        broker.kill()
    name = f"127.0.0.1:{broker.port}"
    assert lines == [
        f"mqtt: {name} refuses user 'me' (Not authorized): check user and password; trying on",
        f"mqtt: {name} refuses us without a user (Not authorized): check user and password; trying on",
        f"mqtt: connected to {name}, topic a/b",
    ]


@needs_mosquitto
def test_a_broker_that_hangs_holds_nothing_up(
    broker: Broker, listen: Callable[[Broker], Listener], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mqtt, "_CLOSE_S", 0.2)
    listener = listen(broker)
    sink = MqttSink(address(broker), interval_s=0)
    broker.process.send_signal(signal.SIGSTOP)
    for number in range(60_000):  # more than sockets buffer
        sink.write(captured(number), result())
        if sink.unsent > 1000:
            break
    assert sink.unsent > 1000
    assert len(sink._client._out_packet) <= 200
    broker.process.send_signal(signal.SIGCONT)
    wait_until(lambda: sink._handed_over == sink._taken)
    sink.write(captured(99_999), result())
    wait_until(lambda: '"frame": 99999' in "".join(listener.of("a/b/result")[-1:]))
    broker.process.send_signal(signal.SIGSTOP)
    sink.close()


@needs_mosquitto
def test_another_label_does_not_wait_for_its_turn(broker: Broker, listen: Callable[[Broker], Listener]) -> None:
    listener = listen(broker)
    with MqttSink(address(broker), interval_s=3600) as sink:
        for index, label in enumerate(["A", "A", "B", "B", "A"]):
            sink.write(captured(index), result(label))
        wait_until(lambda: len(listener.of("a/b/result")) == 3)
    wait_until(lambda: "offline" in listener.of("a/b/status"))
    assert [json.loads(line)["frame"] for line in listener.of("a/b/result")] == [0, 2, 4]


@needs_mosquitto
@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_tls_trusts_only_known_authorities(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, listen: Callable[[Broker], Listener]
) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    made = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=IP:127.0.0.1"
    subprocess.run([*made.split(), "-keyout", key, "-out", certificate], check=True, capture_output=True)
    key.chmod(0o644)
    broker, lines = Broker(tmp_path, "allow_anonymous true", f"certfile {certificate}", f"keyfile {key}"), list[str]()
    broker.start()
    try:
        MqttSink(address(broker, scheme="mqtts"), report=lines.append).close()
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        MqttSink(address(broker, scheme="mqtts"), report=lines.append).close()
    finally:
        broker.kill()
    assert "certificate verify failed" in lines[0]
    assert lines[1:] == [f"mqtt: connected to 127.0.0.1:{broker.port}, topic a/b"]


@needs_mosquitto
def test_the_command_sends_every_image(
    broker: Broker,
    tmp_path: Path,
    frame: np.ndarray,
    listen: Callable[[Broker], Listener],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    listener = listen(broker)
    monkeypatch.setenv("STN_RECTIFY_MQTT", f"mqtt://me:secret@127.0.0.1:{broker.port}/pi")
    for name in "abc":
        cv2.imwrite(str(tmp_path / f"{name}.png"), frame)
    assert main(["--image", str(tmp_path), "--model", "fast", "--mqtt-discovery", "off"]) == 0
    wait_until(lambda: listener.of("pi/status") == ["online", "offline"])
    assert [json.loads(line)["frame"] for line in listener.of("pi/result")] == [0, 1, 2]
    assert not [topic for topic, *_ in listener.messages if topic.startswith("homeassistant")]
    errors = capsys.readouterr().err
    assert "mqtt: connected to 127.0.0.1" in errors
    assert "secret" not in errors


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
    with pytest.raises(StnRectifyError, match=r"pip install 'stn-rectify\[mqtt\]'") as raised:
        MqttSink(MqttAddress("host", 1883, "a"))
    assert not isinstance(raised.value, UsageError)  # whose status keeps a service from being started again


def test_the_environments_address_is_checked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("STN_RECTIFY_MQTT", "host")
    assert main(["--demo", "--model", "fast"]) == 2
    assert "error: STN_RECTIFY_MQTT: the MQTT address is not mqtt://" in capsys.readouterr().err
