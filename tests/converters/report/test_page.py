"""The HTML page, on a bundled model file and numbers made up for it."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest

from stn_rectify.converters.proof.proof import Check, Proof
from stn_rectify.converters.report.comparisons.class_agreement import ClassAgreement, RecognizerComparison
from stn_rectify.converters.report.comparisons.stn_comparison import Agreement, Comparison, Outputs, TargetsKept
from stn_rectify.converters.report.contents import report_dict
from stn_rectify.converters.report.delegation import Delegation
from stn_rectify.converters.report.latency import Latency
from stn_rectify.converters.report.network_report import NetworkReport
from stn_rectify.converters.report.page import write_report
from stn_rectify.converters.report.pictures.frame_pictures import AlignmentPicture, FramePicture
from stn_rectify.models.network.cost import StageCost, StnCost
from stn_rectify.runtime.model.model_file import ModelFile

VOID = {"meta", "br", "img", "link", "input", "hr", "image", "polygon", "line"}
HOSTILE = "</title><script>alert(1)</script><img src=x onerror=alert(2)>"
TARGETS = TargetsKept(0.7, 1.1, 1.9, 0.93, 0.81, 0.42, 0.66)
COMPARISON = Comparison(
    frames=12,
    corners_mean_px=0.1234,
    corners_p95_px=0.3456,
    corners_max_px=0.789,
    levels_mean=0.25,
    levels_max=0.8,
    rectified_levels_mean=1.5,
    rectified_levels_p95=2.5,
    score=Agreement(0.001, 0.003),
    class_scores=ClassAgreement(0.98, 10, 0.9, 0.8, 0.3, 5),
    poses_spread_px=9.5,
    mirrored_poses=0,
    known_targets=11,
    true_spread_px=10.5,
    float_targets=TARGETS,
    int8_targets=TARGETS,
    outputs=Outputs(np.zeros((12, 8)), np.zeros((12, 8)), np.zeros(0), None, np.zeros(12)),
)
PROOF = Proof((Check("float tensors", True, "0"),), (), {"int8": 3})
COST = StnCost((StageCost("localization", 1000, 123456), StageCost("sampler", 0, 4321)))


class Page(HTMLParser):
    """What a parser makes of a page: its elements, its text, and that every element is closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag
        self.text += " " if tag in {"td", "th", "dd", "dt", "div"} else ""

    def handle_data(self, data):
        if self.open[-1:] != ["style"]:
            self.text += data

    def words(self) -> str:
        return " ".join(self.text.split())


def make_picture(**changes) -> FramePicture:
    image = np.random.default_rng(0).integers(0, 256, (40, 64, 3), np.uint8)
    small = np.ascontiguousarray(image[:24, :32])
    corners = np.array([[10, 8], [50, 5], [55, 33], [12, 30.0]])
    picture = FramePicture("worst", 7, 0.5, image, corners, corners + 0.2, corners + 3, small, small, small)
    return replace(picture, **changes)


SCAN = NetworkReport(
    kind="scan",
    signature="serving_default",
    source=Path("models/general.keras"),
    cost=COST,
    comparison=COMPARISON,
    truth_is_known=True,
    thresholds=[Check("corner error at most 1 px", True, "0.35 px")],
    theta_readout=[
        {"name": "as it was", "corners_mean_px": 0.11, "corners_p95_px": 0.2, "corners_max_px": 0.3, "kept": False},
        {"name": "refitted", "corners_mean_px": 0.08, "corners_p95_px": 0.1, "corners_max_px": 0.2, "kept": True},
    ],
)


def make_report(network: NetworkReport = SCAN, **changes) -> dict:
    model = ModelFile.open()
    arguments = {
        "source": Path("models/general.keras"),
        "file_bytes": model.size_bytes,
        "flatbuffer": model.flatbuffer,
        "proof": PROOF,
        "networks": [network],
        "delegations": [Delegation("litert 2.3", 154, ((0, 1, 2), (5,))), Delegation("other 1", 0, (), "it crashed")],
        "latencies": [Latency("litert 2.3", 60, 1.5, 3.0, 2.0, 1.8, 2.2), Latency("other 1", problem="it crashed")],
        "metadata": {"name": "general", "input": {"width": 64, "height": 64}},
        "options": {"calibration": Path("frames"), "value_range": (0.0, 1.0), "validation": None},
    }
    return report_dict(**(arguments | changes))


def written(folder: Path, report: dict, pictures=()) -> tuple[str, Page]:
    name = report["name"]
    write_report(folder, report, pictures)
    assert json.loads((folder / f"{name}.report.json").read_text(encoding="utf-8")) == json.loads(json.dumps(report))
    text = (folder / f"{name}.report.html").read_text(encoding="utf-8")
    return text, Page(text)


def test_the_page_says_what_the_report_says(tmp_path):
    _, page = written(tmp_path, make_report(), [make_picture()])
    words = page.words()
    for part in (
        "general: integers proved – stn-convert report",
        "0.346 0.789",
        "95th percentile; mean 0.123, largest 0.79",
        "81.0 %",
        "Corners from the true ones 0.70 px INT8, mean of 11 frames; float 0.70; one pose for all frames 10.50",
        "right: 90.0 % in float, 80.0 % in INT8",
        "frame 7: worst, 0.500 px",
        "refitted 0.080 0.100 0.200 yes",
        "corner error at most 1 px",
        "localization 1 000 123 456",
        "litert 2.3 1.500 3.000 2.00× 1.80 to 2.20 60",
        "not measured: it crashed",
        "litert 2.3 154 4 2",
        "not known: it crashed",
        "calibration frames",
        "0.0, 1.0",
    ):
        assert part in words, part


def test_every_operator_kind_has_a_row_with_what_xnnpack_takes(tmp_path):
    report = make_report()
    _, page = written(tmp_path, report)
    first = report["operator_groups"][0]
    taken = len(set(first["positions"]) & {0, 1, 2, 5})
    inputs = "int8 ×2, int32"
    assert f"{first['name']} {first['version']} {inputs} → int8 {len(first['positions'])} {taken}" in page.words()
    for group in report["operator_groups"]:
        assert group["name"] in page.text


def test_the_page_needs_nothing_else(tmp_path):
    text, page = written(tmp_path, make_report(), [make_picture()])
    for tag, attributes in page.elements:
        assert tag not in {"script", "link", "iframe", "object", "embed"}
        for name in ("src", "href", "xlink:href", "srcset", "data", "action", "poster"):
            assert (attributes.get(name) or "data:image/png").startswith("data:image/png"), (tag, name)
    assert not re.search(r"@import|url\(|https?://", text)


def test_the_pictures_in_the_page_decode_to_what_was_given(tmp_path):
    picture = make_picture()
    _, page = written(tmp_path, make_report(), [picture])
    uris = [value for _, attributes in page.elements for name in ("src", "href") if (value := attributes.get(name))]
    decoded = [
        cv2.imdecode(np.frombuffer(base64.b64decode(uri.split(",")[1]), np.uint8), cv2.IMREAD_COLOR) for uri in uris
    ]
    given = [picture.frame, picture.rectified_float, picture.rectified_int8, picture.difference]
    assert len(decoded) == 4
    for image, wanted in zip(decoded, given, strict=True):
        np.testing.assert_array_equal(image, wanted)


def test_large_pictures_are_made_smaller(tmp_path):
    large = np.zeros((500, 1000, 3), np.uint8)
    _, page = written(tmp_path, make_report(), [make_picture(frame=large)])
    uri = next(attributes["href"] for tag, attributes in page.elements if tag == "image")
    decoded = cv2.imdecode(np.frombuffer(base64.b64decode(uri.split(",")[1]), np.uint8), cv2.IMREAD_COLOR)
    assert decoded.shape == (160, 320, 3)


def test_the_outlines_are_drawn_in_frame_pixels(tmp_path):
    _, page = written(tmp_path, make_report(), [make_picture()])
    polygons = {attributes["class"]: attributes["points"] for tag, attributes in page.elements if tag == "polygon"}
    assert polygons["float"] == "10.00,8.00 50.00,5.00 55.00,33.00 12.00,30.00"
    assert polygons["int8"].startswith("10.20,8.20")
    assert polygons["truth"].startswith("13.00,11.00")


def test_a_hostile_name_is_text_and_nothing_else(tmp_path):
    report = make_report(
        options={HOSTILE: HOSTILE},
        compared_on=HOSTILE,
        metadata={"name": HOSTILE},
        proof=Proof((Check(HOSTILE, False, HOSTILE),), (), {}),
        delegations=[Delegation(HOSTILE, 0, (), HOSTILE)],
    ) | {"source": HOSTILE}
    report["name"] = "x"  # a file's name cannot hold a slash
    text, page = written(tmp_path, report, [make_picture(rank=HOSTILE)])
    assert "<script" not in text
    assert "onerror" not in {name for _, attributes in page.elements for name in attributes}
    assert page.text.count(HOSTILE) >= 7
    hostile_name = "<b onmouseover=alert(1)>\"'&"
    _, page = written(tmp_path, report | {"name": hostile_name})
    assert f"{hostile_name}: FAILED" in page.words()
    assert "b" not in {tag for tag, attributes in page.elements if "onmouseover" in attributes}


def test_a_failed_proof_has_a_page_that_says_so_first(tmp_path):
    proof = Proof((Check("float tensors", False, "3: a, b, c"), Check("signature", True, "1")), (), {})
    network = replace(SCAN, comparison=None, thresholds=[], theta_readout=[])
    report = make_report(network, proof=proof, delegations=[], latencies=[])
    assert not report["passed"]
    text, page = written(tmp_path, report)
    assert "general: FAILED" in page.words()
    assert "float tensors: 3: a, b, c" in page.words()
    assert text.index("What failed") < text.index('class="figures"')
    assert ("section", {"class": "failures", "role": "alert"}) in page.elements
    assert not (tmp_path / "general.png").exists()


def test_an_exceeded_threshold_fails_the_report(tmp_path):
    report = make_report(replace(SCAN, thresholds=[Check("coverage of the target at least 95 %", False, "81.0 %")]))
    assert not report["passed"]
    _, page = written(tmp_path, report, [make_picture()])
    assert "What failed" in page.words()
    assert "coverage of the target at least 95 %: 81.0 %" in page.words()


def test_without_truth_sampler_or_recognizer_the_page_leaves_them_out(tmp_path):
    bare = replace(
        COMPARISON,
        levels_mean=None,
        levels_max=None,
        rectified_levels_mean=None,
        rectified_levels_p95=None,
        score=None,
        class_scores=None,
        known_targets=0,
        true_spread_px=None,
        float_targets=None,
        int8_targets=None,
    )
    picture = make_picture(truth=None, rectified_int8=None, difference=None)
    network = replace(SCAN, comparison=bare, thresholds=[], theta_readout=[])
    report = make_report(network, latencies=[], delegations=[], options={})
    _, page = written(tmp_path, report, [picture])
    words = page.words()
    assert "no frame has known corners" in words
    assert "No thresholds were set" in words
    assert "truth" not in {attributes.get("class") for tag, attributes in page.elements if tag == "polygon"}
    assert len([1 for tag, _ in page.elements if tag == "img"]) == 1
    for absent in ("Time for one frame", "Recognizer behind", "difference ×", "What XNNPACK takes"):
        assert absent not in words


def test_a_recognizers_page_says_how_often_it_agrees_and_is_right(tmp_path):
    comparison = RecognizerComparison(40, ClassAgreement(0.98, 30, 0.9, 0.8))
    network = NetworkReport("recognizer", "serving_default", Path("a.recognizer.keras"), COST, comparison=comparison)
    _, page = written(tmp_path, make_report(network))
    words = page.words()
    for part in ("On 40 calibration images", "98.0 %", "right class in INT8 80.0 %", "litert 2.3 1.500 3.000"):
        assert part in words
    assert "corners" not in words


def test_numbers_that_are_not_finite_do_not_stop_the_report(tmp_path):
    broken = replace(COMPARISON, corners_mean_px=float("nan"), corners_max_px=float("inf"))
    report = make_report(replace(SCAN, comparison=broken))
    assert report["networks"][0]["comparison"]["corners_mean_px"] is None
    _, page = written(tmp_path, report)
    assert "95th percentile; mean –, largest –" in page.words()


@pytest.mark.parametrize("pictures", [0, 5, 7])
def test_the_sheet_has_a_column_for_each_picture_and_four_rows(tmp_path, pictures):
    write_report(tmp_path, make_report(), [make_picture()] * pictures)
    sheet = cv2.imread(str(tmp_path / "general.png"))
    if not pictures:
        assert sheet is None
        return
    rim, gap, caption, heading = 14, 8, 18, 21
    frame, rectified = 160 * 40 // 64 + 2 * caption, 160 * 24 // 32 + caption
    height = 2 * rim + heading + 14 + frame + 3 * (gap + rectified)
    assert sheet.shape == (height, 2 * rim + pictures * (160 + gap) - gap, 3)


def test_alignment_pictures_stand_in_the_page_at_their_size_and_below_the_sheet(tmp_path):
    image = np.random.default_rng(0).integers(0, 256, (90, 700, 3), np.uint8)
    report = make_report()
    write_report(tmp_path, report, [make_picture()])
    without = cv2.imread(str(tmp_path / "general.png"))
    write_report(tmp_path, report, [make_picture()], [AlignmentPicture(HOSTILE, image)])
    page = Page((tmp_path / "general.report.html").read_text(encoding="utf-8"))
    assert "Did it learn to align?" in page.words()
    (shown,) = [a for tag, a in page.elements if tag == "img" and a["alt"] == HOSTILE]
    decoded = cv2.imdecode(np.frombuffer(base64.b64decode(shown["src"].split(",")[1]), np.uint8), cv2.IMREAD_COLOR)
    np.testing.assert_array_equal(decoded, image)
    sheet = cv2.imread(str(tmp_path / "general.png"))
    assert sheet.shape[0] == without.shape[0] + 14 + 90
    np.testing.assert_array_equal(sheet[-14 - 90 : -14, 14:714], image)
