"""The messages that tell Home Assistant to show results that come by MQTT.

https://www.home-assistant.io/integrations/mqtt/#mqtt-discovery: one retained message per sensor, whose topic ends with
``/config``. All sensors read the same JSON line.
"""

from __future__ import annotations

import re
from typing import Any

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


def discovery_messages(
    prefix: str, topic: str, result_topic: str, status_topic: str, *, labels: bool = True, targets: bool = False
) -> dict[str, dict[str, Any]]:
    """The messages to retain: topic → values of its JSON.

    Args:
        prefix: where Home Assistant looks, ``homeassistant`` unless it was told otherwise.
        topic: names the device.
        result_topic: where the JSON lines of results go.
        status_topic: where ``online`` and ``offline`` go.
        labels: whether results have labels.
        targets: whether they have a list of targets, whose number is shown.
    """
    device_id = object_id(topic)
    device = {"identifiers": [device_id], "name": topic, "manufacturer": "stn-rectify", "model": "stn-rectify"}
    messages = {}
    for name, key, more in _SENSORS:
        if key.startswith("label") and not labels:
            continue
        if key == "targets" and not targets:
            continue
        unique_id = f"{device_id}_{key}"
        messages[f"{prefix}/sensor/{unique_id}/config"] = {
            "name": name,
            "unique_id": unique_id,
            "state_topic": result_topic,
            # What is not known is none: Home Assistant then shows "unknown".
            "value_template": f"{{{{ {_VALUES.get(key, f'value_json.{key}')} }}}}",
            "availability_topic": status_topic,
            "device": device,
            "origin": {"name": "stn-rectify"},
            **more,
        }
    return messages


def object_id(topic: str) -> str:
    """The topic in the characters that Home Assistant's ids may have."""
    return re.sub(r"[^a-zA-Z0-9_-]", "_", topic)
