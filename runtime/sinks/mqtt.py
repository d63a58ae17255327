"""Results to an MQTT broker."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from stn_rectify.runtime.checks import check_flag, check_instance, check_real, check_text
from stn_rectify.runtime.errors import StnRectifyError, UsageError
from stn_rectify.runtime.files import is_text
from stn_rectify.runtime.images.encoding import preview_jpeg
from stn_rectify.runtime.process.installation import install_command
from stn_rectify.runtime.results import MissRule, Rectification
from stn_rectify.runtime.sinks.home_assistant import (
    ABSENT,
    PRESENT,
    ResultTopics,
    discovery_messages,
    entity_topics,
    object_id,
)
from stn_rectify.runtime.sinks.jsonl import result_values
from stn_rectify.runtime.sinks.mqtt_address import MqttAddress
from stn_rectify.runtime.sinks.pace import Pace, seconds_of
from stn_rectify.runtime.sinks.result_sink import ResultSink
from stn_rectify.runtime.sources import CapturedFrame

_KEEPALIVE_S = 30  # a broker takes us for dead after one and a half of it
_LONGEST_DELAY_S = 60  # between attempts to connect
_FIRST_ANSWER_S = 3.0
_CLOSE_S, _HURRY_S, _POLL_S = 5.0, 1.0, 0.1
# Two clients of one name throw each other out for ever, each a moment after it has come.
_STEADY_S = 10.0
_SHORT_CONNECTIONS = 3  # in a row: one or two may also be the broker's restarts
_MOST_WAITING = 100  # messages that the network has not taken yet
_ABSENT_S = 1.0  # a target that is missed in a few frames is still there
_PICTURE_PX = 960  # of a picture's longer side


class MqttSink(ResultSink):
    """Publishes results, and whether we are there; connects again by itself, in a thread of its own.

    Below the address's topic: ``result`` has the JSON line of a result; ``present`` is ``ON`` while a target is there
    and ``OFF`` when none has been found for a second, or for ``interval_s`` if that is shorter; ``rectified`` is the
    picture of the target, a JPEG of at most 960 pixels; ``status`` is ``online`` or ``offline``. All but results are
    retained, and ``offline`` is also the broker's last word on us if we vanish. Without a connection, or where the
    broker does not keep up, results are left out; nothing ever waits for it.

    Args:
        address: broker and topic.
        interval_s: seconds between two results; one with other labels than the last is sent at once, and so is one
            with more or fewer targets, and the first one with a target.
        picture_interval_s: seconds between two pictures of the same target; one with other labels follows after
            ``interval_s``, the first one of a target comes at once. Frames without a target have none. None sends none.
        discovery_prefix: where Home Assistant looks for devices; None announces nothing.
        labels: whether results have labels, which Home Assistant is told.
        targets: whether `write_targets` sends the key ``targets``; Home Assistant is told of their number.
        report: called with lines for people about the connection, from the thread as well.
        is_stopped: tells whether the run was asked to end soon, which it then does; None: it is not.

    Raises:
        StnRectifyError: if paho-mqtt 2 is not installed.
        UsageError: if an argument is of the wrong type, or ``discovery_prefix`` is not Unicode text.

    Attributes:
        unsent: results left out for want of a connection.
    """

    def __init__(
        self,
        address: MqttAddress,
        *,
        interval_s: float = 1.0,
        picture_interval_s: float | None = None,
        discovery_prefix: str | None = "homeassistant",
        labels: bool = True,
        targets: bool = False,
        report: Callable[[str], None] | None = None,
        is_stopped: Callable[[], bool] | None = None,
    ) -> None:
        check_instance("address", address, MqttAddress, "an MqttAddress: MqttAddress.parse makes one of a URL")
        labels, targets = check_flag("labels", labels), check_flag("targets", targets)
        try:
            from paho.mqtt.client import Client
            from paho.mqtt.enums import CallbackAPIVersion
        except ImportError as error:  # also of version 1, which has no enums
            raise StnRectifyError(f"MQTT needs paho-mqtt 2: {install_command('mqtt')}") from error
        if discovery_prefix is not None and not is_text(check_text("discovery_prefix", discovery_prefix)):
            raise UsageError(f"discovery_prefix (--mqtt-discovery) is {discovery_prefix!r}: must be Unicode text")
        if picture_interval_s is not None:
            wanted = "a number of seconds from 0, or None"
            picture_interval_s = check_real("picture_interval_s", picture_interval_s, wanted, least=0)
        self._address, self._pace, self._report = address, Pace(interval_s=interval_s), report or (lambda line: None)
        self._presence = _Presence(min(interval_s, _ABSENT_S))
        self._pictures = None if picture_interval_s is None else _PicturePace(picture_interval_s, interval_s)
        self._is_stopped = is_stopped or (lambda: False)
        self._topics = ResultTopics(address.topic)
        self._announcements: dict[str, str] = {}  # retained; an empty one removes an earlier run's
        if discovery_prefix is not None:
            has_pictures = picture_interval_s is not None
            told = discovery_messages(
                discovery_prefix, self._topics, labels=labels, targets=targets, pictures=has_pictures
            )
            self._announcements |= dict.fromkeys(entity_topics(discovery_prefix, self._topics), "")
            self._announcements |= {topic: json.dumps(values) for topic, values in told.items()}
        if picture_interval_s is None:
            self._announcements[self._topics.picture] = ""
        self.unsent = 0
        self._name = object_id(address.topic)
        self._has_targets = targets
        self._labels: list[str | None] = [None]
        self._presence_said: bool | None = None
        self._is_online = self._is_closed = False
        self._handed_over = self._taken = 0  # messages: by us to the client, by the network from it
        self._last_line = ""
        self._connected_at = 0.0
        self._short_connections = 0
        self._answered = threading.Event()
        # With the same name after a power cut the broker drops our old connection, and says its last word before we
        # come back, not minutes after it.
        self._client = Client(CallbackAPIVersion.VERSION2, client_id=self._name)
        self._connect()

    def write(self, frame: CapturedFrame, result: Rectification) -> None:
        """Publishes the result if it is its turn. `Rectification.found` tells whether a target is there."""
        self._send(frame, result, [result.label], result_values(frame, result), is_found=result.found)

    def write_targets(
        self, frame: CapturedFrame, result: Rectification, targets: Sequence[Rectification], rule: MissRule
    ) -> None:
        """Publishes the results if it is their turn."""
        labels: list[str | None] = [result.label]
        if self._has_targets:
            labels = sorted((target.label for target in targets), key=lambda label: (label is not None, label))
        values = result_values(frame, result, targets if self._has_targets else None)
        self._send(frame, result, labels, values, is_found=rule.is_found(result))

    def skip(self, frame: CapturedFrame) -> None:
        """Publishes that no target is there any more, if that is so."""
        self._presence.update(frame, is_found=False)
        self._send_presence()

    def _send(
        self,
        frame: CapturedFrame,
        result: Rectification,
        labels: list[str | None],
        values: dict[str, Any],
        *,
        is_found: bool,
    ) -> None:
        has_come = self._presence.update(frame, is_found=is_found)
        self._send_presence()
        is_news = has_come or labels != self._labels
        if self._pace.is_due(frame) or is_news:
            if self._can_send():
                self._labels = labels
                self._publish(self._topics.result, json.dumps(values))
            else:
                self.unsent += 1
        if (
            is_found
            and self._pictures is not None
            and self._can_send()
            and self._pictures.is_due(frame, labels, has_come)
        ):
            self._publish(self._topics.picture, preview_jpeg(result.image, _PICTURE_PX), retain=True)

    def _send_presence(self) -> None:
        """Says it once to each connection, and again when it changes."""
        present = self._presence.is_present
        if present is not None and present != self._presence_said and self._can_send():
            self._presence_said = present
            self._publish(self._topics.present, PRESENT if present else ABSENT, retain=True)

    def _can_send(self) -> bool:
        return self._is_online and self._handed_over - self._taken < _MOST_WAITING

    def _publish(self, topic: str, payload: str | bytes, *, retain: bool = False) -> None:
        self._handed_over += 1
        self._client.publish(topic, payload, retain=retain)

    def close(self) -> None:
        """Says ``offline`` and ends the connection within five seconds, of a stopped run within one.

        So it does even if the network hangs.
        """
        if self._is_closed:
            return
        self._is_closed = True
        self._client.publish(self._topics.status, "offline", retain=True)
        self._client.disconnect()
        ending = threading.Thread(target=self._client.loop_stop, daemon=True)  # it may wait for a name server
        ending.start()
        started = time.monotonic()
        while ending.is_alive() and time.monotonic() - started < (_HURRY_S if self._is_stopped() else _CLOSE_S):
            ending.join(_POLL_S)
        if self.unsent:
            self._say(f"results that were not sent: {self.unsent} (no connection, or the broker did not keep up)")

    def _connect(self) -> None:
        client, address = self._client, self._address
        if address.user is not None:
            client.username_pw_set(address.user, address.password)
        if address.is_encrypted:
            client.tls_set()
        client.will_set(self._topics.status, "offline", qos=1, retain=True)
        client.on_connect, client.on_connect_fail = self._on_connect, self._on_connect_fail
        client.on_disconnect, client.on_publish = self._on_disconnect, self._on_publish
        client.reconnect_delay_set(1, _LONGEST_DELAY_S)
        client.connect_async(address.host, address.port, _KEEPALIVE_S)
        client.loop_start()
        # A run over one image would be over before the broker has answered.
        if not self._answered.wait(_FIRST_ANSWER_S):
            self._say_once(f"no answer from {address.broker}; trying on")

    # What follows runs in the client's thread.

    def _on_connect(self, client: Any, userdata: object, flags: object, reason: Any, properties: object) -> None:
        if reason.is_failure:
            login = "us without a user" if self._address.user is None else f"user {self._address.user!r}"
            self._say_once(f"{self._address.broker} refuses {login} ({reason}): check user and password; trying on")
        elif not self._is_closed:
            self._connected_at = time.monotonic()
            self._say_connected()
            for topic, text in self._announcements.items():
                client.publish(topic, text, retain=True)
            client.publish(self._topics.status, "online", retain=True)
            self._taken = self._handed_over - len(self._announcements) - 1  # `_on_publish` counts these as well
            self._presence_said = None
            self._is_online = True
        self._answered.set()

    def _on_connect_fail(self, client: object, userdata: object) -> None:
        error = sys.exc_info()[1]  # paho calls this as it handles it
        self._short_connections = 0
        reason = getattr(error, "strerror", None) or error or "no connection"
        self._say_once(f"cannot reach {self._address.broker} ({reason}); trying on")
        self._answered.set()

    def _on_disconnect(self, client: object, userdata: object, flags: object, reason: Any, properties: object) -> None:
        was_online, self._is_online = self._is_online, False
        if not was_online or self._is_closed:
            return
        self._short_connections = 0 if self._is_steady() else self._short_connections + 1
        if self._is_thrown_out():
            self._say_once(f"another client uses the name {self._name}: give each run its own topic; trying on")
        else:
            self._say_once(f"lost {self._address.broker}; trying on")

    def _on_publish(self, client: object, userdata: object, number: int, reason: object, properties: object) -> None:
        self._taken += 1
        if self._is_thrown_out() and self._is_steady():  # the other one has gone
            self._short_connections = 0
            self._say_connected()

    def _is_steady(self) -> bool:
        return time.monotonic() - self._connected_at > _STEADY_S

    def _is_thrown_out(self) -> bool:
        return self._short_connections >= _SHORT_CONNECTIONS

    def _say_connected(self) -> None:
        if not self._is_thrown_out():
            self._say_once(f"connected to {self._address.broker}, topic {self._address.topic}")

    def _say_once(self, line: str) -> None:
        """Attempts go on for as long as a broker is away; its reason is said once."""
        if line != self._last_line:
            self._last_line = line
            self._say(line)

    def _say(self, line: str) -> None:
        self._report(f"mqtt: {line}")


class _Presence:
    """Whether a target is there: at once when it is found, no more when it has been missed for a while.

    Args:
        absent_s: so long, seconds.

    Attributes:
        is_present: None before the first frame.
    """

    def __init__(self, absent_s: float) -> None:
        self.is_present: bool | None = None
        self._absent_s = absent_s
        self._found_s = 0.0

    def update(self, frame: CapturedFrame, *, is_found: bool) -> bool:
        """Takes the next frame, and tells whether its target has come: was not there before."""
        now = seconds_of(frame)
        if is_found:
            has_come, self.is_present, self._found_s = not self.is_present, True, now
            return has_come
        if self.is_present is None or not 0 <= now - self._found_s < self._absent_s:  # another video begins at 0 again
            self.is_present = False
        return False


class _PicturePace:
    """Which pictures are sent.

    Args:
        same_s: seconds between two of the same labels.
        news_s: seconds before one with other labels.
    """

    def __init__(self, same_s: float, news_s: float) -> None:
        self._same_s, self._news_s = same_s, min(news_s, same_s)
        self._labels: list[str | None] = []
        self._sent_s: float | None = None

    def is_due(self, frame: CapturedFrame, labels: list[str | None], has_come: bool) -> bool:
        """Tells whether that of a frame with a target is; is called once for each.

        Args:
            frame: the frame.
            labels: of its targets.
            has_come: whether the target was not there before.
        """
        now = seconds_of(frame)
        wait_s = self._same_s if labels == self._labels else self._news_s
        if self._sent_s is not None and not has_come and 0 <= now - self._sent_s < wait_s:
            return False
        self._labels, self._sent_s = labels, now
        return True
