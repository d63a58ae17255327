"""A whole machine: the service as it is installed, a camera that fails, power cuts."""

from __future__ import annotations

import json
import re

import pytest

from tests.deploy.virtual_pi.conftest import VirtualPi

pytestmark = [pytest.mark.virtual_pi, pytest.mark.slow]


def test_a_camera_is_seen_without_systemd(virtual_pi: VirtualPi) -> None:
    """By this checkout: the program in the image is as old as its setup."""
    line = (
        "modprobe vivid n_devs=1 node_types=0x1; sleep 1; export PYTHONPATH=/mnt/checkout/.typecheck; "
        "stn-rectify --camera 0 --frames 3 --model fast --jsonl - && "
        "/opt/stn-rectify/bin/python -c 'import stn_rectify.runtime; print(stn_rectify.runtime.__file__)' >&2"
    )
    done = virtual_pi("vm", line, timeout=600)
    results = [json.loads(text) for text in done.stdout.splitlines()]
    assert len(results) == 3
    assert "640x480 YUYV" in done.stderr
    assert "/mnt/checkout/" in done.stderr


def test_the_status_of_a_command_comes_back(virtual_pi: VirtualPi) -> None:
    with pytest.raises(AssertionError, match="status 7"):
        virtual_pi("vm", "exit 7")


@pytest.mark.long
def test_the_service_outlives_every_fault_of_its_camera(virtual_pi: VirtualPi) -> None:
    done = virtual_pi("camera-faults", "--limit", "1500", timeout=1600)
    rows = [text for text in done.stdout.splitlines() if text.startswith("| ")]
    assert len(rows) == 2 + 16  # with the table's head
    assert not re.search("FAILED", done.stdout)


@pytest.mark.long
def test_an_empty_card_gets_the_service_an_upgrade_and_the_version_before(virtual_pi: VirtualPi) -> None:
    done = virtual_pi("installation", "--limit", "3000", timeout=3100)
    assert done.stdout.endswith("PASS\n")
    assert "went back from 0.1.1 to 0.1.0" in done.stdout


@pytest.mark.long
def test_power_cuts_leave_no_half_file(virtual_pi: VirtualPi) -> None:
    done = virtual_pi("power-cuts", "--count", "5", timeout=1600)
    assert "5 power cuts" in done.stdout
