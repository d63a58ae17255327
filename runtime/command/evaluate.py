"""``stn-rectify evaluate``: how well a model file finds the targets of annotated frames, on the device that runs it."""

from __future__ import annotations

import contextlib
import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stn_rectify.runtime.command.messages import model_line, other_targets_line, recognizer_line
from stn_rectify.runtime.command.options.recognition import RecognitionOptions, label_rules, open_recognizer
from stn_rectify.runtime.command.options.source import MAX_PIXELS
from stn_rectify.runtime.command.options.target import ModelOptions, open_rectifier
from stn_rectify.runtime.command.options.values import Count, pixel_count
from stn_rectify.runtime.command.parsing.option_groups import OptionGroup, flag, group, option, positionals, repeated
from stn_rectify.runtime.command.parsing.parser import OneLineParser, number, share, whole_number
from stn_rectify.runtime.errors import StnRectifyError, UsageError
from stn_rectify.runtime.evaluation.known_folder import KnownFolder, read_empty_folder, read_folder
from stn_rectify.runtime.evaluation.measures import measure
from stn_rectify.runtime.evaluation.search import FolderResults, FolderSearch
from stn_rectify.runtime.evaluation.sheet import folder_sheet, save_sheet
from stn_rectify.runtime.evaluation.tables import folder_tables, folder_values
from stn_rectify.runtime.files import partial_file
from stn_rectify.runtime.model.metadata import Metadata
from stn_rectify.runtime.pipeline import MAX_TARGETS
from stn_rectify.runtime.process.standard_streams import STDOUT_IS_CLOSED, escaped, is_stdout_open, say, write_stdout
from stn_rectify.runtime.process.stop_signals import INTERRUPTED, stop_signals
from stn_rectify.runtime.recognition.stage import RecognitionStage
from stn_rectify.runtime.results import FOUND_SCORE

_PROGRAM = "stn-rectify evaluate"
_LINE_EVERY_S = 10.0

_overlap = number("an overlap (IoU) above 0, to 1", lambda value: 0 < value <= 1)


@dataclass(frozen=True, kw_only=True)
class EvaluateOptions(OptionGroup):
    """All options of ``stn-rectify evaluate``."""

    folders: tuple[str, ...] = positionals(
        "a folder of annotated frames: truth.json or boxes.json in it or beside it (DIR.truth.json), COCO, YOLO-pose, "
        "YOLO-OBB, labelme, CVAT or CCPD; or the file of annotations",
        metavar="DIR",
        least=0,
    )
    empty: tuple[Path, ...] = repeated(
        "a folder of frames that show no target, which say in all tables what a score is worth; repeatable",
        Path,
        metavar="DIR",
    )
    max_targets: int = option(3, "results of a frame, at most (3)", whole_number(1, MAX_TARGETS), metavar="N")
    iou: float = option(0.5, "overlap from which on a target counts as found (0.5)", _overlap, metavar="X")
    min_score: float | None = option(None, "say what passes at this score, too, 0 to 1", share, metavar="S")
    max_pixels: Count = option(MAX_PIXELS, "larger images are refused (70M)", pixel_count, metavar="N")
    sheet: Path | None = option(
        None, "draw the best, median and worst targets, and empty frames that pass", Path, metavar="FILE.png"
    )
    json: str | None = option(
        None, "write all numbers, and what was found in each frame; - for standard output", metavar="FILE|-"
    )
    model: ModelOptions = group()
    reader: RecognitionOptions = group("texts")
    debug: bool = flag("print a traceback with an error")


def evaluate_parser() -> OneLineParser:
    """The command's parser."""
    parser = OneLineParser(
        prog=_PROGRAM,
        description="Looks for the targets of annotated frames, and says how well they were found.",
        epilog="Ctrl-C ends it with the tables of what was done. Status 1 if a frame or a folder could not be read.",
    )
    EvaluateOptions.add_to(parser)
    return parser


def evaluate(words: Sequence[str]) -> int:
    """Runs ``stn-rectify evaluate``: prints the tables of each folder.

    Args:
        words: what follows on the command line.

    Returns:
        The exit status: 1 if a frame or a folder failed, 130 if the run was interrupted, else 0.

    Raises:
        StnRectifyError: if the evaluation cannot begin, or its files cannot be written.
    """
    parser = evaluate_parser()
    options = EvaluateOptions.of(vars(parser.parse_args(words)))
    if not options.folders and not options.empty:
        parser.error("name a folder of annotated frames, or frames without targets by --empty DIR")
    for name, value in (("sheet", options.sheet), ("json", options.json)):
        if value is not None and str(value) in ("", "."):
            raise UsageError(f"--{name} is empty: give it a file, or leave it out")
    options.reader.check_together()
    if options.model.video_file is not None:
        raise UsageError(
            f"--output {options.model.video_file}: an evaluation has pictures in its --sheet, and no video"
        )
    if options.sheet is not None and options.sheet.suffix.lower() != ".png":
        raise UsageError(f"--sheet {options.sheet}: the sheet is a PNG: call it NAME.png")
    if not is_stdout_open() and (options.json == "-" or not (options.json or options.sheet)):
        raise StnRectifyError(STDOUT_IS_CLOSED)
    failures: list[StnRectifyError] = []

    def failed(error: StnRectifyError) -> None:
        say(f"{_PROGRAM}: error: {error}")
        failures.append(error)

    # These are strict: the tables of all others are about them, too.
    empty = [read_empty_folder(folder) for folder in options.empty]
    folders = _read_folders(options.folders, failed, is_alone=not empty)
    complete = _evaluate(options, folders, empty, failed)
    return INTERRUPTED if not complete else 1 if failures else 0


def _read_folders(
    names: Sequence[str], failed: Callable[[StnRectifyError], None], *, is_alone: bool
) -> list[KnownFolder]:
    """The folders that can be read; the errors of the others are said.

    Args:
        names: of the folders, or of their files of annotations.
        failed: called with the errors.
        is_alone: whether there is nothing to evaluate but these.

    Raises:
        StnRectifyError: if that leaves nothing to evaluate.
    """
    folders, errors = [], []
    for name in names:
        try:
            folders.append(read_folder(Path(name), failed))
        except StnRectifyError as error:
            errors.append(error)
    last = errors.pop() if errors and is_alone and not folders else None
    for unread in errors:
        failed(unread)
    if last is not None:
        raise last
    return folders


def _evaluate(
    options: EvaluateOptions,
    folders: Sequence[KnownFolder],
    empty: Sequence[KnownFolder],
    failed: Callable[[StnRectifyError], None],
) -> bool:
    """Tells whether it came to the end."""
    warned, rules = 0, label_rules(options.reader)

    def unread(error: StnRectifyError) -> None:
        nonlocal warned
        warned += 1
        if warned == 1:
            failed(StnRectifyError(f"{error}: such results count as not read"))

    with contextlib.ExitStack() as stack:
        recognizer = open_recognizer(
            options.reader, threads=options.model.threads, stack=stack, on_failure=unread, limits=options.model.limits
        )
        rectifier = stack.enter_context(open_rectifier(options.model, recognizer, smooth=False))
        say(model_line(rectifier))
        if recognizer is not None:
            say(recognizer_line(recognizer))
        others = other_targets_line(rectifier.model, recognizer)
        if others is not None:
            say(others)
        progress = _Progress()
        search = FolderSearch(
            rectifier,
            max_targets=options.max_targets,
            max_pixels=options.max_pixels.number,
            recognizer=None if recognizer is None else RecognitionStage(recognizer, rules=rules),
            on_error=failed,
            on_frame=progress.frame_done,
        )
        # The empty ones first: they say what a score is worth in the tables of all others.
        with stop_signals() as signals, signals.stopping(search, patience_s=0):
            searched = _search_all(search, (*empty, *folders), progress)
        min_scores = _min_scores(options, rectifier.model.metadata)
        _report(options, searched, len(empty), min_scores, model_line(rectifier), recognizer is not None)
    return not search.is_stopped


def _search_all(search: FolderSearch, folders: Sequence[KnownFolder], progress: _Progress) -> list[FolderResults]:
    """Searches one folder after the other, as far as it is not stopped."""
    searched = []
    for folder in folders:
        if folder.note:
            say(folder.note)
        progress.begin(folder)
        results = search.search(folder)
        if results.frames or not search.is_stopped:
            searched.append(results)
        if search.is_stopped:
            say(f"{_PROGRAM}: stopped after {len(results.frames)} of {len(folder.images)} frames of {folder.name}")
            break
    return searched


def _min_scores(options: EvaluateOptions, metadata: Metadata) -> list[tuple[float, str]]:
    """The scores that matter, the user's own last, and what they are."""
    own = metadata.min_score
    score, note = (FOUND_SCORE, "counts as found") if own is None else (own, "the model's own")
    if options.min_score == score:
        return [(score, f"{note}, --min-score")]
    return [(score, note)] + ([] if options.min_score is None else [(options.min_score, "--min-score")])


def _report(
    options: EvaluateOptions,
    searched: Sequence[FolderResults],
    count_empty: int,
    min_scores: Sequence[tuple[float, str]],
    title: str,
    reads_text: bool,
) -> None:
    """Prints the tables, and writes sheet and JSON."""
    of_empty = [frame for results in searched[:count_empty] for frame in results.frames]
    values, sheets = [], []
    for place, results in enumerate(searched):
        folder, frames = results.folder, results.frames
        others = of_empty if place >= count_empty else []
        measured = measure(
            folder.name,
            frames,
            others,
            boxes=folder.boxes,
            max_targets=options.max_targets,
            reads_text=reads_text,
            least_overlap=options.iou,
            min_scores=min_scores,
            failed=results.failed,
        )
        for line in (*folder_tables(measured).splitlines(), ""):
            if options.json == "-":
                say(line)
            elif is_stdout_open():
                write_stdout(f"{escaped(line)}\n")
        if options.json is not None:
            values.append(folder_values(measured, frames))
        if options.sheet is not None:
            sheets.append(
                folder_sheet(folder.name, frames, max_targets=options.max_targets, min_score=min_scores[-1][0])
            )
    if options.sheet is not None and sheets:
        save_sheet(options.sheet, title, sheets)
        say(f"wrote {options.sheet}")
    if options.json is not None:
        _write_json(options.json, {"model": title, "folders": values})


def _write_json(file: str, values: dict[str, Any]) -> None:
    # Bytes of a name that are no text are escaped, as JSON writes them, too.
    encoded = json.dumps(values, ensure_ascii=False, allow_nan=False).encode("utf-8", "backslashreplace")
    if file == "-":
        write_stdout(f"{encoded.decode()}\n")
        return
    with partial_file(Path(file)) as partial:
        partial.write_bytes(encoded + b"\n")
    say(f"wrote {file}")


class _Progress:
    """Says now and then how far a folder is."""

    def __init__(self) -> None:
        self._next_line = math.inf
        self._folder: KnownFolder | None = None

    def begin(self, folder: KnownFolder) -> None:
        self._folder, self._next_line = folder, time.monotonic() + _LINE_EVERY_S

    def frame_done(self, done: int) -> None:
        if self._folder is not None and time.monotonic() >= self._next_line:
            self._next_line = time.monotonic() + _LINE_EVERY_S
            say(f"{self._folder.name}: {done} of {len(self._folder.images)} frames")
