"""What is installed is what lies in the folders."""

from __future__ import annotations

import configparser
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SETUP = configparser.ConfigParser()
SETUP.read(ROOT / "setup.cfg")


def test_every_package_folder_is_listed():
    folders = {
        ".".join(("stn_rectify", *init.parent.relative_to(ROOT).parts))
        for top in ("runtime", "models", "converters")
        for init in (ROOT / top).rglob("__init__.py")
    }
    assert set(SETUP["options"]["packages"].split()) == folders
    mapped = dict(line.split(" = ") for line in SETUP["options"]["package_dir"].strip().splitlines())
    assert mapped == {name: name.removeprefix("stn_rectify.").replace(".", "/") for name in folders}


@pytest.mark.parametrize("command", ["stn-rectify", "stn-train", "stn-convert"])
def test_the_commands_are_installed(command):
    script = Path(sys.executable).with_name(command)
    help_ = subprocess.run([script, "--help"], capture_output=True, text=True, check=True).stdout
    assert command in help_


@pytest.mark.parametrize("package", ["runtime", "models", "converters"])
def test_importing_a_package_does_no_work(package):
    """No TensorFlow, no Keras, no interpreter: only their first use loads them."""
    code = f"""
import sys, stn_rectify.{package}
heavy = {{"tensorflow", "keras", "tflite_runtime", "ai_edge_litert", "matplotlib", "tqdm"}} & set(sys.modules)
sys.exit(", ".join(sorted(heavy)) or 0)
"""
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "PYTHONPATH": ""})


def test_the_converters_names_are_handed_on_when_they_are_used():
    import stn_rectify.converters as converters

    assert all(callable(getattr(converters, name)) for name in converters.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'missing'"):
        converters.missing  # noqa: B018


def test_nothing_points_outside_the_project():
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    if tracked.returncode:
        pytest.skip("not a git checkout")
    for name in filter(None, tracked.stdout.split("\0")):
        file = ROOT / name
        if file.suffix in {".py", ".md", ".cfg", ".toml", ".sh", ".service", ".conf"} and file.is_file():
            assert "../" + "shared" not in file.read_text(encoding="utf-8"), name
