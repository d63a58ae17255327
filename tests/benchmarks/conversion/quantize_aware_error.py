"""What `stn-train tune` gains: corners of INT8 trunks, by plain post-training quantization, against float.

python tests/benchmarks/conversion/quantize_aware_error.py --calibration FRAMES.npz SOURCE.keras [TUNED.keras]...
python tests/benchmarks/conversion/quantize_aware_error.py --drift 64 general.keras drifted.keras  # one that INT8 hurts
"""

from __future__ import annotations

import argparse
from pathlib import Path

import keras
import numpy as np

from stn_rectify.converters.tflite.graph import FlatbufferGraph
from stn_rectify.converters.tflite.isolated_interpreter import IsolatedInterpreter
from stn_rectify.converters.tflite.quantizer import quantize
from stn_rectify.models.network.keras_file import load_model
from stn_rectify.runtime.geometry import homography_to_corners, theta_to_homography


def corners(theta: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Pixels at the model's input size."""
    return homography_to_corners(theta_to_homography(theta.astype(np.float64)), size[1], size[0])


def float_theta(model: keras.Model, frames: np.ndarray) -> np.ndarray:
    """Of the layer ``theta``."""
    return keras.Model(model.input, model.get_layer("theta").output).predict(frames, verbose=0)


def int8_theta(model: keras.Model, frames: np.ndarray) -> np.ndarray:
    """INT8 trunk, head not refitted; the head itself in float, which the file's int32 head is as good as."""
    head = model.get_layer("theta")
    trunk = keras.Model(model.input, {"features": head.input})
    flatbuffer = quantize(lambda image: trunk(image, training=False), frames, (0.0, 1.0), "trunk")
    graph = FlatbufferGraph(flatbuffer)
    features = graph.tensor(graph.model.signatureDefs[0].outputs[0].tensorIndex).quantization
    with IsolatedInterpreter() as interpreter:
        interpreter.load(flatbuffer)
        levels = [interpreter.run({"image": (np.round(f[None] * 255) - 128).astype(np.int8)}) for f in frames]
    values = np.concatenate([found["features"] for found in levels]).astype(np.float64)
    kernel, bias = head.get_weights()
    return (values - features.zero_point) * features.scale @ kernel + bias


def drift(model: keras.Model, factor: float) -> None:
    """Makes one channel of both profiles ``factor`` times as large and the weights after it as much smaller."""
    channel = 5
    for name in ("row_profile", "column_profile"):
        (kernel,) = model.get_layer(name).get_weights()
        kernel[:, :, channel] *= factor
        model.get_layer(name).set_weights([kernel])
    kernel, bias = model.get_layer("features").get_weights()
    rows = kernel.reshape(-1, model.get_layer("row_profile").output.shape[-1], kernel.shape[1])
    rows[:, channel] /= factor
    model.get_layer("features").set_weights([rows.reshape(kernel.shape), bias])


def main() -> None:
    """Prints a line for each model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", type=Path, help="the source first, then models tuned from it")
    parser.add_argument("--calibration", type=Path, help="NAME.calibration.npz of stn-train")
    parser.add_argument("--drift", type=float, help="write the second model: the first, badly scaled")
    args = parser.parse_args()
    source = load_model(args.models[0])
    if args.drift:
        drift(source, args.drift)
        source.save(args.models[1])
        return
    frames = np.load(args.calibration)["frames"] / np.float32(255)
    size = frames.shape[1:3]
    expected = corners(float_theta(source, frames), size)
    print(f"{'corners of INT8 from those of, px: mean / p95 / max':<52}{'its own float':>22}{'float of the first':>22}")
    for file in args.models:
        model = load_model(file)
        found = corners(int8_theta(model, frames), size)
        columns = []
        for reference in (corners(float_theta(model, frames), size), expected):
            error = np.linalg.norm(found - reference, axis=-1)
            columns.append(f"{error.mean():.3f} / {np.percentile(error, 95):.3f} / {error.max():.3f}")
        print(f"{file.name:<52}" + "".join(f"{column:>22}" for column in columns), flush=True)


if __name__ == "__main__":
    main()
