"""A root that nobody can write to: a run wants its own folder, and nothing else of the file system."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from stn_rectify.runtime.sources.by_name import DEMO_IMAGE
from tests.waiting import DEADLINE_S

DEPLOY = Path(__file__).parents[2] / "deploy"
COMMAND = [sys.executable, "-m", "stn_rectify.runtime.command.cli"]
# All that is mounted, but what the kernel makes up; the one folder is mounted anew over it, so that it can be written.
# Without capabilities root is a user like others, who cannot undo it, and may still read a checkout of root's own.
READ_ONLY = """
set -e
mount --make-rprivate /
mount --bind "$1" "$1"
while read -r _ place kind _; do
    case $kind:$(printf %b "$place") in
        proc:* | sysfs:* | devpts:* | cgroup*:* | *:/dev | *:/proc/* | *:/sys/* | *:"$1") ;;
        *) mount -o remount,bind,ro "$(printf %b "$place")" ;;
    esac
done < /proc/self/mounts
cd "$1"
shift
exec setpriv --no-new-privs --inh-caps=-all --bounding-set=-all "$@"
"""

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What StateDirectory= and CacheDirectory= of the service are."""
    path = tmp_path / "state"
    path.mkdir()
    return path


@pytest.fixture
def start(folder: Path) -> Start:
    """Starts a command there; skips where no such place can be made."""
    unshare = shutil.which("unshare")
    made = [unshare, "-m", "mount", "--make-rprivate", "/"]
    if unshare is None or os.geteuid() != 0 or subprocess.run(made, capture_output=True, check=False).returncode:
        pytest.skip("only root can make a mount namespace (unshare -m), and not in every container")

    def run(*command: object) -> subprocess.Popen[str]:
        words = [unshare, "-m", "sh", "-c", READ_ONLY, "sh", folder, *command]
        environment = {**os.environ, "XDG_CACHE_HOME": str(folder / "cache"), "HOME": str(folder)}
        pipe = subprocess.PIPE
        return subprocess.Popen([str(word) for word in words], stdout=pipe, stderr=pipe, text=True, env=environment)

    return run


def test_the_root_is_read_only_here(start: Start, folder: Path) -> None:
    """Or the tests below would show nothing."""
    places = ("/", "/tmp", "/var", "/var/tmp", folder.parent, Path(sys.executable).parent, ".")
    probe = 'for place in "$@"; do touch "$place/probe" && echo "$place"; done'
    said, _ = start("sh", "-c", probe, "sh", *places).communicate(timeout=DEADLINE_S)
    assert said == ".\n"


def test_all_that_a_run_writes_it_writes_into_its_folder(start: Start, folder: Path) -> None:
    words = ("--model", "fast", "--save", "out", "--jsonl", "r.jsonl", "--output", "r.mkv", DEMO_IMAGE, DEMO_IMAGE)
    running = start(*COMMAND, *words)
    _, said = running.communicate(timeout=DEADLINE_S)
    assert running.returncode == 0, said
    assert len([json.loads(line) for line in (folder / "r.jsonl").read_text().splitlines()]) == 2
    assert (folder / "r.mkv").stat().st_size > 0
    assert {path.suffix for path in (folder / "out").iterdir()} == {".jpg", ".png"}
    assert "Read-only" not in said


def test_a_folder_that_is_read_only_too_is_one_line(start: Start) -> None:
    running = start(*COMMAND, "--model", "fast", "--jsonl", "/var/tmp/r.jsonl", DEMO_IMAGE)
    _, said = running.communicate(timeout=DEADLINE_S)
    assert running.returncode == 1
    lines = [line for line in said.splitlines() if line.startswith("stn-rectify: error: ")]
    assert len(lines) == 1, said
    assert "Read-only file system" in lines[0]


def test_without_a_place_for_its_cache_it_runs_all_the_same(start: Start, folder: Path) -> None:
    model = folder / "own.tflite"
    shutil.copy(DEMO_IMAGE.parent / "fast.tflite", model)  # one of the user's own is tried once, and that is remembered
    (folder / "cache").mkdir(mode=0o500)
    for _ in range(2):
        running = start(*COMMAND, "--model", "own.tflite", DEMO_IMAGE)
        _, said = running.communicate(timeout=DEADLINE_S)
        assert (running.returncode, "corners" in said) == (0, True), said


def test_a_signal_ends_it_with_all_files_whole(start: Start, folder: Path) -> None:
    pytest.importorskip("aiohttp", reason="the extra web is not installed")
    running = start(*COMMAND, "--model", "fast", "--save", "out", "--serve", "0", DEMO_IMAGE)
    assert running.stderr is not None
    said = ""
    while "all frames are done" not in (line := running.stderr.readline()):
        assert line, said
        said += line
    running.send_signal(signal.SIGTERM)
    running.communicate(timeout=DEADLINE_S)
    assert running.returncode == 0
    assert sorted(path.suffix for path in (folder / "out").iterdir()) == [".jpg", ".png"]


def test_the_lines_of_fstab_are_the_folders_of_the_unit() -> None:
    unit = (DEPLOY / "stn-rectify.service").read_text(encoding="utf-8")
    settings = dict(line.split("=", 1) for line in unit.splitlines() if "=" in line and not line.startswith("#"))
    lines = (DEPLOY / "read-only-root" / "fstab").read_text(encoding="utf-8").splitlines()
    mounted = {fields[1]: fields for line in lines if not line.startswith("#") for fields in [line.split()]}
    assert all(len(fields) == 6 for fields in mounted.values())
    state, cache = f"/var/lib/{settings['StateDirectory']}", f"/var/cache/{settings['CacheDirectory']}"
    assert {state, cache} <= set(mounted)
    assert mounted[state][2] != "tmpfs"
