"""deploy/requirements.txt: what the installer takes, by hash; and what of it a device gets."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
REQUIREMENTS = (ROOT / "deploy" / "requirements.txt").read_text(encoding="utf-8")
_BUILDERS = ("pip", "setuptools")


@pytest.fixture(scope="module")
def download_wheels() -> ModuleType:
    spec = importlib.util.spec_from_file_location("download_wheels", ROOT / "deploy" / "download_wheels.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _pins(text: str) -> set[str]:
    """Names and versions. The markers of a package that more extras need say the same of CPython in more words."""
    return set(re.findall(r"^[a-z][\w.-]*==[\w.]+", text, re.MULTILINE))


def test_its_pins_are_those_of_the_tests() -> None:
    pins = {pin for pin in _pins(REQUIREMENTS) if pin.split("==")[0] not in _BUILDERS}
    assert len(pins) > 20
    assert pins <= _pins((ROOT / "constraints.txt").read_text(encoding="utf-8"))


@pytest.mark.parametrize("machine", ["aarch64", "x86_64"])
@pytest.mark.parametrize(
    ("python", "there", "missing"),
    [
        ("3.10", ("numpy==1.26.4", "tflite-runtime", "tomli"), ("numpy==2",)),
        ("3.11", ("numpy==1.26.4", "tflite-runtime"), ("numpy==2", "tomli")),
        ("3.13", ("numpy==2", "ai-edge-litert"), ("numpy==1", "tflite-runtime", "tomli")),
    ],
)
def test_a_device_gets_what_its_python_needs_whatever_runs_here(
    python: str, machine: str, there: tuple[str, ...], missing: tuple[str, ...], download_wheels: ModuleType
) -> None:
    lines = list(download_wheels.requirements(REQUIREMENTS, python, machine))
    for wanted in (*there, "opencv-python-headless==", "msgspec==", "pillow==", "aiohttp==", "paho-mqtt==", "pip=="):
        assert sum(line.startswith(wanted) for line in lines) == 1, wanted
    assert not [line for line in lines if line.startswith(missing)]
    assert all(re.fullmatch(r"[\w.-]+==\S+( --hash=sha256:[0-9a-f]{64})+", line) for line in lines)
