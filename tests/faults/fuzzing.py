"""Whatever stands in a file is taken, or refused in one line: models, recognizers, images, TOML, labels, metadata.

    python tests/faults/fuzzing.py [--count 10000] [--seed 0] [TARGET...]
    python tests/faults/fuzzing.py --coverage [--seconds 600] [TARGET...]    # atheris, guided by which lines run

Inputs are good files that were altered byte by byte, and texts that hypothesis makes of the pieces such files are made
of. The table says how many there were, how many were taken, how many refused with an error of the package, and how many
did anything else, which is a fault; each fault is printed with its input. tests/runtime/model/hostile_files.py alters
models below their checksum, and runs them.
"""

from __future__ import annotations

import argparse
import gc
import importlib.util
import json
import mmap
import os
import random
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from types import FunctionType

import cv2
import msgspec
import numpy as np
from PIL import Image

from stn_rectify.runtime import ModelFile, StnRectifyError
from stn_rectify.runtime.command.options.run_options import parse_options
from stn_rectify.runtime.images.reading import read_pages
from stn_rectify.runtime.model.labels import read_labels
from stn_rectify.runtime.model.metadata import parse_metadata, parse_recognizer_metadata
from stn_rectify.runtime.recognition.label_rules import read_known, read_names
from stn_rectify.runtime.recognition.recognizer_file import RecognizerFile

_DATA = Path(__file__).parents[2] / "runtime" / "data"
_KEYS = (
    "camera", "image", "video", "model", "threads", "roi", "output", "output-size", "min-score", "jsonl", "save",
    "max-targets", "smooth", "rotation", "recognizer", "label-format", "label-characters", "scan", "margin", "fps",
)  # fmt: skip
_PIECES = (
    b"", b"\x00", b"\xff", b"\xef\xbb\xbf", b"\n", b"\r\n", b"=", b"[", b"]", b"{", b"}", b'"', b"'", b"#", b",", b":",
    b"-", b"\t", b"nan", b"inf", b"-1", b"1e999", b"0x", b"9" * 40, b"true", b"null", b"\\u0000", b"\\ud800", b"[[[[",
    "Ä".encode(), "\u2028".encode(), b"a" * 300,
)  # fmt: skip
_COVERED = ("stn_rectify", "PIL", "tomllib", "json", "zipfile", "csv", "shlex", "argparse")  # what atheris looks at
_MOST_REPORTS = 5  # of a target


@dataclass(frozen=True)
class Target:
    """What reads a file: ``read`` takes its content, ``seeds`` are good ones, ``words`` what texts are made of."""

    read: Callable[[bytes], object]
    seeds: tuple[bytes, ...]
    words: tuple[bytes, ...] = ()


def _from_file(read: Callable[[Path], object], name: str) -> Callable[[bytes], object]:
    def call(content: bytes) -> object:
        with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
            file = Path(folder) / name
            file.write_bytes(content)
            return read(file)

    return call


def _images() -> tuple[bytes, ...]:
    pixels = np.random.default_rng(0).integers(0, 256, (24, 32, 3), np.uint8)
    encoded = [cv2.imencode(kind, pixels)[1].tobytes() for kind in (".jpg", ".png", ".bmp", ".tiff", ".webp", ".ppm")]
    picture, kept = Image.fromarray(pixels), BytesIO()
    picture.save(kept, "GIF", save_all=True, append_images=[picture])
    tiff = BytesIO()
    picture.save(tiff, "TIFF", save_all=True, append_images=[picture.convert("L")], compression="tiff_lzw")
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = BytesIO()
    picture.save(turned, "JPEG", exif=exif)
    return (*encoded, kept.getvalue(), tiff.getvalue(), turned.getvalue())


def targets() -> dict[str, Target]:
    """All of them, by name."""
    model, recognizer = (_DATA / "fast.tflite").read_bytes(), (_DATA / "digits.recognizer.tflite").read_bytes()
    metadata = tuple(msgspec.json.encode(ModelFile.open(name).metadata) for name in ("fast", "single", "general"))
    keys = tuple(sorted({f'"{key}":'.encode() for text in metadata for key in _all_keys(json.loads(text))}))
    toml = b'camera = "0"\nthreads = 2\nroi = "0.25,0.25,0.5,0.5"\nmin-score = 0.5\nsmooth = true\nsave = ["a"]\n'
    names = b"A = the first\n'B 2': second\nC\tthird\n"
    return {
        "toml": Target(
            _from_file(lambda file: parse_options(["--demo", "--config", str(file)]), "options.toml"),
            (toml, b'model = "fast"\n[table]\nx = 1\n'),
            tuple(f"{key} = ".encode() for key in _KEYS),
        ),
        "labels": Target(
            _from_file(read_labels, "labels.txt"),
            (b"one\ntwo\nthree\n", b"0 zero\n1 one\n"),
            (b"one", b"0 ", b"{", b'"0": '),
        ),
        "known": Target(_from_file(read_known, "known.txt"), (b"AB12 CDE\n# none\nX\n",), (b"AB12", b"# ")),
        "names": Target(_from_file(read_names, "names.txt"), (names, b'{"A": "first", "B": "b"}'), (b'"A": ', b"A = ")),
        "metadata": Target(parse_metadata, metadata, keys),
        "recognizer-metadata": Target(parse_recognizer_metadata, (b'{"format": "stn-rectify recognizer"}',), keys),
        "images": Target(lambda content: list(read_pages(BytesIO(content), "image", max_pixels=10**6)), _images()),
        "models": Target(_from_file(ModelFile.open, "model.tflite"), (model,)),
        "recognizers": Target(_from_file(RecognizerFile.open, "recognizer.tflite"), (recognizer,)),
    }


def _all_keys(value: object) -> set[str]:
    if isinstance(value, dict):
        return set(value).union(*map(_all_keys, value.values()))
    return set().union(*map(_all_keys, value)) if isinstance(value, list) else set()


def altered(target: Target, dice: random.Random) -> bytes:
    """A good file with a few alterations: bits, pieces put in, taken out, doubled, exchanged, and ends cut off."""
    while (content := _altered(target, dice)) in target.seeds:
        pass
    return content


def _altered(target: Target, dice: random.Random) -> bytes:
    content = bytearray(dice.choice(target.seeds))
    pieces = _PIECES + target.words
    for _ in range(dice.randint(1, 6)):
        place = dice.randrange(len(content) + 1)
        end = min(len(content), place + dice.choice((1, 2, 4, 16, 64)))
        match dice.randrange(7):
            case 0 if content:
                content[place % len(content)] ^= 1 << dice.randrange(8)
            case 1:
                content[place:place] = dice.choice(pieces)
            case 2:
                del content[place:end]
            case 3:
                content[place:place] = content[place:end] * dice.choice((1, 3, 50))
            case 4:
                content[place:end] = dice.choice(pieces)
            case 5:
                content[place:end] = dice.randbytes(end - place)
            case _ if dice.random() < 0.2:
                del content[place:]
    return bytes(content)


def tried(target: Target, content: bytes) -> str:
    """What becomes of an input: ``taken``, ``refused``, or what else it did.

    Raises:
        Exception: never; what the reader raised is what else it did.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            target.read(content)
        except StnRectifyError as error:
            return "refused" if "\n" not in str(error) and str(error) else f"an error of several lines: {error}"
        except SystemExit as error:
            return f"it ended the process with {error.code}"
        except Exception as error:
            return f"{type(error).__name__}: {error}"
    return "taken"


def fuzz(name: str, count: int, seed: int, *, report: Callable[[str], object] = print) -> Counter[str]:
    """Tries so many inputs of a target, half of them altered files, half texts where the target reads texts.

    Returns:
        How many were ``taken``, ``refused``, and ``faults``.
    """
    target, dice, outcomes = targets()[name], random.Random(f"{name} {seed}"), Counter[str]()

    def count_one(content: bytes) -> None:
        outcome = tried(target, content)
        outcomes[outcome if outcome in ("taken", "refused") else "faults"] += 1
        if outcome not in ("taken", "refused") and outcomes["faults"] <= _MOST_REPORTS:
            report(f"{name}: {outcome}\n    {content[:400]!r}")

    texts = count // 2 if target.words else 0
    for _ in range(count - texts):
        count_one(altered(target, dice))
    if texts:
        _try_texts(target, texts, seed, count_one)
    return outcomes


def _try_texts(target: Target, count: int, seed: int, call: Callable[[bytes], None]) -> None:
    import hypothesis
    from hypothesis import strategies as some

    values = some.one_of(some.sampled_from(_PIECES), some.integers(), some.floats(), some.booleans(), some.text())
    words = values.map(lambda value: value if isinstance(value, bytes) else _as_text(value))
    line = some.lists(some.one_of(some.sampled_from(target.words), words), max_size=6).map(b"".join)
    content = some.one_of(
        some.lists(line, max_size=8).map(b"\n".join),
        some.recursive(
            some.none() | some.booleans() | some.integers() | some.floats() | some.text(),
            lambda inner: (
                some.lists(inner, max_size=4)
                | some.dictionaries(some.sampled_from(_names(target)) | some.text(), inner, max_size=6)
            ),
        ).map(lambda value: json.dumps(value).encode()),
        some.binary(max_size=200),
    )

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=count,
        database=None,
        deadline=None,
        suppress_health_check=list(hypothesis.HealthCheck),
        phases=[hypothesis.Phase.generate],
    )
    @hypothesis.given(content)
    def run(made: bytes) -> None:
        call(made)

    run()


def _as_text(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")


def _names(target: Target) -> list[str]:
    return [word.decode().strip('": =') for word in target.words] or ["a"]


def cover(name: str, seconds: int, seed: int) -> Counter[str]:
    """Runs atheris on a target, in a process of its own, since it ends the one that it runs in.

    Returns:
        How many inputs were ``taken``, ``refused``, and ``faults``: after the first fault it ends, and its input lies
        in the working folder as ``fault-NAME``, or ``timeout-…`` or ``oom-…`` of libFuzzer.
    """
    target, kinds = targets()[name], ("taken", "refused", "faults")
    counts = np.frombuffer(mmap.mmap(-1, 8 * len(kinds)), np.int64)  # seen by both processes
    with tempfile.TemporaryDirectory(prefix="corpus-") as folder:
        for number, content in enumerate(target.seeds):
            (Path(folder) / f"{number}").write_bytes(content)
        sys.stdout.flush()
        if (child := os.fork()) == 0:
            _cover_here(
                name, target, counts, ["-timeout=60", f"-max_total_time={seconds}", f"-seed={seed + 1}", folder]
            )
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status and not counts[2]:
        counts[2] = 1  # a hang, too much memory, or a signal
    return Counter(dict(zip(kinds, counts.tolist(), strict=True)))


def _cover_here(name: str, target: Target, counts: np.ndarray, words: list[str]) -> None:
    import atheris

    for content in target.seeds:  # imports what is imported where it is used
        tried(target, content)
    for function in gc.get_objects():
        if isinstance(function, FunctionType) and str(function.__module__).split(".")[0] in _COVERED:
            atheris.instrument_func(function)

    def one(content: bytes) -> None:
        outcome = tried(target, content)
        if content in target.seeds:  # now and then an alteration gives what there was
            return
        counts[{"taken": 0, "refused": 1}.get(outcome, 2)] += 1
        if outcome not in ("taken", "refused"):
            Path(f"fault-{name}").write_bytes(content)
            raise AssertionError(f"{name}: {outcome}: {content[:400]!r}, kept as fault-{name}")

    atheris.Setup(["fuzzing", "-max_len=200000", *words], one)
    atheris.Fuzz()


def main() -> int:
    """Prints the table; returns 1 if there was a fault."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = [*targets()]
    parser.add_argument("targets", nargs="*", choices=[*names, []], metavar="TARGET", help=", ".join(names))
    parser.add_argument("--count", type=int, default=10_000, metavar="N", help="inputs of each target (10000)")
    parser.add_argument("--seed", type=int, default=0, metavar="N")
    parser.add_argument("--coverage", action="store_true", help="by atheris, guided by which lines run")
    parser.add_argument("--seconds", type=int, default=600, metavar="S", help="of each target, with --coverage (600)")
    options = parser.parse_args()
    if options.coverage and importlib.util.find_spec("atheris") is None:
        parser.error("--coverage needs atheris: pip install atheris")
    print("| target | inputs | taken | refused in one line | anything else |\n|---|---|---|---|---|")
    faults = 0
    for name in options.targets or names:
        if options.coverage:
            found = cover(name, options.seconds, options.seed)
        else:
            found = fuzz(name, options.count, options.seed, report=lambda text: print(text, file=sys.stderr))
        faults += found["faults"]
        row = (name, found.total(), found["taken"], found["refused"], found["faults"])
        with suppress(BrokenPipeError):
            print(f"| {' | '.join(map(str, row))} |", flush=True)
    return int(faults > 0)


if __name__ == "__main__":
    sys.exit(main())
