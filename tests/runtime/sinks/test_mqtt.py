"""Against a real mosquitto, which each test starts for itself."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib import metadata
from pathlib import Path

import cv2
import jinja2
import numpy as np
import pytest
from jinja2.sandbox import ImmutableSandboxedEnvironment

from stn_rectify.runtime import CapturedFrame, MissRule, Rectification
from stn_rectify.runtime.command.cli import main
from stn_rectify.runtime.sinks import MqttAddress, MqttSink, mqtt, result_values
from stn_rectify.runtime.sinks.home_assistant import ResultTopics, discovery_messages
from stn_rectify.runtime.sources.by_name import DEMO_IMAGE
from tests.runtime.sinks.mqtt_broker import MOSQUITTO, Broker, Listener
from tests.waiting import wait_for

needs_mosquitto = pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not installed")


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
        wait_for("a result", lambda: listener.of("a/b/result"))
        late = listen(broker)
        wait_for("the retained status", lambda: ("a/b/status", "online", True) in late.messages)
        assert not late.of("a/b/result")
    values = json.loads(listener.of("a/b/result")[0])
    assert (values["frame"], values["label"], values["corners"][1]) == (7, "A", [50.0, 8.0])
    wait_for("both statuses", lambda: listener.of("a/b/status") == ["online", "offline"])
    later = listen(broker)
    wait_for("the retained last status", lambda: ("a/b/status", "offline", True) in later.messages)


@needs_mosquitto
def test_home_assistant_finds_every_entity(broker: Broker, listen: Callable[[Broker], Listener]) -> None:
    MqttSink(address(broker), picture_interval_s=10).close()
    listener = listen(broker)
    wait_for("the six entities", lambda: sum(topic.endswith("/config") for topic, *_ in listener.messages) == 6)
    configs = {topic: json.loads(text) for topic, text, retained in listener.messages if retained and "config" in topic}
    values = result_values(captured(), result("9" * 300))
    shown = {}
    for topic, config in configs.items():
        _, component, object_id, _ = topic.split("/")
        assert config["unique_id"] == object_id
        assert config["availability_topic"] == "a/b/status"
        assert config["device"]["identifiers"] == ["a_b"]
        assert config["device"]["sw_version"] == config["origin"]["sw_version"] == metadata.version("stn-rectify")
        assert config["origin"]["name"]
        key = config["unique_id"].removeprefix("a_b_")
        if component == "sensor":
            assert config["state_topic"] == "a/b/result"
            shown[key] = jinja2.Template(config["value_template"]).render(value_json=values)
        else:
            assert config["json_attributes_topic"] == "a/b/result"
            template = ImmutableSandboxedEnvironment().from_string(config["json_attributes_template"])
            attributes = json.loads(template.render(value_json=values))
            assert set(attributes) == {"source", "timestamp", "corners", "score", "label", "label_score"}
    # A state of Home Assistant holds 255 characters.
    assert shown == {"label": "9" * 250, "label_score": "0.5", "score": "0.9", "latency_ms": "1.5"}
    present = configs["homeassistant/binary_sensor/a_b_present/config"]
    assert (present["state_topic"], present["payload_on"], present["payload_off"]) == ("a/b/present", "ON", "OFF")
    assert configs["homeassistant/image/a_b_rectified/config"]["image_topic"] == "a/b/rectified"


@needs_mosquitto
def test_a_target_is_present_until_it_has_been_missed_for_a_while(
    broker: Broker, listen: Callable[[Broker], Listener]
) -> None:
    """A new connection is told at once, and so is who comes later."""
    listener = listen(broker)
    with MqttSink(address(broker)) as sink:
        for second, score in ((0, 0.3), (0.5, 0.9), (0.9, 0.3), (2, 0.9), (2.5, 0.4), (2.9, 0.4)):
            frame = replace(captured(), position_s=second)
            sink.write_targets(frame, replace(result(), score=score), (), MissRule(0.5))
        wait_for("both states", lambda: listener.of("a/b/present") == ["OFF", "ON"])
        sink.skip(replace(captured(), position_s=3.0))
        wait_for("the target's end", lambda: listener.of("a/b/present") == ["OFF", "ON", "OFF"])
        late = listen(broker)
        wait_for("the retained state", lambda: ("a/b/present", "OFF", True) in late.messages)
    wait_for("the last status", lambda: "offline" in listener.of("a/b/status"))
    # The first; that of the target's coming, which does not wait for its turn; then one a second.
    assert [json.loads(line)["score"] for line in listener.of("a/b/result")] == [0.3, 0.9, 0.9]


@needs_mosquitto
def test_the_picture_of_a_target_is_sent_and_retained(broker: Broker, listen: Callable[[Broker], Listener]) -> None:
    listener = listen(broker)
    frames = [
        (0, "A", 0.9),
        (0.5, "B", 0.9),
        (2, "B", 0.9),
        (3, "B", 0.9),
        (4, "B", 0.1),
        (6, "B", 0.9),
        (16, "B", 0.9),
    ]
    with MqttSink(address(broker), picture_interval_s=10) as sink:
        for place, (second, label, score) in enumerate(frames):
            image = np.full((300, 1200, 3), 30 * place, np.uint8)
            sink.write(replace(captured(), position_s=second), replace(result(label), image=image, score=score))
        wait_for("the pictures", lambda: len(listener.of("a/b/rectified")) == 4)
        late = listen(broker)
        wait_for("the retained picture", lambda: any(topic == "a/b/rectified" for topic, *_ in late.messages))
    pictures = [
        cv2.imdecode(np.frombuffer(text.encode(errors="surrogateescape"), np.uint8), cv2.IMREAD_COLOR)
        for text in listener.of("a/b/rectified")
    ]
    # The first; B, a second after it; the target's coming back; the same one ten seconds later.
    assert [round(float(picture.mean()) / 30) for picture in pictures] == [0, 2, 5, 6]
    assert {picture.shape for picture in pictures} == {(240, 960, 3)}


def test_another_video_begins_without_the_targets_of_the_one_before() -> None:
    presence = mqtt._Presence(1.0)
    presence.update(replace(captured(), position_s=9.0), is_found=True)
    presence.update(replace(captured(), position_s=9.5), is_found=False)
    assert presence.is_present
    presence.update(replace(captured(), position_s=0.0), is_found=False)
    assert not presence.is_present


def test_a_picture_with_other_labels_never_waits_longer_than_one_with_the_same() -> None:
    pace = mqtt._PicturePace(same_s=2.0, news_s=60.0)
    due = [pace.is_due(replace(captured(), position_s=second), [label], False) for second, label in enumerate("ABBB")]
    assert due == [True, False, True, False]


@needs_mosquitto
def test_what_a_run_does_not_have_any_more_is_gone(broker: Broker, listen: Callable[[Broker], Listener]) -> None:
    with MqttSink(address(broker), picture_interval_s=0, targets=True) as sink:
        sink.write(captured(), result("A"))
    MqttSink(address(broker), labels=False).close()
    listener = listen(broker)
    wait_for("the last status", lambda: listener.of("a/b/status"))
    kept = [topic.split("/") for topic, *_ in listener.messages if topic.endswith("/config")]
    assert sorted((component, name) for _, component, name, _ in kept) == [
        ("binary_sensor", "a_b_present"),
        ("sensor", "a_b_latency_ms"),
        ("sensor", "a_b_score"),
    ]
    assert listener.of("a/b/present") == ["ON"]
    assert not listener.of("a/b/rectified")


def test_without_a_recognizer_home_assistant_is_told_of_no_label() -> None:
    told = discovery_messages("ha", ResultTopics("pi#4"), labels=False, pictures=False)
    assert [values["name"] for values in told.values()] == ["Target present", "Target score", "Latency"]
    assert next(iter(discovery_messages("ha", ResultTopics("wörk/4")))) == "ha/binary_sensor/w_rk_4_present/config"


@needs_mosquitto
def test_a_killed_process_leaves_its_last_will(broker: Broker, listen: Callable[[Broker], Listener]) -> None:
    code = (
        "import signal; from stn_rectify.runtime.sinks import MqttAddress, MqttSink\n"
        f"sink = MqttSink(MqttAddress.parse('mqtt://127.0.0.1:{broker.port}/a/b')); print('there', flush=True)\n"
        "signal.pause()"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    process.stdout.readline()
    listener = listen(broker)
    wait_for("the status", lambda: listener.of("a/b/status") == ["online"])
    process.kill()
    process.communicate()
    wait_for("both statuses", lambda: listener.of("a/b/status") == ["online", "offline"])
    later = listen(broker)
    wait_for("the retained last status", lambda: ("a/b/status", "offline", True) in later.messages)


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
                wait_for("the status", lambda heard=listener: heard.of("a/b/status") == ["online"])  # type: ignore[misc]
                assert listener.of("homeassistant/sensor/a_b_score/config")
                sink.write(captured(number), result())
                wait_for("a result", lambda heard=listener: heard.of("a/b/result"))  # type: ignore[misc]
                assert listener.of("a/b/present") == ["ON"], "said to each connection"
                broker.kill()
                wait_for("the line of the loss", lambda count=number: sum("lost" in line for line in lines) == count)  # type: ignore[misc]
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
            wait_for("both runs to say who throws them out", lambda: thrown_out in lines and thrown_out in others)
            count = len(listener.of("a/b/status"))
            # It goes on, and nobody speaks of it.
            wait_for("more statuses", lambda: len(listener.of("a/b/status")) > count + 4)
            assert lines == others == [there, lost, there, lost, there, thrown_out]

        def is_said_to_be_well() -> bool:
            sink.write(captured(), result())
            return lines[-1] == there

        wait_for("the line that it is well again", is_said_to_be_well)
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
    wait_for("all to be handed over", lambda: sink._handed_over == sink._taken)
    sink.write(captured(99_999), result())
    wait_for("the newest result", lambda: '"frame": 99999' in "".join(listener.of("a/b/result")[-1:]))
    broker.process.send_signal(signal.SIGSTOP)
    sink.close()


@needs_mosquitto
def test_another_label_does_not_wait_for_its_turn(broker: Broker, listen: Callable[[Broker], Listener]) -> None:
    listener = listen(broker)
    with MqttSink(address(broker), interval_s=3600) as sink:
        for index, label in enumerate(["A", "A", "B", "B", "A"]):
            sink.write(captured(index), result(label))
        wait_for("a result", lambda: len(listener.of("a/b/result")) == 3)
    wait_for("the last status", lambda: "offline" in listener.of("a/b/status"))
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
    wait_for("both statuses", lambda: listener.of("pi/status") == ["online", "offline"])
    assert [json.loads(line)["frame"] for line in listener.of("pi/result")] == [0, 1, 2]
    assert not [topic for topic, *_ in listener.messages if topic.startswith("homeassistant")]
    errors = capsys.readouterr().err
    assert "mqtt: connected to 127.0.0.1" in errors
    assert "secret" not in errors


@needs_mosquitto
def test_more_or_other_targets_do_not_wait_for_their_turn(broker: Broker, listen: Callable[[Broker], Listener]) -> None:
    listener = listen(broker)
    frames = [["A", "B"], ["B", "A"], ["A", "B", None], ["A", None, "B"], ["A"], [], []]
    with MqttSink(address(broker), interval_s=3600, targets=True) as sink:
        for index, labels in enumerate(frames):
            targets = [result(label) for label in labels]
            sink.write_targets(captured(index), (targets or [result()])[0], targets, MissRule())
        wait_for("a result", lambda: len(listener.of("a/b/result")) == 4)
    wait_for("the last status", lambda: "offline" in listener.of("a/b/status"))
    sent = [json.loads(line) for line in listener.of("a/b/result")]
    assert [(values["frame"], len(values["targets"])) for values in sent] == [(0, 2), (2, 3), (4, 1), (5, 0)]


def test_home_assistant_counts_targets_where_several_are_looked_for() -> None:
    topics = ResultTopics("a/b")
    one, several = discovery_messages("ha", topics), discovery_messages("ha", topics, targets=True)
    (topic,) = several.keys() - one.keys()
    assert {topic: several[topic], **one} == several
    assert topic == "ha/sensor/a_b_targets/config"
    assert several[topic]["value_template"] == "{{ value_json.targets | length }}"


@needs_mosquitto
@pytest.mark.parametrize(("words", "pictures"), [([], 2), (["--no-mqtt-pictures"], 0)], ids=["on", "off"])
def test_the_command_says_that_no_target_is_there_where_misses_are_skipped(
    broker: Broker,
    tmp_path: Path,
    listen: Callable[[Broker], Listener],
    words: list[str],
    pictures: int,
) -> None:
    listener = listen(broker)
    sample = cv2.imread(str(DEMO_IMAGE))
    for name, image in (("a", sample), ("b", np.zeros_like(sample)), ("c", sample)):
        cv2.imwrite(str(tmp_path / f"{name}.png"), image)
    url = f"mqtt://127.0.0.1:{broker.port}/pi"
    options = ["--image", str(tmp_path), "--model", "fast", "--on-miss", "skip", "--min-score", "0.5", "--mqtt", url]
    assert main([*options, *words]) == 0
    wait_for("the last status", lambda: "offline" in listener.of("pi/status"))
    assert listener.of("pi/present") == ["ON", "OFF", "ON"]
    assert len(list(filter(None, listener.of("pi/rectified")))) == pictures
    announced = [topic.split("/")[1] for topic, text, _ in listener.messages if topic.endswith("/config") and text]
    assert ("image" in announced) == bool(pictures)
