"""What apps may rely on: the names that the packages and the documented rooms hand on, and no others."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
#: A name that leaves, or changes its meaning, is said in CHANGELOG.md.
PUBLIC = {
    "runtime": """
        CameraInfo CameraSource CapturedFrame CommandRecognizer CornerSmoother DataError FrameSource FrameView
        ImageSource JsonlSink LabelRules LabelVote Location MissRule ModelFile ModelFileError ModelLimits PiCameraSource
        Pipeline Processed RapidOcrRecognizer Recognition TesseractRecognizer load_recognizer RecognitionSchedule
        RecognitionStage Recognizer ReconnectingSource Rectification Rectifier ResultSink SaveSink
        SourceError StnRectifyError StnRectifyWarning TargetTracker UsageError VideoSource bundled_models
        draw_overview list_cameras open_camera open_source open_video __version__
    """,
    "runtime.annotations": "AnnotatedFrame AnnotatedTarget Annotations has_annotations read_annotations",
    "runtime.geometry": """
        CONTROL_POINTS CORNER_POINTS THETA_SIZE UNIT_CORNERS corner_error corners_to_homography homography_to_corners
        homography_to_theta identity_theta is_valid_quadrilateral map_unit_corners normalised_to_pixels
        pixel_homography pixel_matrix_map pixels_to_normalised theta_to_corners theta_to_homography transform_points
        true_aspect upright_size
    """,
    "runtime.sinks": """
        VIDEO_SUFFIXES JsonlSink MqttAddress MqttSink Pace ResultSink SaveSink ShowSink VideoSink draw_overview
        result_values
    """,
    "runtime.web": "SavingSwitch WebView",
    "models": "AffineGrid BilinearSampler ProjectiveGrid ThinPlateSplineGrid lightweight_stn stn_cost",
    "models.digits": "DISTORTIONS",
    "models.synthesis": "TARGET_KINDS FrameSynthesiser SceneSynthesiser SynthesisedFrame SynthesisedScene",
    "converters": "BatchOptions Conversion ConversionOptions convert convert_batch find_models",
}


@pytest.mark.parametrize("module", PUBLIC)
def test_the_public_names_are_these(module: str) -> None:
    loaded = importlib.import_module(f"stn_rectify.{module}")
    assert sorted(loaded.__all__) == sorted(PUBLIC[module].split())
    for name in loaded.__all__:
        assert getattr(loaded, name) is not None


def test_names_of_the_runtime_are_loaded_when_they_are_used_from_where_types_are_checked() -> None:
    """Importing it loads nothing; all else is as if it had."""
    code = (
        "import sys\nimport stn_rectify.runtime as runtime\nassert not {'numpy', 'cv2', 'PIL'} & set(sys.modules)\n"
        "assert set(runtime.__all__) <= set(dir(runtime)) and runtime.geometry.UNIT_CORNERS is not None\n"
        "from stn_rectify.runtime import *\n"
        "assert Rectifier is runtime.Rectifier and __version__ == runtime.__version__"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    tree = ast.parse((ROOT / "runtime" / "__init__.py").read_text(encoding="utf-8"))
    checked = {
        alias.name: node.module
        for block in tree.body
        if isinstance(block, ast.If)
        for node in ast.walk(block)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    runtime = importlib.import_module("stn_rectify.runtime")
    assert set(checked) | {"__version__"} == set(runtime.__all__)
    for name, module in checked.items():
        assert getattr(runtime, name) is getattr(importlib.import_module(str(module)), name), name
    with pytest.raises(AttributeError, match="no attribute 'rectifyer'"):
        _ = runtime.rectifyer


def test_no_other_file_says_that_its_names_are_public() -> None:
    """Rooms hand names on in their ``__init__.py``; what a file inside holds is private to its package."""
    modules = [f for package in ("runtime", "models", "converters") for f in (ROOT / package).rglob("*.py")]
    public = {f"{module.replace('.', '/')}.py" for module in PUBLIC}
    for file in modules:
        assigned = {
            target.id
            for node in ast.parse(file.read_text(encoding="utf-8")).body
            if isinstance(node, ast.Assign)
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        where = str(file.relative_to(ROOT))
        assert "__all__" not in assigned or file.name == "__init__.py" or where in public, where


def test_docs_name_public_modules_and_names_only() -> None:
    """Examples and pages may use what stays."""
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "docs").rglob("*.py")]
    imports = re.compile(r"^\s*from stn_rectify\.([\w.]+) import (\([^)]*\)|.*)$", re.MULTILINE)
    used = [
        (page.name, module, name)
        for page in pages
        for module, names in imports.findall(page.read_text(encoding="utf-8"))
        for name in re.findall(r"\w+", re.sub(r"#.*", "", names))
    ]
    assert len(used) > 10
    for page, module, name in used:
        assert name in PUBLIC.get(module, "").split(), (page, module, name)
