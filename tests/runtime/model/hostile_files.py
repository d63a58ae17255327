"""Model files that were altered with intent: what becomes of a process that opens and runs them.

    python tests/runtime/model/hostile_files.py --count 5000 --seed 0

Every mutant is whole as a file: its SHA-256 is computed anew. What is altered is what the flatbuffer says: numbers that
the reader reads (shapes, types, indices, options, quantization, constants that say shapes), any bytes, and pieces that
take each other's place. A process opens each and runs it on frames, first without the trial in another process, so that
the checks of the file are all there is; where that process dies, another one opens the file as every program does. The
table says how many ran, how many the checks refused in one line, how many the trial alone, how many raised something
else, and how many ended the process all the same.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import multiprocessing
import os
import random
import struct
import sys
import tempfile
import warnings
import zipfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from stn_rectify.runtime import ModelFile, Recognizer, Rectifier, StnRectifyError
from stn_rectify.runtime.closing import Closing
from stn_rectify.runtime.model import flatbuffer as reader
from stn_rectify.runtime.model.interpreter import find_interpreter_package
from stn_rectify.runtime.recognition.recognizer_file import RecognizerFile

_PATIENCE_S = 600.0
_NUMBERS = (0, 1, -1, 2, 3, 4, 7, 8, 127, -128, 255, 256, 1000, 65535, 65536, 2**31 - 1, -(2**31), 2**30)
_MAX_CONSTANT = 64  # bytes; of larger ones, which are weights, a few are altered


@dataclass(frozen=True)
class Seed:
    """A good file: its flatbuffer, what its metadata says (None: a recognizer of another maker), and its labels."""

    name: str
    flatbuffer: bytes
    metadata: dict[str, Any] | None
    labels: str = ""


@dataclass(frozen=True)
class Place:
    """A number in a flatbuffer: where it is, and its layout for `struct`."""

    position: int
    layout: str


def bundled_seeds() -> list[Seed]:
    """The files of the package: models, and the recognizer without its metadata."""
    seeds = []
    for name in ("single", "fast", "digits"):
        model = ModelFile.open(name)
        seeds.append(Seed(name, model.flatbuffer, json.loads(msgspec.json.encode(model.metadata)), _text(model.labels)))
    recognizer = RecognizerFile.open("digits")
    return [*seeds, Seed("digits.recognizer", recognizer.flatbuffer, None, _text(recognizer.labels))]


def _text(labels: tuple[str, ...]) -> str:
    return "\n".join(labels)


def made_seeds() -> list[Seed]:
    """Recognizers of the operators that other makers' files have, made by TensorFlow; none without it."""
    try:
        import tensorflow as tf
    except ImportError:
        return []

    @tf.function(input_signature=[tf.TensorSpec((1, 16, 24, 3), tf.float32)])
    def network(image: Any) -> Any:
        noise = np.random.default_rng(0).normal(size=(4, 4, 8, 3)).astype(np.float32)
        x = tf.nn.conv2d(image, tf.constant(noise[:3, :3].transpose(0, 1, 3, 2)), 1, "SAME")
        x = tf.nn.relu6(x + tf.reshape(tf.reduce_mean(x, axis=[1, 2]), [1, 1, 1, 8]))
        x = tf.image.resize(x, (12, 20)) + tf.image.resize(x, (12, 20), method="nearest")
        x = tf.pad(x, [[0, 0], [2, 2], [2, 2], [0, 0]]) * tf.pad(x, [[0, 0], [2, 2], [2, 2], [0, 0]], "REFLECT")
        x = tf.nn.depthwise_conv2d(x, tf.constant(noise[:3, :3, :, :1]), (1, 2, 2, 1), "SAME")
        x = tf.nn.depth_to_space(tf.concat(tf.split(x, 2, axis=3), axis=0)[:1], 2)
        x = tf.nn.conv2d_transpose(x, tf.constant(noise[:2, :2, :, :1]), (1, 2 * x.shape[1], 2 * x.shape[2], 8), 2)
        x = tf.transpose(tf.nn.max_pool2d(x, 2, 2, "VALID")[:, ::2, 1:, :], [0, 2, 1, 3])
        x = tf.gather(x, [0, 2, 1, 5], axis=3) - tf.reverse(x[..., :4], [1])
        x = tf.nn.space_to_depth(x[:, :8, :8], 2) + tf.tile(tf.fill([1, 4, 4, 1], 0.5), [1, 1, 1, 16])
        x = tf.matmul(tf.reshape(x, [1, 16, 16]), tf.reshape(x, [1, 16, 16]), transpose_b=True)
        x = tf.stack(tf.unstack(x, axis=1)[:4], axis=1) + tf.where(x[:, :4] > 0, x[:, 4:8], tf.exp(-(x[:, :4] ** 2)))
        x = tf.squeeze(tf.expand_dims(tf.reshape(x, [1, 64]), 1), [1])
        x = tf.matmul(x, tf.constant(noise.reshape(-1)[:320].reshape(64, 5)))
        return tf.nn.softmax(tf.nn.leaky_relu(x))

    seeds = []
    for name, quantized in (("float", False), ("quantized", True)):
        converter = tf.lite.TFLiteConverter.from_concrete_functions([network.get_concrete_function()])
        if quantized:
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            random_frames = np.random.default_rng(1).uniform(size=(8, 1, 16, 24, 3)).astype(np.float32)
            converter.representative_dataset = lambda frames=random_frames: ([frame] for frame in frames)
            converter.inference_input_type = converter.inference_output_type = tf.int8
        seeds.append(Seed(f"made {name}", converter.convert(), None))
    return seeds


def numbers_of(flatbuffer: bytes) -> list[Place]:
    """The numbers that the reader reads, with those of small constants, and some of large ones."""
    places: set[Place] = set()
    read_number, read_vector = reader.Table.number, reader.Table.vector

    def number(table: Any, slot: int, layout: str, default: int = 0) -> int:
        position = table._field(slot)
        if position is not None:
            places.add(Place(position, layout))
        return read_number(table, slot, layout, default)

    def vector(table: Any, slot: int, code: str) -> tuple[Any, ...]:
        start, length = table._vector(slot, struct.calcsize(f"<{code}"))
        size = struct.calcsize(f"<{code}")
        places.update(Place(start + k * size, f"<{code}") for k in range(min(length, 32)))
        return read_vector(table, slot, code)

    reader.Table.number, reader.Table.vector = number, vector  # type: ignore[method-assign]
    try:
        graph = reader.read_flatbuffer(flatbuffer)
        for subgraph in graph.subgraphs:
            for operator in subgraph.operators:
                for slot in range(8):
                    if operator.options is not None:
                        operator.options.number(slot, "<b")
    finally:
        reader.Table.number, reader.Table.vector = read_number, read_vector  # type: ignore[method-assign]
    start = np.frombuffer(flatbuffer, np.uint8).__array_interface__["data"][0]
    for tensor in (tensor for subgraph in graph.subgraphs for tensor in subgraph.tensors):
        if tensor.data is not None and len(tensor.data) >= 4:
            first = np.frombuffer(tensor.data, np.uint8).__array_interface__["data"][0] - start
            places.update(Place(first + k, "<i") for k in range(0, min(len(tensor.data), _MAX_CONSTANT) - 3, 4))
    return sorted(places, key=lambda place: (place.position, place.layout))


def mutants(seeds: list[Seed], count: int, seed: int) -> Iterator[tuple[str, Seed, bytes]]:
    """Altered flatbuffers: what was done to which file, and the bytes. The same seed gives the same ones."""
    chance = random.Random(seed)
    places = [numbers_of(one.flatbuffer) for one in seeds]
    for number in range(count):
        which = number % len(seeds)
        kind = chance.choice(("number", "number", "numbers", "bit", "bits", "swap", "copy"))
        content = bytearray(seeds[which].flatbuffer)
        for _ in range({"numbers": 4, "bits": 8}.get(kind, 1)):
            if kind in ("number", "numbers"):
                _alter(content, chance.choice(places[which]), chance)
            elif kind in ("bit", "bits"):
                content[_some_position(places[which], content, chance)] ^= 1 << chance.randrange(8)
            else:
                first, second = (chance.choice(places[which]).position & ~3 for _ in range(2))
                one, other = content[first : first + 4], content[second : second + 4]
                content[first : first + 4] = other
                if kind == "swap":
                    content[second : second + 4] = one
        content[4:8] = b"TFL3"
        yield kind, seeds[which], bytes(content)


def _alter(content: bytearray, place: Place, chance: random.Random) -> None:
    if place.layout in ("<f", "<d"):
        value: Any = chance.choice((0.0, -1.0, 1e-38, 1e-9, 1e9, 3e38, float("inf"), float("nan"), chance.gauss(0, 1)))
        struct.pack_into(place.layout, content, place.position, value)
        return
    size = struct.calcsize(place.layout)
    old = int.from_bytes(content[place.position : place.position + size], "little")
    new = chance.choice((*_NUMBERS, old + 1, old - 1, old * 2, old // 2, chance.randrange(40)))
    content[place.position : place.position + size] = (new % 2 ** (8 * size)).to_bytes(size, "little")


def _some_position(places: list[Place], content: bytearray, chance: random.Random) -> int:
    if chance.random() < 0.8:
        return min(len(content) - 1, max(0, chance.choice(places).position + chance.randrange(-8, 9)))
    return chance.randrange(len(content))


def whole_file(seed: Seed, flatbuffer: bytes) -> bytes:
    """A file of this flatbuffer, with a SHA-256 that is right."""
    content = BytesIO()
    content.write(flatbuffer)
    with zipfile.ZipFile(content, "a") as archive:
        if seed.metadata is not None:
            told = {"bytes": len(flatbuffer), "sha256": hashlib.sha256(flatbuffer).hexdigest()}
            archive.writestr("metadata.json", json.dumps({**seed.metadata, "flatbuffer": told}))
        archive.writestr("labels.txt", seed.labels)
    return content.getvalue()


def outcome_of(path: Path, is_recognizer: bool, frames: list[np.ndarray]) -> str:
    """What becomes of a file: ``"runs"``, ``"refused: …"`` or ``"raises: …"``."""
    try:
        if is_recognizer:
            with Recognizer(path) as recognizer:
                for frame in frames:
                    recognizer.recognize(frame)
        else:
            with Rectifier(path, scan="fast") as rectifier:
                for frame in frames:
                    rectifier.rectify_all(frame)
    except StnRectifyError as error:
        return f"refused: {error}"
    except Exception as error:
        return f"raises: {type(error).__name__}: {error}"
    return "runs"


def frames_to_try() -> list[np.ndarray]:
    """Black, white and noise."""
    noise = np.random.default_rng(0).integers(0, 256, (120, 160, 3), np.uint8)
    return [np.zeros_like(noise), np.full_like(noise, 255), noise]


def _serve(pipe: Any, trial: bool, cache: Path) -> None:
    os.environ["XDG_CACHE_HOME"] = str(cache)
    if not trial:
        from stn_rectify.runtime.model import trial as trials

        trials._try = lambda *_: None  # type: ignore[assignment]
    warnings.simplefilter("ignore")
    frames = frames_to_try()
    while True:
        path, is_recognizer = pipe.recv()
        pipe.send(outcome_of(path, is_recognizer, frames))


class Worker(Closing):
    """A process that opens files, made anew when one ends it.

    Args:
        trial: whether it opens each in another process first.
        cache: where it remembers that this went well.
    """

    def __init__(self, *, trial: bool, cache: Path) -> None:
        self._trial, self._cache = trial, cache
        self._start()

    def try_file(self, path: Path, is_recognizer: bool) -> str:
        """`outcome_of` a file, or ``"dies: …"``."""
        self._pipe.send((path, is_recognizer))
        try:
            if self._pipe.poll(_PATIENCE_S):
                return str(self._pipe.recv())
            outcome = "dies: it hangs"
        except (EOFError, OSError):
            self._process.join(10)
            outcome = f"dies: {self._process.exitcode}"
        self.close()
        self._start()
        return outcome

    def close(self) -> None:
        """Ends the process."""
        self._process.kill()
        self._process.join()
        self._pipe.close()

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, self._trial, self._cache), daemon=True)
        self._process.start()
        theirs.close()


def fuzz(seeds: list[Seed], count: int, seed: int, *, keep: Path | None = None, progress: bool = False) -> Counter[str]:
    """How many mutants ran, were refused, by the trial alone, raised something else or ended the process.

    Args:
        seeds: are altered.
        count: of mutants.
        seed: of the random numbers.
        keep: a folder for files that raise, or end a process.
        progress: whether to print what becomes of these.
    """
    outcomes: Counter[str] = Counter()
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        bold, careful = (stack.enter_context(Worker(trial=trial, cache=folder / "cache")) for trial in (False, True))
        path = folder / "mutant.tflite"
        for number, (kind, origin, flatbuffer) in enumerate(mutants(seeds, count, seed)):
            path.write_bytes(whole_file(origin, flatbuffer))
            outcome = bold.try_file(path, origin.metadata is None)
            if outcome.startswith("dies"):
                alone, outcome = outcome, careful.try_file(path, origin.metadata is None)
                outcome = outcome.replace("refused", f"refused by the trial alone (it {alone})", 1)
            word = outcome.partition(":")[0].partition(" (")[0]
            outcomes[word] += 1
            if word not in ("runs", "refused"):
                if progress:
                    print(number, origin.name, kind, outcome, flush=True)
                if keep is not None:
                    (keep / f"{seed}-{number}.tflite").write_bytes(path.read_bytes())
            if progress and number % 250 == 249:
                print(number + 1, dict(outcomes), flush=True)
    return outcomes


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=5000, help="mutants")
    parser.add_argument("--seed", type=int, default=0, help="of the random numbers")
    parser.add_argument("--keep", type=Path, help="a folder for files that end a process or raise")
    options = parser.parse_args()
    if options.keep is not None:
        options.keep.mkdir(parents=True, exist_ok=True)
    seeds = [*bundled_seeds(), *made_seeds()]
    print(find_interpreter_package(), "seeds:", ", ".join(seed.name for seed in seeds), flush=True)
    for seed in seeds:  # each must be good, or its mutants tell nothing
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "seed.tflite"
            path.write_bytes(whole_file(seed, seed.flatbuffer))
            outcome = outcome_of(path, seed.metadata is None, frames_to_try())
            assert outcome == "runs", f"{seed.name}: {outcome}"
    outcomes = fuzz(seeds, options.count, options.seed, keep=options.keep, progress=True)
    print(options.count, "mutants:", dict(outcomes))
    sys.exit(1 if outcomes["dies"] or outcomes["raises"] else 0)


if __name__ == "__main__":
    main()
