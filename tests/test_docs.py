"""README and docs/: every block of Python runs, and every module, name and link of a page leads somewhere."""

from __future__ import annotations

import configparser
import importlib
import json
import re
import shutil
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).parent.parent
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "deploy/README.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
#: A file beside a SavedModel, and the group of entry points.
_NO_MODULES = {"stn_rectify.json", "stn_rectify.recognizers"}
#: The models' cards have links, too, but no Python.
LINKED_PAGES = [*PAGES, *sorted((ROOT / "runtime" / "data").glob("*.md"))]
_SETUP = configparser.ConfigParser()
_SETUP.read(ROOT / "setup.cfg", encoding="utf-8")
#: Of the repository: setup.cfg is the place that has it.
ADDRESS = _SETUP["metadata"]["url"]
DEMO = ROOT / "runtime" / "data" / "demo.jpg"


def blocks() -> list[Any]:
    """The page and the code of each block; those that need TensorFlow take seconds."""
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for match in re.finditer(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
            line = text[: match.start()].count("\n") + 1
            is_slow = any(word in match[1] for word in ("keras", "stn_rectify.models", "stn_rectify.converters"))
            name = f"{page.relative_to(ROOT)}:{line}"
            found.append(pytest.param(match[1], id=name, marks=pytest.mark.slow if is_slow else ()))
    return found


class _Camera:
    """Stands in for `CameraSource`: the sample once, as a camera that is unplugged then."""

    def __new__(cls) -> Any:
        from stn_rectify.runtime import ImageSource

        return ImageSource(DEMO)


@pytest.fixture
def around(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the text around a block has already, by the names that the blocks have for it, and the files they name."""
    import stn_rectify.runtime as runtime

    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    shutil.copy(DEMO, tmp_path / "photos")
    shutil.copy(DEMO.with_name("digits.recognizer.tflite"), tmp_path / "plates.recognizer.tflite")
    tesseract = types.ModuleType("pytesseract")
    monkeypatch.setattr(tesseract, "image_to_string", lambda image, config: "AB12 CD3\n", raising=False)
    monkeypatch.setitem(importlib.import_module("sys").modules, "pytesseract", tesseract)
    monkeypatch.setattr(runtime, "CameraSource", _Camera)
    (frame,) = runtime.ImageSource(DEMO)
    rectifier = runtime.Rectifier("fast")
    (tmp_path / "results.jsonl").write_text(json.dumps(rectifier.rectify(DEMO).to_dict()) + "\n")
    return {
        "__name__": "page",
        "frame": frame.image,
        "frames": np.zeros((2, 64, 64, 3), np.float32),
        "rectifier": rectifier,
        "read": lambda image: f"{image.shape[0]} rows",
    }


@pytest.mark.parametrize("code", blocks())
def test_a_block_runs(code: str, around: dict[str, Any]) -> None:
    if '"rapidocr"' in code:
        pytest.importorskip("rapidocr_onnxruntime", reason="the extra ocr is not installed")
    if "import pandas" in code:
        pytest.importorskip("pandas")
    free_port = code.replace('"8080"', '"0"')
    exec(compile(free_port, "page", "exec"), around)  # what it needs and does not import must be in the text around it


def test_there_are_blocks() -> None:
    assert len(blocks()) >= 9


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_modules_and_names_that_a_page_mentions_are_there(page: Path) -> None:
    for mentioned in set(re.findall(r"\bstn_rectify(?:\.\w+)+", page.read_text(encoding="utf-8"))):
        if mentioned in _NO_MODULES:
            continue
        module, names = mentioned, list[str]()
        while True:
            try:
                found: Any = importlib.import_module(module)
                break
            except ModuleNotFoundError as error:
                if not (error.name or "").startswith("stn_rectify"):  # another package that is missing
                    raise
                module, _, name = module.rpartition(".")
                names.insert(0, name)
        for name in names:
            assert hasattr(found, name), mentioned
            found = getattr(found, name)


def without_code(page: Path) -> str:
    return re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


def anchors(page: Path) -> set[str]:
    """Of the headings, as GitHub names them."""
    headings = re.findall(r"^#+ (.*)$", without_code(page), re.MULTILINE)
    plain = (re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).lower().strip() for heading in headings)
    return {re.sub(r"[^\w\- ]", "", heading).replace(" ", "-") for heading in plain}


@pytest.mark.parametrize("page", LINKED_PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_of_a_page_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", without_code(page)):
        file, _, anchor = link.partition("#")
        if link.startswith(f"{ADDRESS}/"):  # into the repository, from where there is none around the page
            target = ROOT / re.sub(r"^/(blob|tree|raw)/main/", "", file.removeprefix(ADDRESS))
        elif re.match(r"\w+:", link):  # to another site
            continue
        else:
            target = page.parent / file if file else page
        assert target.exists(), link
        if anchor and target.suffix == ".md":
            assert anchor in anchors(target), link


def test_all_addresses_of_the_project_begin_with_the_one_in_setup_cfg() -> None:
    named = [line.split(" = ")[1] for line in _SETUP["metadata"]["project_urls"].strip().splitlines()]
    assert [one for one in named if one != ADDRESS and not one.startswith(f"{ADDRESS}/")] == []


def test_links_of_the_readme_lead_on_from_a_package_index() -> None:
    """There is no repository around that page, so a relative link leads nowhere."""
    text = without_code(ROOT / "README.md")
    links = re.findall(r"\]\(([^)\s]+)\)", text)
    assert len(links) > 20
    assert [link for link in links if not link.startswith(f"{ADDRESS}/")] == []
    pictures = re.findall(r"!\[[^]]*\]\(([^)\s]+)\)", text)
    assert pictures
    assert all("/raw/" in link for link in pictures), "a blob is a page, no picture"


@pytest.mark.parametrize("page", LINKED_PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_lists_and_tables_are_read_alike_everywhere(page: Path) -> None:
    """GitHub takes a list right behind a line of text; for mkdocs it is text. A table ends at an empty line only."""
    for block in re.split(r"\n\s*\n", without_code(page)):
        lines = [line for line in block.splitlines() if line and not line.startswith("#")]
        items = [bool(re.match(r"- |\d+\. ", line)) for line in lines]
        rows = [line.startswith("|") for line in lines]
        assert not any(items) or items[0], block
        assert not any(rows) or all(rows), block


@pytest.mark.slow
def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    """Links and their anchors, the pages outside docs/, the list of pages, and what pdoc says of the API."""
    pytest.importorskip("material", reason="the extra docs builds the site")
    pytest.importorskip("pdoc")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", tmp_path / "site"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "site" / "index.html").read_text(encoding="utf-8")
    assert 'href="guides/at-a-pi.html"' in page
    assert 'href="api/index.html"' in page
    assert "SaveSink" in (tmp_path / "site" / "api" / "stn_rectify" / "runtime.html").read_text(encoding="utf-8")
    readme = (tmp_path / "site" / "overview.html").read_text(encoding="utf-8")
    assert 'src="demo.jpg"' in readme
    assert 'href="guides/at-a-pi.html"' in readme, "and not to the repository, whose page is another"
    card = (tmp_path / "site" / "models" / "plates.html").read_text(encoding="utf-8")
    assert 'href="../reference/model-file.html#refinement"' in card
    assert f'href="{ADDRESS}/blob/main/models/data/plates.keras"' in card
