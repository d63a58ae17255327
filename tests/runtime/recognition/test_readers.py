"""Recognizers by their names: engines, functions, other packages; images of their size; what fails."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont

from stn_rectify.runtime import (
    CapturedFrame,
    LabelRules,
    Pipeline,
    RapidOcrRecognizer,
    Recognition,
    RecognitionStage,
    Recognizer,
    Rectifier,
    StnRectifyError,
    TesseractRecognizer,
    UsageError,
    load_recognizer,
)
from stn_rectify.runtime.command.cli import main
from stn_rectify.runtime.process.installation import install_command
from stn_rectify.runtime.recognition.readers.ocr_engine import OcrEngine, TextKind

TEXT = "KLM 4729"
LINES = ("Spare keys", "Room 417", "Third floor")
IDENTITY = (1.0, 0, 0, 0, 1.0, 0, 0, 0)


def picture(*lines: str, size: int = 60) -> np.ndarray:
    """Black on white, BGR uint8 [h, w, 3], with room around it."""
    font = ImageFont.load_default(size=size)
    width = int(max(font.getlength(line) for line in lines)) + size
    paper = Pillow.new("RGB", (width, round(size * (1.5 * len(lines) + 0.5))), "white")
    for number, line in enumerate(lines):
        ImageDraw.Draw(paper).text((size // 2, size * (0.25 + 1.5 * number)), line, fill="black", font=font)
    return np.ascontiguousarray(np.asarray(paper)[..., ::-1])


@pytest.fixture(params=["rapidocr", "tesseract"])
def engine(request: pytest.FixtureRequest) -> str:
    name = str(request.param)
    pytest.importorskip({"rapidocr": "rapidocr_onnxruntime", "tesseract": "pytesseract"}[name])
    if name == "tesseract" and shutil.which("tesseract") is None:
        pytest.skip("the program tesseract is not installed")
    return name


def read(engine: str, image: np.ndarray, **options: str) -> Recognition:
    recognizer = load_recognizer(engine, **options)
    said = recognizer.recognize(image)
    assert isinstance(said, Recognition)
    return said


def test_an_engine_reads_a_line_however_it_is_turned(engine: str) -> None:
    image = picture(TEXT)
    recognizer = load_recognizer(engine)
    for turned in (image, cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), np.rot90(image).copy(), np.rot90(image, 3).copy()):
        said = recognizer.recognize(turned)
        assert isinstance(said, Recognition)
        assert said.label.replace(" ", "") == TEXT.replace(" ", "")
        assert said.score is not None
        assert 0.5 < said.score <= 1


def test_rapidocr_turns_a_line_that_stands_on_its_head() -> None:
    pytest.importorskip("rapidocr_onnxruntime")
    said = read("rapidocr", picture(TEXT)[::-1, ::-1].copy())
    assert said.label.replace(" ", "") == TEXT.replace(" ", "")


def test_an_engine_reads_a_block_line_by_line(engine: str) -> None:
    said = read(engine, picture(*LINES), text="block")
    assert said.label.replace(" ", "").split("\n") == [line.replace(" ", "") for line in LINES]


@pytest.mark.parametrize("text", ["line", "block"])
def test_an_engine_reads_nothing_where_nothing_is(engine: str, text: str) -> None:
    assert load_recognizer(engine, text=text).recognize(np.full((60, 240, 3), 200, np.uint8)) is None


def test_an_engine_refuses_what_is_no_image(engine: str) -> None:
    recognizer = load_recognizer(engine)
    for image in (np.zeros((9, 9, 2), np.uint8), np.zeros((9, 9, 3)), np.zeros((0, 9, 3), np.uint8), "image.png"):
        with pytest.raises(StnRectifyError, match=r"must be uint8|channels"):
            recognizer.recognize(image)


class Scripted(OcrEngine):
    """Gives the answers one after the other, and keeps what it is given."""

    _LINE_HEIGHT, _LEAST_BLOCK, _SURE = 40, 100, 0.5

    def __init__(self, text: TextKind, *answers: Recognition | None) -> None:
        super().__init__(text)
        self.answers, self.seen = list(answers), list[np.ndarray]()

    def _read(self, image: np.ndarray) -> Recognition | None:
        self.seen.append(image)
        return self.answers.pop(0)


@pytest.mark.parametrize(
    ("text", "own", "size"),
    [
        ("line", (200, 50), (160, 40)),
        ("line", (50, 200), (40, 160)),
        ("line", (50, 74), (27, 40)),
        ("line", (1000, 1), (4000, 40)),
        ("block", (50, 200), (100, 400)),
        ("block", (300, 200), (300, 200)),
        ("block", (1, 100), (100, 4000)),
    ],
)
def test_the_image_that_an_engine_wants(text: TextKind, own: tuple[int, int], size: tuple[int, int]) -> None:
    assert Scripted(text).image_size(own) == size


SURE, UNSURE, NO_SCORE = Recognition("sure", 0.9), Recognition("unsure", 0.4), Recognition("no score", None)


@pytest.mark.parametrize(
    ("text", "shape", "answers", "said", "quarters"),
    [
        ("line", (20, 60, 3), [SURE], SURE, [0]),
        ("line", (20, 60, 3), [UNSURE, SURE], SURE, [0, 2]),
        ("line", (20, 60, 3), [UNSURE, None], UNSURE, [0, 2]),
        ("line", (20, 60, 3), [None, NO_SCORE], None, [0, 2]),
        ("line", (60, 20, 3), [UNSURE, SURE], SURE, [3, 1]),
        ("line", (60, 20), [SURE, None], SURE, [3, 1]),
        ("block", (60, 20, 3), [UNSURE], UNSURE, [0]),
    ],
)
def test_a_line_is_read_on_its_side_both_ways_and_where_it_is_doubtful_upside_down(
    text: TextKind,
    shape: tuple[int, ...],
    answers: list[Recognition | None],
    said: Recognition | None,
    quarters: list[int],
) -> None:
    image = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    engine = Scripted(text, *answers)
    assert engine.recognize(image) is said
    bgr = image if image.ndim == 3 else np.dstack([image] * 3)
    assert len(engine.seen) == len(quarters)
    for seen, quarter in zip(engine.seen, quarters, strict=True):
        np.testing.assert_array_equal(seen, np.rot90(bgr, quarter))


@pytest.mark.parametrize("text", ["page", 7])
def test_texts_are_lines_or_blocks(text: object) -> None:
    with pytest.raises(UsageError, match="choose 'line' or 'block'"):
        load_recognizer("rapidocr", text=text)


def test_an_engine_is_meant_whatever_file_has_its_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    Path("rapidocr").touch()
    monkeypatch.setitem(sys.modules, "rapidocr_onnxruntime", None)
    with pytest.raises(StnRectifyError, match="needs rapidocr-onnxruntime"):
        load_recognizer("rapidocr")


@pytest.mark.parametrize(
    ("kind", "package", "extra"),
    [(RapidOcrRecognizer, "rapidocr_onnxruntime", "ocr"), (TesseractRecognizer, "pytesseract", "tesseract")],
)
def test_a_missing_engine_is_one_line_with_the_command(
    monkeypatch: pytest.MonkeyPatch, kind: Callable[[], object], package: str, extra: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(StnRectifyError) as error:
        kind()
    assert install_command(extra) in str(error.value)
    assert "\n" not in str(error.value)


def test_missing_program_and_language_of_tesseract(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytesseract = pytest.importorskip("pytesseract")
    if shutil.which("tesseract") is not None:
        with pytest.raises(UsageError, match=r"has no language 'klingon', only .*eng.*: sudo apt install"):
            TesseractRecognizer(language="eng+klingon")
    monkeypatch.setattr(pytesseract.pytesseract, "tesseract_cmd", str(tmp_path / "none"))
    pytesseract.pytesseract.get_tesseract_version.__dict__.pop("_result", None)  # it remembers the version
    with pytest.raises(StnRectifyError, match="needs the program tesseract: sudo apt install tesseract-ocr"):
        TesseractRecognizer()


# The image that a recognizer gets.


class Sized:
    """Keeps what it is given."""

    def __init__(self, image_size: object) -> None:
        self.image_size = image_size
        self.seen: list[np.ndarray] = []

    def recognize(self, image: np.ndarray) -> str:
        self.seen.append(image)
        return f"{image.shape[1]}x{image.shape[0]}"


def striped_frame() -> np.ndarray:
    """Stripes one pixel wide: what is blown up from a small image has lost them."""
    frame = np.zeros((240, 320, 3), np.uint8)
    frame[:, ::2] = 255
    frame[:40, :40] = 200  # the test model's score
    return frame


@pytest.mark.parametrize("options", [{}, {"output_size": (16, 12)}, {"output": "model"}], ids=str)
@pytest.mark.parametrize(
    ("size", "shape"),
    [((0, 48), (48, 64)), ((100, 0), (75, 100)), ((320, 240), (240, 320)), (lambda own: (own[0], 60), (60, 320))],
    ids=["height", "width", "both", "function"],
)
def test_a_recognizer_gets_its_size_out_of_the_frame_whatever_the_results_have(
    make_model: Callable[..., Path], options: dict[str, object], size: object, shape: tuple[int, int]
) -> None:
    recognizer = Sized(size)
    with Rectifier(make_model(IDENTITY, in_graph=True), **options) as rectifier:
        result = Pipeline(rectifier, recognizer=recognizer).process(CapturedFrame("a", 0, 0, striped_frame())).result
        plain = Pipeline(rectifier).process(CapturedFrame("a", 0, 0, striped_frame())).result
    assert recognizer.seen[0].shape[:2] == shape
    assert result.label == f"{shape[1]}x{shape[0]}"
    assert result.image.shape == plain.image.shape
    if shape[1] == 320:
        assert recognizer.seen[0][-1].std() > 100  # the stripes
    elif shape == (48, 64):
        assert abs(recognizer.seen[0][-1].mean() - 127) < 10
        assert recognizer.seen[0][-1, 2:-2].std() < 45  # each pixel is the mean of five stripes; picked ones have 127


def test_a_size_out_of_range_is_refused(make_model: Callable[..., Path]) -> None:
    with Rectifier(make_model(IDENTITY)) as rectifier, pytest.raises(UsageError, match=r"size is 0x0: each side"):
        Pipeline(rectifier, recognizer=Sized((0, 0))).process(CapturedFrame("a", 0, 0, striped_frame()))


def test_a_pipeline_takes_the_name_of_a_recognizer(make_model: Callable[..., Path], engine: str) -> None:
    frame = np.full((240, 320, 3), 255, np.uint8)
    image = picture(TEXT)
    frame[80:160, 40:280] = cv2.resize(image, (240, 80), interpolation=cv2.INTER_AREA)
    with Rectifier(make_model((0.8, 0, 0, 0, 0.4, 0, 0, 0))) as rectifier:
        found = Pipeline(rectifier, recognizer=engine).process(CapturedFrame("a", 0, 0, frame)).result
        rules = RecognitionStage(engine, rules=LabelRules("A-Z0-9"))
        cleaned = Pipeline(rectifier, recognizer=rules).process(CapturedFrame("a", 0, 0, frame)).result
    assert (found.label or "").replace(" ", "") == cleaned.label == TEXT.replace(" ", "")


# Names.

MODULE = """
from stn_rectify.runtime import Recognition

def read(image):
    return f"{image.shape[2]} channels", 0.25

def fails(image):
    raise RuntimeError("no more ink\\nand no paper")

class Reader:
    image_size = (0, 48)
    def __init__(self, *, text="line", threads=1):
        self.description = f"reader of a {text}"
    def recognize(self, image):
        return f"{self.description} {image.shape[0]} high"

class Broken:
    def __init__(self):
        raise RuntimeError("no licence")

reader = Reader(text="object")
number = 7
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "__init__.py").touch()
    (tmp_path / "mine" / "readers.py").write_text(MODULE)
    (tmp_path / "mine" / "broken.py").write_text("import absent_thing\n")
    (tmp_path / "mine" / "wrong.py").write_text("1 +\n")
    monkeypatch.chdir(tmp_path)
    yield "mine.readers"
    for name in [name for name in sys.modules if name.split(".")[0] == "mine"]:
        del sys.modules[name]


IMAGE = np.zeros((20, 30, 3), np.uint8)


def test_functions_objects_and_classes_are_recognizers(module: str) -> None:
    assert load_recognizer(f"{module}:read").recognize(IMAGE) == ("3 channels", 0.25)
    assert load_recognizer(f"{module}:reader").recognize(IMAGE) == "reader of a object 20 high"
    assert load_recognizer(f"{module}:Reader").recognize(IMAGE) == "reader of a line 20 high"
    assert load_recognizer(f"{module}:Reader", text="block").recognize(IMAGE) == "reader of a block 20 high"
    assert os.getcwd() not in sys.path


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("absent.module:read", {}, "there is no module 'absent' here nor among what is installed"),
        ("mine.absent:read", {}, "there is no module 'mine.absent' here"),
        ("mine.broken:read", {}, "its module needs absent_thing, which is not installed"),
        ("mine.wrong:read", {}, "its module cannot be imported (SyntaxError"),
        ("mine.readers:write", {}, "mine.readers has no 'write'"),
        ("mine.readers:number", {}, "is int, no recognizer: name a function of an image"),
        ("mine.readers:Broken", {}, "cannot be made (RuntimeError: no licence)"),
        ("mine.readers:read", {"text": "block"}, "is a function and takes no text (--text)"),
        ("mine.readers:read", {"labels": ("a", "b")}, "is no .tflite file, which labels (--labels) is for"),
        ("rapidocr", {"beam_width": 3}, "is no .tflite file, which beam_width (--beam-width) is for"),
        ("digits", {"text": "line"}, "reads what its network was trained on: leave text (--text) out"),
    ],
)
def test_a_wrong_name_is_one_clear_line(module: str, name: str, options: dict[str, object], message: str) -> None:
    with pytest.raises(StnRectifyError) as error:
        load_recognizer(name, **options)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_file_is_meant_whatever_function_has_its_name(module: str) -> None:
    with load_recognizer("digits") as digits:
        Path(f"{module}:read").write_bytes(digits.file.path.read_bytes())
    with load_recognizer(f"{module}:read") as recognizer:
        assert isinstance(recognizer, Recognizer)


def test_files_and_bundled_names_stay_what_they_are() -> None:
    with load_recognizer("digits") as recognizer:
        assert isinstance(recognizer, Recognizer)
    with pytest.raises(StnRectifyError, match="rapidocr, tesseract"):
        load_recognizer("rapidorc")


def test_another_package_brings_recognizers(module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As pip lays it down: a dist-info with entry points, found on the path."""
    info = tmp_path / "other-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: other\nVersion: 1.0\n")
    points = "[stn_rectify.recognizers]\ntheirs = mine.readers:Reader\ngone = mine.absent:read\n"
    (info / "entry_points.txt").write_text(points)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert load_recognizer("theirs").recognize(IMAGE) == "reader of a line 20 high"
    with pytest.raises(StnRectifyError, match=r"the recognizer 'gone' of other cannot be loaded .ModuleNotFoundError"):
        load_recognizer("gone")


# The command line.


@pytest.fixture
def targets(tmp_path: Path) -> Path:
    """Three frames that the test model takes for targets."""
    folder = tmp_path / "frames"
    folder.mkdir()
    for number in range(3):
        cv2.imwrite(str(folder / f"{number}.png"), striped_frame())
    return folder


def lines_of(
    words: list[str], capfd: pytest.CaptureFixture[str], status: int = 0
) -> tuple[list[dict[str, object]], str]:
    assert main(words) == status
    printed = capfd.readouterr()
    return [json.loads(line) for line in printed.out.splitlines()], printed.err


def test_the_command_reads_by_a_function(
    module: str, targets: Path, make_model: Callable[..., Path], capfd: pytest.CaptureFixture[str]
) -> None:
    words = ["--image", str(targets), "--model", str(make_model(IDENTITY)), "--jsonl", "-"]
    lines, said = lines_of([*words, "--recognizer", f"{module}:Reader", "--text", "block"], capfd)
    assert [line["label"] for line in lines] == ["reader of a block 48 high"] * 3
    assert [line["label_score"] for line in lines] == [None] * 3
    assert "recognizer reader of a block\n" in said


def test_a_recognizer_that_fails_is_one_warning_and_costs_no_frame(
    module: str, targets: Path, make_model: Callable[..., Path], capfd: pytest.CaptureFixture[str]
) -> None:
    words = ["--image", str(targets), "--model", str(make_model(IDENTITY)), "--jsonl", "-"]
    for recognizer, reason in (
        (["--recognizer", f"{module}:fails"], "RuntimeError: no more ink"),
        (["--recognizer-command", "false"], "false ended with status 1"),
    ):
        lines, said = lines_of([*words, *recognizer], capfd, status=1)
        assert [line["label"] for line in lines] == [None] * 3
        assert said.count("warning") == said.count(f"warning: the recognizer failed ({reason})") == 1
        assert "3 frames in " in said
        assert "recognizer failed on 3" in said


def test_the_rules_of_the_command(
    module: str, targets: Path, make_model: Callable[..., Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "known.txt").write_text("4 CHANNELS\n")
    (tmp_path / "map.txt").write_text("4 CHANNELS = four\n")
    words = ["--image", str(targets / "0.png"), "--model", str(make_model(IDENTITY)), "--jsonl", "-"]
    words += ["--recognizer", f"{module}:read"]
    config = tmp_path / "options.toml"
    config.write_text('known = "known.txt"\nlabel-map = "map.txt"\nlabel-format = "[0-9].*"\nmin-label-length = 3\n')
    for options, label, read in (
        (["--label-characters", "a-z"], "channels", "3 channels"),
        (["--label-format", "[a-z]+"], None, "3 channels"),
        (["--min-label-length", "11"], None, "3 channels"),
        (["--known", "known.txt"], "4 CHANNELS", "3 channels"),
        (["--known", "known.txt", "--known-distance", "0"], "3 channels", None),
        (["--config", str(config)], "four", "3 channels"),
    ):
        (line,), _ = lines_of([*words, *options], capfd)
        assert (line["label"], line.get("read")) == (label, read), options


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--recognizer", "digits", "--recognizer-command", "x"], "exclude each other"),
        (["--recognizer-command", "true", "--text", "line"], "--text has no meaning for --recognizer-command"),
        (["--recognizer-command", "true", "--recognizer-sha256", "0"], "--recognizer-sha256 has no meaning for"),
        (["--recognizer", "digits", "--recognizer-timeout", "3"], "--recognizer-timeout needs --recognizer-command"),
        (["--recognizer", "digits", "--known-distance", "2"], "--known-distance needs --known FILE"),
        (["--recognizer", "digits", "--no-lookalikes"], "--no-lookalikes needs --label-format"),
        (["--recognizer", "digits", "--known", "absent.txt"], "cannot read the known labels absent.txt"),
        (["--label-format", "[A-Z]+"], "--label-format needs --recognizer or --recognizer-command"),
        (["--recognizer-command", ""], "--recognizer-command is empty"),
    ],
)
def test_options_that_do_not_go_together(capfd: pytest.CaptureFixture[str], words: list[str], message: str) -> None:
    _, said = lines_of(["--demo", *words], capfd, status=2)
    assert message in said
    assert said.count("\n") == 1


def test_a_wrong_format_is_named(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--demo", "--recognizer", "digits", "--label-format", "[A-Z"])
    assert "'[A-Z' is no regular expression (unterminated character set" in capfd.readouterr().err


def test_engines_are_loaded_when_they_are_asked_for() -> None:
    code = (
        "import sys, stn_rectify.runtime\n"
        "print({'onnxruntime', 'pytesseract', 'rapidocr_onnxruntime'} & set(sys.modules) or 'none')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "none\n"
