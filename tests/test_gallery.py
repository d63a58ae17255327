"""docs/gallery.ipynb runs from its first cell to its last, and shows pictures."""

from __future__ import annotations

from pathlib import Path

import pytest

GALLERY = Path(__file__).parent.parent / "docs" / "gallery.ipynb"


@pytest.mark.slow
def test_the_gallery_runs() -> None:
    nbclient = pytest.importorskip("nbclient")
    nbformat = pytest.importorskip("nbformat")
    for package in ("ipykernel", "pandas", "supervision"):
        pytest.importorskip(package)
    notebook = nbformat.read(GALLERY, as_version=4)
    stored = [sorted(kinds(cell)) for cell in notebook.cells]
    nbclient.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(GALLERY.parent)}}).execute()
    shown = [kinds(cell) for cell in notebook.cells]
    assert sum("image/png" in one for one in shown) >= 4
    for before, now in zip(stored, shown, strict=True):
        assert set(before) <= now, "what the page shows is what comes out"


def kinds(cell: dict[str, object]) -> set[str]:
    outputs = cell.get("outputs", [])
    assert isinstance(outputs, list)
    return {kind.replace("jpeg", "png") for output in outputs for kind in output.get("data", {})}
