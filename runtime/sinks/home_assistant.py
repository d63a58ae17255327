"""The messages that tell Home Assistant to show results that come by MQTT.

https://www.home-assistant.io/integrations/mqtt/#mqtt-discovery: one retained message per entity, whose topic ends with
``/config``. The sensors read the JSON line of a result; whether a target is there, and its picture, have topics of
their own.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from stn_rectify.runtime.process.installation import installed_version

#: The payloads of the binary sensor, Home Assistant's own.
PRESENT, ABSENT = "ON", "OFF"


@dataclass(frozen=True)
class ResultTopics:
    """The topics of one run.

    Attributes:
        base: all others lie below it; it names the device.
    """

    base: str

    @property
    def result(self) -> str:
        """The JSON lines of results."""
        return f"{self.base}/result"

    @property
    def present(self) -> str:
        """``ON`` while a target is there, else ``OFF``."""
        return f"{self.base}/present"

    @property
    def picture(self) -> str:
        """The rectified picture, a JPEG file."""
        return f"{self.base}/rectified"

    @property
    def status(self) -> str:
        """``online`` or ``offline``."""
        return f"{self.base}/status"


# Name, key of the JSON line, and what else Home Assistant shall know.
_SENSORS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("Label", "label", {"icon": "mdi:label-outline"}),
    ("Label score", "label_score", {"icon": "mdi:gauge", "state_class": "measurement"}),
    ("Targets", "targets", {"icon": "mdi:counter", "state_class": "measurement"}),
    ("Target score", "score", {"icon": "mdi:target", "state_class": "measurement"}),
    (
        "Latency",
        "latency_ms",
        {
            "device_class": "duration",
            "unit_of_measurement": "ms",
            "state_class": "measurement",
            "entity_category": "diagnostic",
        },
    ),
)

# Values that are not those of the JSON line: a state of Home Assistant has 255 characters at most.
_VALUES = {
    "label": "value_json.label[:250] if value_json.label is string else value_json.label",
    "targets": "value_json.targets | length",
}
# Home Assistant keeps attributes up to 16 KiB in its history: what each frame changes, or may be long, stays out.
_ATTRIBUTES = (
    "{{ dict(value_json.items() | rejectattr(0, 'in', ['frame', 'latency_ms', 'targets', 'labels'])) | tojson }}"
)


def discovery_messages(
    prefix: str, topics: ResultTopics, *, labels: bool = True, targets: bool = False, pictures: bool = True
) -> dict[str, dict[str, Any]]:
    """The messages to retain: topic → values of its JSON.

    Args:
        prefix: where Home Assistant looks, ``homeassistant`` unless it was told otherwise.
        topics: where results go.
        labels: whether results have labels.
        targets: whether they have a list of targets, whose number is shown.
        pictures: whether rectified pictures are sent.
    """
    messages = dict([_entity(prefix, topics, "binary_sensor", "present", "Target present", _presence(topics))])
    if pictures:
        more = {"image_topic": topics.picture, "content_type": "image/jpeg", **_attributes(topics)}
        messages |= [_entity(prefix, topics, "image", "rectified", "Rectified picture", more)]
    for name, key, more in _SENSORS:
        if key.startswith("label") and not labels:
            continue
        if key == "targets" and not targets:
            continue
        # What is not known is none: Home Assistant then shows "unknown".
        template = f"{{{{ {_VALUES.get(key, f'value_json.{key}')} }}}}"
        values = {"state_topic": topics.result, "value_template": template, **more}
        messages |= [_entity(prefix, topics, "sensor", key, name, values)]
    return messages


def entity_topics(prefix: str, topics: ResultTopics) -> list[str]:
    """The topics of all messages that there may be: an earlier run may have told of what this one does not have."""
    return list(discovery_messages(prefix, topics, labels=True, targets=True, pictures=True))


def object_id(topic: str) -> str:
    """The topic in the characters that Home Assistant's ids may have."""
    return re.sub(r"[^a-zA-Z0-9_-]", "_", topic)


def _entity(
    prefix: str, topics: ResultTopics, component: str, key: str, name: str, more: dict[str, Any]
) -> tuple[str, dict[str, Any]]:
    """Topic and values of one entity."""
    device_id, version = object_id(topics.base), installed_version()
    unique_id = f"{device_id}_{key}"
    device = {
        "identifiers": [device_id],
        "name": topics.base,
        "manufacturer": "stn-rectify",
        "model": "stn-rectify",
        "sw_version": version,
    }
    values = {
        "name": name,
        "unique_id": unique_id,
        "availability_topic": topics.status,
        "device": device,
        "origin": {"name": "stn-rectify", "sw_version": version},
        **more,
    }
    return f"{prefix}/{component}/{unique_id}/config", values


def _presence(topics: ResultTopics) -> dict[str, Any]:
    return {
        "state_topic": topics.present,
        "payload_on": PRESENT,
        "payload_off": ABSENT,
        "device_class": "occupancy",
        **_attributes(topics),
    }


def _attributes(topics: ResultTopics) -> dict[str, Any]:
    return {"json_attributes_topic": topics.result, "json_attributes_template": _ATTRIBUTES}
