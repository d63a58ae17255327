"""Small model files whose answers are known, made with TensorFlow, and frames."""

from __future__ import annotations

import functools
import hashlib
import json
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from tests.runtime.certificates import MakeFiles, make_files_in
from tests.runtime.model.spoilt_files import Parts, parts_of

FRACTIONAL_BITS = 20
DENSE_STRIDE = 8
THETA = (0.6, -0.2, 0.1, 0.25, 0.7, -0.05, 0.1, -0.08)  # rotated, shrunk, and seen in perspective

ModelFactory = Callable[..., Path]


@pytest.fixture(scope="session")
def make_model(tmp_path_factory: pytest.TempPathFactory) -> ModelFactory:
    """Makes a model file with a given θ; the same arguments give the same file.

    θ is constant but for its third number, to which the red (or grey) level of the input's last pixel adds up
    to 0.1. The score is the red level of the input's first pixel, as a fraction of 256. An in-graph file
    gives the input turned by 180° as its rectified image, which is right for the θ of half a turn only.

    ``refine`` adds a second network that is made in the same way: its arguments, and what metadata.json says of it.
    ``turn`` adds a turn network with that threshold: the brightest of the target's four edges is its top.
    """
    made: dict[str, Path] = {}

    def make(
        theta: tuple[float, ...] = THETA,
        shape: tuple[int, int, int] = (32, 48, 3),
        *,
        in_graph: bool = False,
        score: bool = True,
        padding: str = "zeros",
        value_range: tuple[float, float] = (0.0, 1.0),
        refine: dict[str, Any] | None = None,
        turn: float | None = None,
    ) -> Path:
        key = repr((theta, shape, in_graph, score, padding, value_range, refine, turn))
        if key not in made:
            flatbuffer, second = _convert(theta, shape, in_graph, score), None
            if refine is not None:
                flatbuffer, second = _with_refine(flatbuffer, value_range=value_range, **refine)
            third: dict[str, Any] = {}
            if turn is not None:
                flatbuffer, spec = _with_turn(flatbuffer, turn)
                third = {"turn": spec}
            path = tmp_path_factory.mktemp("models") / f"model{len(made)}.tflite"
            metadata = _metadata(flatbuffer, len(theta), shape, in_graph, score, padding, value_range)
            metadata |= ({} if second is None else {"refine": second}) | third
            made[key] = write_model(path, flatbuffer, metadata)
        return made[key]

    return make


@pytest.fixture(scope="session")
def make_dense_model(tmp_path_factory: pytest.TempPathFactory) -> ModelFactory:
    """Makes a dense file whose answers the frame itself spells out; the same arguments give the same file.

    A cell's score is the red level of the pixel that it looks at, as a fraction of 256. Its corners are those of an
    upright rectangle around that pixel, half of whose width, in pixels of the level, is half the green level, and half
    of whose height is a quarter of it. So a blob of one colour in the frame is a target at each of its cells.

    ``levels`` are heights and widths, finest first; ``refine`` and ``turn`` as in ``make_model``; ``whole``: θ, shape,
    score and weight of a network that sees the whole frame once, made as that of ``make_model``; what else there is
    goes into the metadata.
    """
    made: dict[str, Path] = {}

    def make(
        levels: tuple[tuple[int, int], ...] = ((96, 128), (48, 64)),
        *,
        channels: int = 3,
        whole: dict[str, Any] | None = None,
        refine: dict[str, Any] | None = None,
        turn: float | None = None,
        **extra: Any,
    ) -> Path:
        key = repr((levels, channels, whole, refine, turn, extra))
        if key not in made:
            pytest.importorskip("tensorflow", reason="the test models are made with TensorFlow")
            from stn_rectify.converters.tflite.joining import join_subgraph

            names = ["serving_default", *(f"dense_{width}x{height}" for height, width in levels[1:])]
            flatbuffer = _convert_dense((*levels[0], channels))
            for name, level in zip(names[1:], levels[1:], strict=True):
                flatbuffer = join_subgraph(flatbuffer, _convert_dense((*level, channels)), name)
            second: dict[str, Any] = {}
            if whole is not None:
                flatbuffer, spec = _with_whole(flatbuffer, **whole)
                second |= {"whole": spec}
            if refine is not None:
                flatbuffer, spec = _with_refine(flatbuffer, value_range=(0.0, 1.0), **refine)
                second |= {"refine": spec}
            if turn is not None:
                flatbuffer, spec = _with_turn(flatbuffer, turn)
                second |= {"turn": spec}
            metadata = _metadata(flatbuffer, 8, (*levels[0], channels), False, True, "border", (0.0, 1.0))
            del metadata["outputs"]
            pixels = [
                {"signature": name, "height": height, "width": width}
                for name, (height, width) in zip(names, levels, strict=True)
            ]
            dense = {
                "levels": pixels,
                "stride": DENSE_STRIDE,
                "unit": 32.0,
                "score": {"scale": 1 / 256, "zero_point": -128},
                "corners": {"scale": 1 / 32, "zero_point": 0},  # a pixel
            }
            path = tmp_path_factory.mktemp("models") / f"dense{len(made)}.tflite"
            made[key] = write_model(path, flatbuffer, metadata | {"kind": "dense", "dense": dense} | second | extra)
        return made[key]

    return make


def write_model(path: Path, flatbuffer: bytes, metadata: dict[str, Any], labels: str = "") -> Path:
    """Writes a model file as docs/reference/model-file.md describes it."""
    path.write_bytes(flatbuffer)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("metadata.json", json.dumps(metadata))
        archive.writestr("labels.txt", labels)
    return path


@pytest.fixture
def model(make_model: ModelFactory) -> Path:
    return make_model()


@pytest.fixture(scope="session")
def make_files(tmp_path_factory: pytest.TempPathFactory) -> MakeFiles:
    """A certificate and its key, in a folder of their own; see `make_files_in`."""
    return lambda **options: make_files_in(tmp_path_factory.mktemp("tls"), **options)


@pytest.fixture(scope="session")
def model_parts(make_model: ModelFactory) -> Parts:
    """Flatbuffer and metadata of a good pose-only file, to be spoilt."""
    return parts_of(make_model())


@pytest.fixture(scope="session")
def refined_parts(make_model: ModelFactory) -> Parts:
    """Flatbuffer and metadata of a good file of two networks."""
    return parts_of(make_model(refine={"theta": (0.7, 0, 0, 0, 0.7, 0, 0, 0)}))


@pytest.fixture
def rewrite(tmp_path: Path, model_parts: tuple[bytes, dict[str, Any]]) -> Callable[..., Path]:
    """Writes the good model again with another flatbuffer (its SHA-256 fitting) or other metadata."""

    def write(flatbuffer: bytes = model_parts[0], metadata: dict[str, Any] = model_parts[1]) -> Path:
        facts = {"bytes": len(flatbuffer), "sha256": hashlib.sha256(flatbuffer).hexdigest()}
        return write_model(tmp_path / "rewritten.tflite", flatbuffer, {**metadata, "flatbuffer": facts})

    return write


@pytest.fixture
def frame() -> np.ndarray:
    """A smooth BGR frame, 240×320, its last corner black so that the test models leave θ as it is."""
    y, x = np.mgrid[:240, :320]
    blue = 127 + 100 * np.sin(x / 40) * np.cos(y / 30)
    frame = np.stack([blue, x * 255 / 319, y * 255 / 239], axis=-1).round().astype(np.uint8)
    frame[200:, 280:] = 0
    return frame


@pytest.fixture
def images(tmp_path: Path, frame: np.ndarray) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    for name in ("one.png", "two.jpg", "three.png"):
        cv2.imwrite(str(folder / name), frame)
    return folder


@functools.cache
def _convert(theta: tuple[float, ...], shape: tuple[int, int, int], in_graph: bool, score: bool) -> bytes:
    tf = pytest.importorskip("tensorflow", reason="the test models are made with TensorFlow")
    fixed = np.round(np.array([theta]) * 2**FRACTIONAL_BITS).astype(np.int32)
    shift = np.zeros_like(fixed)
    shift[0, 2] = round(0.1 / 255 * 2**FRACTIONAL_BITS)
    height, width, channels = shape

    @tf.function(input_signature=[tf.TensorSpec((1, *shape), tf.int8, name="frame")])
    def network(frame: Any) -> dict[str, Any]:
        last = tf.cast(tf.slice(frame, [0, height - 1, width - 1, 0], [1, 1, 1, 1]), tf.int32)
        outputs = {"theta": (tf.reshape(last, [1, 1]) + 128) * shift + fixed}
        if score:
            outputs["score"] = tf.reshape(tf.slice(frame, [0, 0, 0, 0], [1, 1, 1, 1]), [1, 1])
        if in_graph:
            pixels = tf.reshape(frame, [height * width, channels])
            turned = tf.gather(pixels, tf.constant(np.arange(height * width)[::-1], tf.int32))
            outputs["rectified"] = tf.reshape(turned, [1, *shape])
        return outputs

    module = tf.Module()
    module.network = network
    with tempfile.TemporaryDirectory() as folder:
        tf.saved_model.save(module, folder, signatures={"serving_default": network})
        flatbuffer: bytes = tf.lite.TFLiteConverter.from_saved_model(folder).convert()
    return flatbuffer


@functools.cache
def _convert_dense(shape: tuple[int, int, int]) -> bytes:
    """One level of `make_dense_model`."""
    tf = pytest.importorskip("tensorflow", reason="the test models are made with TensorFlow")
    width = np.arange(256) // 2
    height = width // 2
    first = DENSE_STRIDE // 2 - 1

    @tf.function(input_signature=[tf.TensorSpec((1, *shape), tf.int8, name="frame")])
    def network(frame: Any) -> dict[str, Any]:
        looked_at = frame[:, first::DENSE_STRIDE, first::DENSE_STRIDE, :]
        green = tf.cast(looked_at[..., min(1, shape[2] - 1)], tf.int32) + 128
        right, down = (tf.gather(tf.constant(table, tf.int8), green) for table in (width, height))
        left, up = (tf.gather(tf.constant(-table, tf.int8), green) for table in (width, height))
        corners = tf.stack([left, up, right, up, right, down, left, down], axis=-1)
        return {"score": looked_at[..., :1], "corners": corners}

    module = tf.Module()
    module.network = network
    with tempfile.TemporaryDirectory() as folder:
        tf.saved_model.save(module, folder, signatures={"serving_default": network})
        flatbuffer: bytes = tf.lite.TFLiteConverter.from_saved_model(folder).convert()
    return flatbuffer


def _with_whole(
    flatbuffer: bytes,
    *,
    theta: tuple[float, ...],
    shape: tuple[int, int, int] = (96, 128, 3),
    score: bool = True,
    weight: float = 0.5,
) -> tuple[bytes, dict[str, Any]]:
    """The flatbuffer with a look at the whole frame in it, and what the metadata says of that."""
    from stn_rectify.converters.tflite.joining import join_subgraph

    other = _convert(theta, shape, False, score)
    alone = _metadata(other, len(theta), shape, False, score, "zeros", (0.0, 1.0))
    outputs = {name: alone["outputs"][name] for name in ("theta", "score")}
    numbers = {"weight": weight, "parameters": 0, "macs": 0}
    return join_subgraph(flatbuffer, other, "whole"), {"input": alone["input"], **outputs, **numbers}


def _with_refine(
    flatbuffer: bytes,
    *,
    theta: tuple[float, ...],
    shape: tuple[int, int, int] = (24, 40, 3),
    score: bool = True,
    margin: float = 0.2,
    passes: int = 2,
    value_range: tuple[float, float],
) -> tuple[bytes, dict[str, Any]]:
    """The flatbuffer with a refine network in it, and what the metadata says of that."""
    pytest.importorskip("tensorflow", reason="the test models are made with TensorFlow")
    from stn_rectify.converters.tflite.joining import join_subgraph

    other = _convert(theta, shape, False, score)
    alone = _metadata(other, len(theta), shape, False, score, "zeros", value_range)
    outputs = {name: alone["outputs"][name] for name in ("theta", "score")}
    numbers = {"margin": margin, "passes": passes, "parameters": 0, "macs": 0}
    return join_subgraph(flatbuffer, other, "refine"), {"input": alone["input"], **outputs, **numbers}


@functools.cache
def _convert_turn() -> bytes:
    """The scores of 0 to 3 quarters: the means of the upper, left, lower and right fourth of 16×16 grey pixels."""
    tf = pytest.importorskip("tensorflow", reason="the test models are made with TensorFlow")

    @tf.function(input_signature=[tf.TensorSpec((1, 16, 16, 1), tf.int8, name="frame")])
    def network(frame: Any) -> dict[str, Any]:
        levels = tf.cast(tf.reshape(frame, [16, 16]), tf.int32)
        fourths = (levels[:4], levels[:, :4], levels[12:], levels[:, 12:])
        means = [tf.bitwise.right_shift(tf.reduce_sum(part, keepdims=True), 6) for part in fourths]
        return {"scores": tf.cast(tf.reshape(tf.concat(means, axis=0), [1, 4]), tf.int8)}

    module = tf.Module()
    module.network = network
    with tempfile.TemporaryDirectory() as folder:
        tf.saved_model.save(module, folder, signatures={"serving_default": network})
        flatbuffer: bytes = tf.lite.TFLiteConverter.from_saved_model(folder).convert()
    return flatbuffer


def _with_turn(flatbuffer: bytes, threshold: float) -> tuple[bytes, dict[str, Any]]:
    """The flatbuffer with a turn network as its last, and what the metadata says of that."""
    from stn_rectify.converters.tflite.joining import join_subgraph

    alone = _metadata(b"", 8, (16, 16, 1), False, False, "zeros", (0.0, 1.0))
    scores = {"size": 4, "scale": 1 / 4, "zero_point": 0, "activation": "logits"}
    numbers = {"threshold": threshold, "parameters": 0, "macs": 0}
    return join_subgraph(flatbuffer, _convert_turn(), "turn"), {"input": alone["input"], "scores": scores, **numbers}


def _metadata(
    flatbuffer: bytes,
    theta_size: int,
    shape: tuple[int, int, int],
    in_graph: bool,
    score: bool,
    padding: str,
    value_range: tuple[float, float],
) -> dict[str, Any]:
    image = dict(zip(("height", "width", "channels"), shape, strict=True))
    low, high = value_range
    quantization = {"scale": (high - low) / 255, "zero_point": -128 - round(low * 255 / (high - low))}
    return {
        "format": "stn-rectify/1",
        "name": "test",
        "description": "a known θ",
        "kind": "in-graph" if in_graph else "pose-only",
        "transform": {6: "affine", 8: "projective", 32: "tps"}[theta_size],
        "padding": padding,
        "coordinates": "the contract",
        "input": {
            **image,
            "colour": {3: "RGB", 1: "GREY"}.get(shape[2], "OTHER"),
            "value_range": [low, high],
            **quantization,
        },
        "outputs": {
            "rectified": image if in_graph else None,
            "theta": {"size": theta_size, "fractional_bits": FRACTIONAL_BITS},
            "score": {"scale": 1 / 256, "zero_point": -128} if score else None,
        },
        "flatbuffer": {"bytes": len(flatbuffer), "sha256": hashlib.sha256(flatbuffer).hexdigest()},
        "parameters": 0,
        "macs": 0,
        "source_sha256": "",
        "converter": {"tensorflow": "test"},
    }
