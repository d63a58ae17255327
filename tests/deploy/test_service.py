"""The unit and its configuration fit the command line, the installer, and systemd."""

from __future__ import annotations

import inspect
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from stn_rectify.runtime import CameraSource, PiCameraSource, VideoSource
from stn_rectify.runtime.command import cli
from stn_rectify.runtime.command.options.run_options import make_parser, parse_options
from stn_rectify.runtime.process.hard_end import LIMIT_S

DEPLOY = Path(__file__).parents[2] / "deploy"
SERVICE = DEPLOY / "stn-rectify.service"
CONF = DEPLOY / "stn-rectify.conf"
_MOVED_MIB = 512


def _settings() -> dict[str, str]:
    return dict(re.findall(r"^(\w+)=(.*)$", SERVICE.read_text(), re.MULTILINE))


def _options() -> list[str]:
    """What systemd makes of $OPTIONS; the file is one that a shell reads, too."""
    script = f'. {shlex.quote(str(CONF))}; printf %s "$OPTIONS"'
    return shlex.split(subprocess.check_output(["sh", "-c", script], text=True))


def test_the_configured_options_are_the_commands() -> None:
    options = parse_options(_options())
    assert options.source.camera == "auto"
    assert options.results.jsonl is not None
    assert Path(options.results.jsonl).parent == Path("/var/lib") / _settings()["StateDirectory"]


def test_the_configuration_explains_only_options_that_exist() -> None:
    comments = "".join(line for line in CONF.read_text().splitlines(True) if line.startswith("#"))
    known = set(re.findall(r"--[a-z][a-z-]*", make_parser().format_usage())) | {"--help"}
    assert set(re.findall(r"--[a-z]+[a-z-]*", comments)) <= known


def test_wrong_options_are_not_tried_again() -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["--nonsense"])
    assert str(ended.value.code) == _settings()["RestartPreventExitStatus"]


def test_a_start_moves_a_large_results_file_away_and_keeps_the_others(tmp_path: Path) -> None:
    sizes = {"results.jsonl": 4096, "results.jsonl.1": 4000, "small.jsonl": 100, "own.tflite": 5000}
    for name, size in sizes.items():
        (tmp_path / name).write_bytes(b"\0" * size)
    command = shlex.split(_settings()["ExecStartPre"].replace(f"+{_MOVED_MIB}M", "+2k"))
    assert "+2k" in command
    subprocess.run(command, cwd=tmp_path, check=True)
    sizes["results.jsonl.1"] = sizes.pop("results.jsonl")
    assert {path.name: path.stat().st_size for path in tmp_path.iterdir()} == sizes


def test_a_file_at_its_size_limit_is_one_that_a_start_moves_away() -> None:
    settings = _settings()
    assert (settings["LimitFSIZE"], f" -size +{_MOVED_MIB}M " in settings["ExecStartPre"]) == ("1G", True)
    assert settings["WorkingDirectory"] == f"/var/lib/{settings['StateDirectory']}"
    assert any(Path(option).match("*.jsonl") for option in _options())


def test_systemd_takes_the_unit_without_a_warning(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd-analyze here")
    # systemd wants to see the program, which is on the device only.
    program, unit = tmp_path / "stn-rectify", tmp_path / SERVICE.name
    program.touch(mode=0o755)
    unit.write_text(SERVICE.read_text().replace("ExecStart=/opt/stn-rectify/bin/stn-rectify ", f"ExecStart={program} "))
    assert str(program) in unit.read_text()
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", unit], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


# What the template has of its own; all else is the service's.
_OF_INSTANCE = {
    "Description=Make what the camera sees upright (stn-rectify)": (
        "Description=Make what the camera %i sees upright (stn-rectify)"
    ),
    "EnvironmentFile=/etc/stn-rectify/stn-rectify.conf": "EnvironmentFile=/etc/stn-rectify/%i.conf",
    "EnvironmentFile=-/etc/stn-rectify/secrets": (
        "EnvironmentFile=-/etc/stn-rectify/secrets\nEnvironmentFile=-/etc/stn-rectify/%i.secrets"
    ),
    "StateDirectory=stn-rectify": "StateDirectory=stn-rectify/%i",
    "WorkingDirectory=/var/lib/stn-rectify": "WorkingDirectory=/var/lib/stn-rectify/%i",
}


def _without_comments(unit: Path) -> list[str]:
    return [line for line in unit.read_text().splitlines() if line and not line.startswith("#")]


def test_the_template_is_the_service_for_each_of_several_cameras() -> None:
    wanted = "\n".join(_OF_INSTANCE.get(line, line) for line in _without_comments(SERVICE))
    assert "\n".join(_without_comments(DEPLOY / "stn-rectify@.service")) == wanted


@pytest.mark.parametrize("unit", [SERVICE, DEPLOY / "stn-rectify@.service"], ids=lambda unit: unit.name)
def test_little_is_left_open(unit: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd-analyze here")
    command = ["systemd-analyze", "security", "--offline=true", "--no-pager", str(unit)]
    said = subprocess.run(command, capture_output=True, text=True, timeout=60).stdout
    (exposure,) = re.findall(r"exposure level for \S+: ([0-9.]+)", said)
    assert float(exposure) <= 1.5


def test_the_end_of_a_run_comes_before_systemd_loses_its_patience() -> None:
    assert float(_settings()["TimeoutStopSec"]) > LIMIT_S


def test_a_silent_source_is_noticed_before_the_watchdog_bites() -> None:
    """Until then it is not known to be away, and gives no sign of life."""
    slowest_s = max(
        inspect.signature(source).parameters["timeout_s"].default
        for source in (CameraSource, PiCameraSource, VideoSource)
    )
    assert float(_settings()["WatchdogSec"]) >= 4 * slowest_s


@pytest.mark.parametrize(
    "script",
    [
        "deploy/install.sh",
        "deploy/installer/environment.sh",
        "deploy/installer/versions.sh",
        "deploy/virtual-pi/checks/camera_faults.sh",
        "deploy/virtual-pi/checks/installation.sh",
        "deploy/virtual-pi/checks/targets.sh",
        "deploy/virtual-pi/guest/early-init",
        "deploy/virtual-pi/guest/plain-init",
        "deploy/virtual-pi/guest/run-command",
        "deploy/virtual-pi/guest/write-until-killed",
        "tests/deploy/virtual_camera_test.sh",
    ],
)
def test_scripts_are_sound(script: str) -> None:
    path = DEPLOY.parent / script
    subprocess.run(["sh", "-n", path], check=True)
    if shutil.which("shellcheck"):
        subprocess.run(["shellcheck", "-x", path], check=True)
