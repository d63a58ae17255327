"""Texts read behind the rectifier, and by OCR engines on the whole frame: how many are right, and what a frame takes.

    python tests/benchmarks/reading.py FOLDER --model plates [--own plates] [--margin M] [--format REGEX] [--tesseract]
    python tests/benchmarks/reading.py --page LICENSE --model general [--tesseract]

The first takes the texts of annotated frames: a line each, of which letters and digits are compared as capitals; right
is who has all of them, of the whole frame in any line. The second lays pages of a text file into frames, at angles, and
counts the words of three letters or more that are read (each as often as it is there). All in one process, one thread,
by turns; times are medians of processor time, as machines are busy. ``--own`` is a network of ours, which is tried
behind the rectifier alone; what it reads is counted once more with O and 0, I and 1 as one, which plates write alike.
Needs the extra ``ocr`` (not with ``--own-alone``), and with ``--tesseract`` that one.
"""

from __future__ import annotations

import argparse
import itertools
import os
import re
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

os.environ.setdefault("OMP_THREAD_LIMIT", "1")  # Tesseract's

import cv2
import numpy as np
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont

from stn_rectify.runtime import LabelRules, RapidOcrRecognizer, Recognizer, Rectifier, TesseractRecognizer
from stn_rectify.runtime.evaluation.known_folder import read_folder
from stn_rectify.runtime.images.reading import read_image

PAGES = 6
_Engine = RapidOcrRecognizer | TesseractRecognizer
_ALIKE = str.maketrans("OI", "01")


def plain(text: str) -> str:
    return "".join(filter(str.isalnum, text)).upper()


def words(text: str) -> Counter[str]:
    return Counter(re.findall(r"[a-z]{3,}", text.lower()))


def page_frames(file: Path) -> Iterator[tuple[np.ndarray, str]]:
    """Frames 1280x960 of a page on a table, turned and tilted, and its text."""
    lines = [line.strip() for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
    font = ImageFont.load_default(size=34)
    for seed in range(PAGES):
        rng = np.random.default_rng(seed)
        shown = lines[seed * 22 : seed * 22 + 22]
        page = Pillow.new("RGB", (1300, 1400), (244, 242, 236))
        for number, line in enumerate(shown):
            ImageDraw.Draw(page).text((70, 80 + 56 * number), line, fill=(40, 38, 40), font=font)
        angle, tilt = rng.uniform(-25, 25), rng.uniform(0.1, 0.22, 2)
        half = np.array([[-1.0, -1.08], [1.0, -1.08], [1.0, 1.08], [-1.0, 1.08]])
        turn = np.deg2rad(angle)
        turned = half @ np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
        corners = 345 * turned / (1 + turned @ tilt * 0.8)[:, None] + (640, 480)
        table = cv2.resize(rng.integers(60, 120, (30, 40, 3), np.uint8), (1280, 960), interpolation=cv2.INTER_CUBIC)
        source = np.array([[0, 0], [1299, 0], [1299, 1399], [0, 1399]], np.float32)
        matrix = cv2.getPerspectiveTransform(source, corners.astype(np.float32))
        pixels = cv2.GaussianBlur(np.asarray(page)[..., ::-1], (0, 0), 0.8)
        cv2.warpPerspective(pixels, matrix, (1280, 960), dst=table, borderMode=cv2.BORDER_TRANSPARENT)
        noisy = table + rng.normal(0, 4, table.shape)
        yield np.clip(noisy, 0, 255).astype(np.uint8), "\n".join(shown)


def annotated_frames(folder: Path) -> Iterator[tuple[np.ndarray, str]]:
    for annotated in read_folder(folder, print).images:
        yield read_image(annotated.path), next((target.text or "" for target in annotated.targets), "")


def rectified_text(rectifier: Rectifier, reader: _Engine | Recognizer, frame: np.ndarray) -> str:
    size = reader.input_size if isinstance(reader, Recognizer) else reader.image_size
    found = reader.recognize(rectifier.sample_at(frame, rectifier.locate(frame), size))
    return "" if found is None else found.label


def whole_text(reader: _Engine, frame: np.ndarray) -> str:
    found = reader.recognize(frame)
    return "" if found is None else found.label


def processor_ms() -> float:
    """Of this process, and of the programs that it has run."""
    programs = os.times()  # in hundredths of a second, too coarse for networks
    return 1000 * (time.process_time() + programs.children_user + programs.children_system)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--page", type=Path)
    parser.add_argument("--model", default="plates")
    parser.add_argument("--margin", type=float, default=0.0)
    parser.add_argument("--format", default="")
    parser.add_argument("--no-whole", action="store_true", help="leave the whole frame out")
    parser.add_argument("--every", type=int, default=1, help="take every K-th frame only")
    parser.add_argument("--tesseract", action="store_true")
    parser.add_argument("--own", help="a bundled recognizer, or the path of one")
    parser.add_argument("--own-alone", action="store_true", help="leave the engines out")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    is_page = arguments.page is not None
    engines: dict[str, type[RapidOcrRecognizer] | type[TesseractRecognizer]] = {}
    if not arguments.own_alone:
        engines["rapidocr"] = RapidOcrRecognizer
    if arguments.tesseract:
        engines["tesseract"] = TesseractRecognizer
    readers: dict[str, _Engine | Recognizer] = {
        name: engine(text="block" if is_page else "line") for name, engine in engines.items()
    }
    if arguments.own:
        readers["own"] = Recognizer(arguments.own)
    whole = {name: engine(text="block") for name, engine in engines.items()}
    rules = LabelRules(format=arguments.format)
    right: dict[str, list[int]] = {}
    of: dict[str, int] = {}
    spent: dict[str, list[float]] = {}

    def judge(key: str, count: int, out_of: int = 1) -> None:
        right.setdefault(key, []).append(count)
        of[key] = of.get(key, 0) + out_of

    with Rectifier(arguments.model, margin=arguments.margin) as rectifier:
        frames = page_frames(arguments.page) if is_page else annotated_frames(arguments.folder)
        for frame, truth in itertools.islice(frames, 0, None, arguments.every):
            for name in readers:
                is_engine = name in whole
                for where in ("rectified", "whole frame") if is_engine and not arguments.no_whole else ("rectified",):
                    key, started = f"{name}, {where}", processor_ms()
                    if where == "rectified":
                        text = rectified_text(rectifier, readers[name], frame)
                    else:
                        text = whole_text(whole[name], frame)
                    spent.setdefault(key, []).append(processor_ms() - started)
                    if is_page:
                        judge(key, (words(truth) & words(text)).total(), words(truth).total())
                        continue
                    is_right = plain(truth) in map(plain, [text, *text.split("\n")])
                    judge(key, is_right)
                    if not is_engine:
                        judge(f"{key}, O as 0 and I as 1", plain(truth).translate(_ALIKE) == text.translate(_ALIKE))
                    if arguments.format and where == "rectified" and re.fullmatch(arguments.format, plain(truth)):
                        judge(f"{key}, texts of the format", is_right)
                        judge(f"{key}, these with --label-format", rules.label(plain(text)) == plain(truth))
    for key, marks in right.items():
        takes = f" · {np.median(spent[key]):.1f} ms" if key in spent else ""
        print(f"{key:50}{sum(marks):5} of {of[key]}, {100 * sum(marks) / of[key]:.1f} %{takes}")


if __name__ == "__main__":
    main()
