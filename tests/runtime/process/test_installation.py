"""The command that an error names installs into the interpreter that runs, from where the package came."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from stn_rectify.runtime.process import installation
from stn_rectify.runtime.process.installation import install_command, pip_command

ROOT = Path(__file__).parents[3]


class _Installed:
    """A distribution of which pip knows these things."""

    def __init__(self, direct_url: dict[str, Any] | None) -> None:
        self._direct_url = direct_url

    def read_text(self, name: str) -> str | None:
        return json.dumps(self._direct_url) if name == "direct_url.json" and self._direct_url else None


def words_for(direct_url: dict[str, Any] | None, monkeypatch: pytest.MonkeyPatch, *extras: str) -> list[str]:
    """What follows ``pip install`` where the package lies in site-packages and came from there."""
    monkeypatch.setattr(installation, "_CHECKOUT", Path("/usr/lib/python3/site-packages"))
    monkeypatch.setattr(metadata, "distribution", lambda name: _Installed(direct_url))
    monkeypatch.setattr(
        metadata,
        "requires",
        lambda name: [
            "msgspec>=0.18",
            'aiohttp<4,>=3.10; extra == "web"',
            'tensorflow==2.19.1; (python_version < "3.13" and platform_machine == "x86_64") and extra == "train"',
        ],
    )
    command = shlex.split(install_command(*extras))
    assert command[:4] == [sys.executable, "-m", "pip", "install"]
    return command[4:]


def test_a_checkout_is_installed_as_it_is_editable() -> None:
    assert shlex.split(install_command("web", "mqtt")) == [
        *(sys.executable, "-m", "pip", "install", "-e"),
        f"{ROOT}[web,mqtt]",
    ]


def test_the_command_for_a_checkout_is_one_that_pip_takes() -> None:
    """Without the network: pip reads the package's own metadata, and nothing else is wanted."""
    command = f"{install_command()} --dry-run --no-deps --no-build-isolation --no-index --quiet"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, cwd="/", check=False)
    assert done.returncode == 0, done.stderr


def test_from_an_index_it_is_the_name(monkeypatch: pytest.MonkeyPatch) -> None:
    assert words_for(None, monkeypatch, "web") == ["stn-rectify[web]"]


def test_from_a_folder_or_wheel_it_is_that(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder = tmp_path / "a checkout"
    folder.mkdir()
    shutil.copy(ROOT / "setup.cfg", folder)
    assert words_for({"url": folder.as_uri(), "dir_info": {}}, monkeypatch, "web") == [f"{folder}[web]"]
    wheel = tmp_path / "stn_rectify-0.1.0-py3-none-any.whl"
    wheel.touch()
    assert words_for({"url": wheel.as_uri(), "archive_info": {}}, monkeypatch, "web") == [f"{wheel}[web]"]


def test_from_a_repository_it_is_its_address(monkeypatch: pytest.MonkeyPatch) -> None:
    info = {"url": "https://example.org/stn.git", "vcs_info": {"vcs": "git", "commit_id": "0" * 40}}
    assert words_for(info, monkeypatch, "web") == ["stn-rectify[web] @ git+https://example.org/stn.git"]


def test_where_the_folder_is_gone_it_is_what_the_extra_wants(monkeypatch: pytest.MonkeyPatch) -> None:
    gone = {"url": "file:///tmp/gone", "dir_info": {}}
    assert words_for(gone, monkeypatch, "web") == ["aiohttp<4,>=3.10"]
    assert words_for(gone, monkeypatch, "train") == [
        'tensorflow==2.19.1; (python_version < "3.13" and platform_machine == "x86_64")'
    ]


def test_an_environment_without_pip_is_uvs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installation.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(shutil, "which", lambda name: "/usr/bin/uv")
    assert pip_command("install", "numpy<2") == f"uv pip install --python {shlex.quote(sys.executable)} 'numpy<2'"
