"""The model files that stn_speed.py times: the same STNs converted in every way, with frames and Keras's own results.

    python tests/benchmarks/rivals/stn_files.py DIR [--onnx2tf PYTHON] [--rivals PYTHON] [--transform projective]

Needs TensorFlow, and for other converters' files the Pythons of environments of their own (they pin other versions than
ours): ``python -m venv E; E/bin/pip install torch onnx2tf==1.29.24`` for onnx2tf's, ``python -m venv F; F/bin/pip
install torch litert-torch ai-edge-quantizer`` for those of `rival_files.py`. With ``--reuse`` files that are there
already are kept; ``--only`` makes those named alone. Of a file that cannot be made NAME.failed.txt says why.
"""

from __future__ import annotations

import argparse
import functools
import os
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import cv2
import keras
import numpy as np
import tensorflow as tf
from float_twin import FloatSampler, float_twin, plain_twin
from head_and_sampler_models import FEATURES, head_and_sampler

from stn_rectify.converters.conversion import ConversionOptions, convert
from stn_rectify.converters.integer.grid import build_grid
from stn_rectify.converters.integer.head import build_head, quantize_head
from stn_rectify.converters.integer.sampler_plan import SamplerPlan
from stn_rectify.converters.tflite.graph import FlatbufferGraph
from stn_rectify.converters.tflite.quantizer import to_tflite
from stn_rectify.models import lightweight_stn
from stn_rectify.models.files import partial_file

SIZES = ((32, 32, 1), (64, 64, 3), (96, 96, 3), (128, 128, 3), (224, 224, 3))
LOCALIZATION_PX = 64
FRAMES = 40


def build_model(size: tuple[int, int, int], transform: str, frames: np.ndarray) -> keras.Model:
    """The default STN with seeded weights, normalised on the frames as after training: θ depends on the frame."""
    keras.utils.set_random_seed(1)
    smaller = (LOCALIZATION_PX, LOCALIZATION_PX) if size[0] > LOCALIZATION_PX else None
    model = lightweight_stn(size, transform=transform, localization_shape=smaller)
    theta = model.get_layer("theta")
    kernel = np.random.default_rng(0).normal(0, 0.06, theta.kernel.shape)
    kernel[:, 6:] *= 0.3
    theta.kernel.assign(kernel)
    normalizations = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    for layer in normalizations:
        layer.momentum = 0.0  # take this batch's statistics as they are
    model(frames / np.float32(255), training=True)
    for layer in normalizations:
        layer.momentum = 0.98
    return model


def smooth_frames(size: tuple[int, int, int]) -> np.ndarray:
    """Random blobs, uint8 [N, H, W, C]."""
    blocks = np.random.default_rng(1).integers(0, 256, (FRAMES, 5, 5, size[2]), dtype=np.uint8)
    frames = [cv2.resize(block, size[1::-1], interpolation=cv2.INTER_CUBIC).reshape(size) for block in blocks]
    return np.stack(frames)


def float_file(function: Callable[..., Any], *inputs: tuple[int, ...]) -> bytes:
    """A float32 .tflite of a function of tensors of these shapes."""
    return bytes(_converter(function, *inputs).convert())


def signed_float_file(model: keras.Model) -> bytes:
    """TensorFlow's float32 file of a model with a signature, which ai-edge-quantizer calibrates by."""

    def named(image: tf.Tensor) -> dict[str, tf.Tensor]:
        return dict(zip(("rectified", "theta", "score"), model(image, training=False), strict=True))

    return to_tflite(named, model.inputs[0].shape[1:], "model")


def quantized_file(function: Callable[..., Any], frames: np.ndarray) -> bytes:
    """TensorFlow's own full-integer post-training quantization of a function of a frame."""
    converter = _converter(function, (1, *frames.shape[1:]))

    def representative_dataset() -> Iterator[list[np.ndarray]]:
        for number, frame in enumerate(frames):
            sample = frame[None] / np.float32(255)
            if number == 0:
                sample.reshape(-1)[:2] = (0, 1)
            yield [sample]

    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = representative_dataset
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    return bytes(converter.convert())


def _converter(function: Callable[..., Any], *inputs: tuple[int, ...]) -> Any:
    module = tf.Module()
    module.function = tf.function(function, input_signature=[tf.TensorSpec(shape, tf.float32) for shape in inputs])
    return tf.lite.TFLiteConverter.from_concrete_functions([module.function.get_concrete_function()], module)


def converted(model: keras.Model, folder: Path, pose_only: bool) -> bytes:
    """What our converter makes of the model."""
    name = "pose_only" if pose_only else "in_graph"
    source = folder / f"{name}.keras"
    model.save(source)
    options = ConversionOptions(calibration=folder / "frames.npz", pose_only=pose_only, overwrite=True)
    return convert(source, folder / "converted", options).path.read_bytes()


def head_and_grid(transform: str, size: tuple[int, int, int]) -> bytes:
    """The first part of what `head_and_sampler` makes: features in, grid out."""
    plan = SamplerPlan(transform, "zeros", size[:2], size[:2], size[2], -128)
    bias = np.array([1, 0, 0, 0, 1, 0, 0, 0], float)[: 6 if transform == "affine" else 8]
    kernel = np.random.default_rng(size[0]).normal(0, 0.02, (48, len(bias)))
    graph = FlatbufferGraph()
    features = graph.input((1, 48), "int8", FEATURES)
    head = quantize_head(kernel, bias - 3 * kernel.sum(axis=0), FEATURES, plan)
    coefficients, theta = build_head(graph, features, head)
    assert coefficients is not None
    return graph.finish({"features": features}, {"grid": build_grid(graph, coefficients, plan), "theta": theta})


def two_gathers(size: tuple[int, int, int]) -> bytes:
    """The two GATHERs without which a sampler of built-in operators cannot do, and nothing else: its floor."""
    height, width, channels = size
    graph = FlatbufferGraph()
    table = graph.input(((height + 2) * (width + 2), channels), "int32")
    left, right = (graph.input((height * width,), "int32") for _ in range(2))
    outputs = {"left": graph.gather(table, left), "right": graph.gather(table, right)}
    return graph.finish({"table": table, "index": left, "beside": right}, outputs)


def onnx2tf_file(python: str, folder: Path, transform: str) -> bytes:
    """The PyTorch STN with the same weights through ONNX and onnx2tf, int8; leaves the float32 file beside it."""
    out = folder / "onnx2tf"
    _run([python, _beside("pytorch_stn.py"), folder, "--transform", transform, "--out", out])
    return (out / "stn_full_integer_quant.tflite").read_bytes()


def rival_file(python: str, way: str, folder: Path, transform: str) -> bytes:
    """What `rival_files.py` makes in another environment."""
    made = folder / f"{way}.rival"
    _run([python, _beside("rival_files.py"), way, folder, made, "--transform", transform])
    content = made.read_bytes()
    made.unlink()
    return content


def _beside(name: str) -> Path:
    return Path(__file__).with_name(name)


def _run(command: list[Any]) -> None:
    """Runs another environment's Python.

    Raises:
        RuntimeError: if it fails; the message is its last line.
    """
    made = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if made.returncode:
        lines = [line for line in made.stdout.splitlines() if line.strip()] or [f"status {made.returncode}"]
        raise RuntimeError(lines[-1])


@dataclass(frozen=True)
class Choice:
    """Which files to make.

    Attributes:
        transform: ``"affine"`` or ``"projective"``.
        onnx2tf: the Python of an environment with torch and onnx2tf, or None.
        rivals: that of one with torch, litert-torch and ai-edge-quantizer, or None.
        reuse: whether files that are there are kept.
        only: names; empty for all.
    """

    transform: str
    onnx2tf: str | None
    rivals: str | None
    reuse: bool
    only: tuple[str, ...]


def write_files(folder: Path, size: tuple[int, int, int], choice: Choice) -> int:
    """Writes all files of one size into the folder; returns how many could not be made."""
    transform = choice.transform
    folder.mkdir(parents=True, exist_ok=True)
    frames = smooth_frames(size)
    model = build_model(size, transform, frames)
    theta = model.predict(frames / np.float32(255), verbose=0)[1]
    np.savez(folder / "frames.npz", frames=frames)
    np.savez(folder / "keras.npz", theta=theta)
    weights = {f"{layer.name}/{k}": w for layer in model.layers for k, w in enumerate(layer.get_weights())}
    np.savez(folder / "weights.npz", **weights)
    dense = model.get_layer("theta")
    trunk = keras.Model(model.inputs[0], [dense.input, model.outputs[2]])
    sampler = FloatSampler(size, transform)
    kernel, bias = sampler.coefficients(np.asarray(dense.kernel), np.asarray(dense.bias))
    shape = (1, *size)

    def sample(frame: tf.Tensor, features: tf.Tensor) -> tf.Tensor:
        return sampler.fast(frame, (tf.matmul(features, kernel) + bias)[:, dense.units :])

    files: dict[str, Callable[[], bytes]] = {
        "int8": lambda: converted(model, folder, pose_only=False),
        "pose": lambda: converted(model, folder, pose_only=True),
        "float": lambda: float_file(float_twin(model, transform), shape),
        "float_plain": lambda: float_file(plain_twin(model, transform), shape),
        "float_keras": lambda: float_file(lambda frame: model(frame, training=False), shape),
        "naive": lambda: quantized_file(lambda frame: model(frame, training=False), frames),
        "trunk_int8": lambda: quantized_file(lambda frame: trunk(frame, training=False), frames),
        "trunk_float": lambda: float_file(lambda frame: trunk(frame, training=False), shape),
        "grid_int8": lambda: head_and_grid(transform, size),
        "gathers": lambda: two_gathers(size),
        "sampler_int8": lambda: head_and_sampler(transform, "zeros", size),
        "sampler_float": lambda: float_file(sample, shape, (1, kernel.shape[0])),
    }
    if (onnx2tf := choice.onnx2tf) is not None:
        files["onnx2tf"] = lambda: onnx2tf_file(onnx2tf, folder, transform)
        files["onnx2tf_float"] = lambda: (folder / "onnx2tf/stn_float32.tflite").read_bytes()
    if (rivals := choice.rivals) is not None:
        files["float_signed"] = lambda: signed_float_file(model)
        for way in ("litert_torch", "litert_torch_int8", "quantizer"):
            files[way] = functools.partial(rival_file, rivals, way, folder, transform)
    failed = 0
    for name, make in files.items():
        target, problem = folder / f"{name}.tflite", folder / f"{name}.failed.txt"
        if (choice.reuse and target.exists()) or (choice.only and name not in choice.only):
            continue
        target.unlink(missing_ok=True)
        problem.unlink(missing_ok=True)
        print(f"{folder.name} {name}", flush=True)
        try:
            content = make()
        except Exception as error:  # converters raise whatever their parts raise; the table has one column less
            print(f"{folder.name} {name} LEFT OUT: {type(error).__name__}: {error}", flush=True)
            problem.write_text(" ".join(str(error).split())[:300])
            failed += 1
            continue
        with partial_file(target) as partial:
            partial.write_bytes(content)
    return failed


def main() -> int:
    """Writes a folder for every size; returns 1 if a file could not be made."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("out", type=Path, metavar="DIR")
    parser.add_argument("--transform", choices=("affine", "projective"), default="affine")
    parser.add_argument("--size", type=int, action="append", help="only this height; repeatable")
    parser.add_argument("--onnx2tf", metavar="PYTHON", help="of an environment with torch and onnx2tf")
    parser.add_argument("--rivals", metavar="PYTHON", help="of one with torch, litert-torch and ai-edge-quantizer")
    parser.add_argument("--reuse", action="store_true", help="keep the files that are there")
    parser.add_argument("--only", action="append", metavar="NAME", help="only this file; repeatable")
    arguments = parser.parse_args()
    choice = Choice(
        arguments.transform, arguments.onnx2tf, arguments.rivals, arguments.reuse, tuple(arguments.only or ())
    )
    tf.get_logger().setLevel("ERROR")
    warnings.simplefilter("ignore")
    failed = 0
    for size in SIZES:
        if arguments.size is None or size[0] in arguments.size:
            folder = arguments.out / f"{arguments.transform}-{'x'.join(map(str, size))}"
            failed += write_files(folder, size, choice)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
