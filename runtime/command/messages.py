"""The lines for people that the command ``stn-rectify`` says."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from stn_rectify.runtime.errors import StnRectifyError, StnRectifyWarning, first_line
from stn_rectify.runtime.model.model_file import DEFAULT_MODEL, ModelFile, bundled_models
from stn_rectify.runtime.process.standard_streams import say
from stn_rectify.runtime.recognition.readers.guarded import GuardedRecognizer
from stn_rectify.runtime.recognition.recognizer import Recognizer
from stn_rectify.runtime.recognition.recognizer_file import RECOGNIZER_KIND, RecognizerFile
from stn_rectify.runtime.rectifying.rectifier import Rectifier
from stn_rectify.runtime.results import Rectification
from stn_rectify.runtime.sources import CameraInfo, CapturedFrame

_LABEL_CHARACTERS = 80  # of a text in the line about a result


@contextmanager
def warning_lines(program: str) -> Iterator[None]:
    """Makes each Python warning of the block a line for people: our own, and those of libraries."""
    with warnings.catch_warnings():
        warnings.simplefilter("default", StnRectifyWarning)

        def show(message: Warning | str, *_: object, **__: object) -> None:
            text = first_line(message) if isinstance(message, Warning) else message
            say(f"{program}: warning: {text}")

        warnings.showwarning = show
        yield


def error_line(program: str, error: Exception, *, debug: bool = False) -> str:
    """An error in one line: what is wrong and what to do; of one that nobody foresaw its kind and where to see more.

    Args:
        program: whose name the line begins with.
        error: the error.
        debug: whether its traceback is shown already.
    """
    if isinstance(error, StnRectifyError):
        return f"{program}: error: {error}"
    hint = "" if debug else " (run again with --debug for the traceback)"
    return f"{program}: error: unexpected {type(error).__name__}: {first_line(error)}{hint}"


def model_description(model: ModelFile) -> str:
    """The model's name, and what kind of file it is."""
    networks = f"{model.networks} networks, " if model.networks > 1 else ""
    return f"{model.metadata.name} (INT8, {model.metadata.kind}, {networks}{model.size_bytes / 1000:.0f} KB)"


def bundled_lines() -> Iterator[str]:
    """The models and recognizers that come with the package: names, kinds, sizes, and what they are for."""
    names = [*bundled_models(), *RECOGNIZER_KIND.bundled()]
    width = max(map(len, names))
    for name in bundled_models():
        model = ModelFile.open(name)
        mark = " (default)" if name == DEFAULT_MODEL else ""
        about = f": {model.metadata.description}" if model.metadata.description else ""
        yield f"model       {name:<{width}}  {model_description(model).partition(' ')[2]}{mark}{about}"
    for name in RECOGNIZER_KIND.bundled():
        yield f"recognizer  {name:<{width}}  {_recognizer_description(RecognizerFile.open(name))}"


def model_line(rectifier: Rectifier) -> str:
    """The model, the interpreter and how both are used."""
    metadata = rectifier.model.metadata
    threads = f"{rectifier.threads} thread{'s' if rectifier.threads > 1 else ''}"
    scan = "" if metadata.dense is None else f", scan {rectifier.scan}"
    passes = "" if metadata.refine is None else f", {_passes(rectifier.refine)}"
    return f"model {model_description(rectifier.model)} on {rectifier.package}, {threads}{scan}{passes}"


def one_target_line(rectifier: Rectifier, max_targets: int) -> str:
    """Why no more than one target is found with a model of one look, and which models find several."""
    finds = f"{rectifier.model.metadata.name} finds one target in a frame"
    return f"--max-targets {max_targets}: {finds}; for several: --model {' or '.join(_dense_models())}"


def one_look_line(rectifier: Rectifier, scan: str) -> str:
    """Why ``--scan`` changes nothing with a model of one look, and with which models it does."""
    looks = f"{rectifier.model.metadata.name} looks at each frame in one way"
    return f"--scan {scan}: {looks}; --model {' or '.join(_dense_models())} looks as closely as asked"


def other_targets_line(model: ModelFile, recognizer: Recognizer | GuardedRecognizer | None) -> str | None:
    """Which bundled model finds what a bundled recognizer reads; None where that one, or one's own, is used."""
    if not isinstance(recognizer, Recognizer) or not recognizer.file.is_bundled or not model.is_bundled:
        return None
    name = recognizer.file.name
    if model.metadata.name == name or name not in bundled_models():
        return None
    return f"--recognizer {name} reads what --model {name} finds: in other targets it reads what is not there"


def _dense_models() -> list[str]:
    return [name for name in bundled_models() if ModelFile.open(name).metadata.dense is not None]


def _passes(number: int) -> str:
    return f"{number} refinement pass{'es' if number != 1 else ''}"


def recognizer_line(recognizer: Recognizer | GuardedRecognizer) -> str:
    """The recognizer and how many classes or characters it knows, or what it says of itself."""
    if isinstance(recognizer, GuardedRecognizer):
        return f"recognizer {recognizer.description}"
    return f"recognizer {recognizer.file.name} {_recognizer_description(recognizer.file)}"


def _recognizer_description(file: RecognizerFile) -> str:
    kind = f"{'INT8' if file.is_integer else 'float'}, {file.size_bytes / 1000:.0f} KB"
    knows = f"{file.classes} classes" if file.sequence is None else f"texts of {file.classes - 1} characters"
    return f"({kind}, {knows})"


def result_line(frame: CapturedFrame, result: Rectification, *, verbose: bool = False) -> str:
    """The pose and, if there is one, the label that were found in one frame.

    Args:
        frame: as it is seen through the view.
        result: of a target in it.
        verbose: whether number of the frame, size of the rectified image, track and turn are said as well.
    """
    corners = " ".join(f"({x:.1f}, {y:.1f})" for x, y in result.corners)
    label = _label_phrase(result.label, result.label_score)
    if result.read is not None:
        label += f" (read {_one_line(result.read)!r})"
    page = "" if frame.page is None else f" page {frame.page}"
    number = f" frame {frame.index}" if verbose else ""
    more = "".join(f" · {part}" for part in _more(result)) if verbose else ""
    score = f"score {result.score:.2f}{label}"
    return f"{frame.source}{page}{number}: corners {corners} · {score} · {result.latency_ms:.1f} ms{more}"


def _more(result: Rectification) -> Iterator[str]:
    """What is said of a result only when somebody asks for more."""
    height, width = result.image.shape[:2]
    yield f"{width}x{height} px"
    if result.track is not None:
        yield f"track {result.track}"
    if result.turn is not None:
        yield f"turned by {90 * result.turn}°"
    if not result.found:
        yield "not found"


def _label_phrase(label: str | None, score: float | None) -> str:
    """The label in one line, and its score, if there is one; nothing where no recognizer said anything."""
    if label is None:
        return "" if score is None else f" · nothing known {score:.2f}"
    shown = _one_line(label)
    return f" · {shown}" if score is None else f" · {shown} {score:.2f}"


def _one_line(text: str) -> str:
    words = " / ".join(line.strip() for line in text.splitlines() if line.strip())
    return words if len(words) <= _LABEL_CHARACTERS else f"{words[: _LABEL_CHARACTERS - 1]}…"


def camera_lines(camera: CameraInfo) -> Iterator[str]:
    """A camera, and below it each pixel format with its frame sizes."""
    yield f"{camera.device}  {camera.name}" + (f"  [{camera.driver}]" if camera.driver else "")
    for fourcc, sizes in camera.formats.items():
        yield f"    {fourcc}  {' '.join(sizes)}".rstrip()
