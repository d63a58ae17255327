"""The commands that add something to this very installation: its interpreter, and where the package came from."""

from __future__ import annotations

import importlib.util
import json
import re
import shlex
import shutil
import sys
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

_NAME = "stn-rectify"
_CHECKOUT = Path(__file__).resolve().parents[2]
_OF_EXTRA = re.compile(r"""(?:\band\s+)?\bextra\s*==\s*['"]([^'"]+)['"]""")


def pip_command(*words: str) -> str:
    """A command line of pip for the interpreter that runs, such as ``/opt/venv/bin/python -m pip install numpy``.

    Args:
        words: what follows ``pip``. They are quoted where a shell needs it.
    """
    if importlib.util.find_spec("pip") is None and shutil.which("uv"):  # an environment that uv has made
        return shlex.join(["uv", "pip", words[0], "--python", sys.executable, *words[1:]])
    return shlex.join([sys.executable, "-m", "pip", *words])


def install_command(*extras: str, again: bool = False) -> str:
    """A command line that installs what extras of this package need, from where the package itself came.

    That is the checkout that runs, editable; a folder, a wheel or a repository that pip was given; or the index. Where
    the folder or wheel is there no more, the command names the packages that the extras want.

    Args:
        extras: such as ``"web"``.
        again: whether the package is installed anew, though it is there.
    """
    force = ("--force-reinstall", "--no-deps") if again else ()
    return pip_command("install", *force, *_origin(extras))


def installed_version() -> str:
    """The version of this package, such as ``0.1.0``; ``(not installed)`` of a checkout that nobody has installed."""
    try:
        return metadata.version(_NAME)
    except metadata.PackageNotFoundError:
        return "(not installed)"


def _origin(extras: Sequence[str]) -> Sequence[str]:
    """The words after ``pip install`` that name the package with its extras, or the packages that those want."""
    named = f"[{','.join(extras)}]" if extras else ""
    if _is_checkout(_CHECKOUT):
        return "-e", f"{_CHECKOUT}{named}"
    url, info = _direct_url()
    if url is None:  # from an index
        return (f"{_NAME}{named}",)
    if "vcs_info" in info:
        return (f"{_NAME}{named} @ {info['vcs_info'].get('vcs', 'git')}+{url}",)
    parts = urlsplit(url)
    if parts.scheme != "file":
        return (f"{_NAME}{named} @ {url}",)
    path = Path(unquote(parts.path))
    if path.is_file() or _is_checkout(path):
        return (f"{path}{named}",)
    return [needed for extra in extras for needed in _requirements(extra)] or (f"{_NAME}{named}",)


def _direct_url() -> tuple[str | None, dict[str, Any]]:
    """What pip wrote of where the package came from (PEP 610): nothing if that was an index."""
    try:
        text = metadata.distribution(_NAME).read_text("direct_url.json")
        info = json.loads(text) if text else {}
    except (metadata.PackageNotFoundError, ValueError):
        info = {}
    return info.get("url"), info


def _requirements(extra: str) -> list[str]:
    """The packages that an extra wants, each with its conditions but for that of the extra."""
    try:
        requirements = metadata.requires(_NAME) or []
    except metadata.PackageNotFoundError:
        return []
    found = []
    for requirement in requirements:
        wanted, _, marker = requirement.partition(";")
        if extra in _OF_EXTRA.findall(marker):
            condition = _OF_EXTRA.sub("", marker).strip()
            found.append(f"{wanted.strip()}; {condition}" if condition else wanted.strip())
    return found


def _is_checkout(folder: Path) -> bool:
    """Tells whether pip can install the package from a folder."""
    try:
        return f"name = {_NAME}" in (folder / "setup.cfg").read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return False
