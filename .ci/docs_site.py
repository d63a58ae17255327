"""Hooks of mkdocs: pages outside docs/ belong to the site, other links lead to the repository, pdoc has the API.

A warning of pdoc is one of mkdocs, so `mkdocs build --strict` refuses it. (Not with `--quiet`, which
keeps warnings from being counted as well.)
"""

from __future__ import annotations

import configparser
import logging
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from mkdocs.structure.files import File, Files
from mkdocs.structure.nav import Link, Navigation

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).parent.parent
#: Pages outside docs/, by their paths in the repository, and what they are called in the site.
OUTSIDE = {
    "README.md": "overview.md",
    "deploy/README.md": "service.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "CHANGELOG.md": "changelog.md",
    **{f"runtime/data/{card.name}": f"models/{card.name}" for card in sorted((ROOT / "runtime" / "data").glob("*.md"))},
}
#: What is documented by its docstrings: the packages, and the rooms whose names are public.
API = [
    "stn_rectify.runtime",
    "stn_rectify.runtime.geometry",
    "stn_rectify.runtime.sinks",
    "stn_rectify.runtime.web",
    "stn_rectify.models",
    "stn_rectify.models.digits",
    "stn_rectify.models.synthesis",
    "stn_rectify.converters",
]
_log = logging.getLogger("mkdocs.hooks.docs_site")
_LINK = re.compile(r"(\]\()([^)\s]+)(\))")
_CODE = re.compile(r"(^```.*?^```$)", re.MULTILINE | re.DOTALL)


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Takes the repository's address from setup.cfg, the one place that has it."""
    declared = configparser.ConfigParser()
    declared.read(ROOT / "setup.cfg", encoding="utf-8")
    config.repo_url = declared["metadata"]["url"]
    config.repo_name = "stn-rectify"
    config.edit_uri = ""
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the pages that lie outside docs/."""
    for path, page in OUTSIDE.items():
        files.append(File.generated(config, page, abs_src_path=str(ROOT / path)))
    return files


def on_nav(nav: Navigation, config: MkDocsConfig, files: Files) -> Navigation:
    """Puts the API into the reference: pages that pdoc makes, and mkdocs does not know."""
    (reference,) = (section for section in nav.items if section.title == "Reference")
    reference.children.append(Link("API", "api/index.html"))
    return nav


def on_post_build(config: MkDocsConfig) -> None:
    """Makes the pages of the API beside those of mkdocs."""
    command = [sys.executable, "-m", "pdoc", "-o", str(Path(config.site_dir) / "api"), "--docformat", "google", *API]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        _log.warning("pdoc failed: %s", done.stderr.strip()[-2000:])
    for line in done.stderr.splitlines():
        if line.startswith("Warn"):
            _log.warning("pdoc: %s", line)


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Has the links of a page, relative ones and those to the repository, lead to pages of the site where there are.

    What the site lacks leads into the repository. A link that leads nowhere stays as it is, for mkdocs to refuse.
    """
    inside = {place: path for path, place in OUTSIDE.items()}
    here = inside.get(page.file.src_uri, f"docs/{page.file.src_uri}")
    address = str(config.repo_url).rstrip("/")

    def leading(link: re.Match[str]) -> str:
        file, mark, anchor = link[2].partition("#")
        if file.startswith(f"{address}/"):
            path = re.sub(r"^/(blob|tree|raw)/main/", "", file.removeprefix(address))
        elif not file or re.match(r"\w+:", file):
            return link[0]
        else:
            path = os.path.normpath(Path(here).parent / file)
        place = OUTSIDE.get(path, path.removeprefix("docs/") if path.startswith("docs/") else None)
        if place and files.get_file_from_path(place):
            target = os.path.relpath(place, Path(page.file.src_uri).parent)
        elif (ROOT / path).exists():
            kind = "tree" if (ROOT / path).is_dir() else "blob"
            target = f"{address}/{kind}/main/{path}"
        else:
            return link[0]
        return f"{link[1]}{target}{mark}{anchor}{link[3]}"

    parts = _CODE.split(markdown)
    return "".join(part if at % 2 else _LINK.sub(leading, part) for at, part in enumerate(parts))
