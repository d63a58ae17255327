"""A Spatial Transformer as the Keras tutorials have it, from its .h5 file to a proved .tflite: the same classes?

    python tests/benchmarks/conversion/tutorial_digits.py --data MNIST_DIR --out DIR [--samples 20000] [--epochs 6]

MNIST_DIR holds ``train-images-idx3-ubyte.gz`` and ``train-labels-idx1-ubyte.gz``; without it digits of OpenCV's fonts
are drawn. Each is turned, scaled and put anywhere on 60×60 pixels among fragments of others. The network is the one of
many repositories: a localization network whose last layer starts at the identity, a custom layer
``BilinearInterpolation([image, θ])``, a classifier behind it, trained from the labels alone, its class scores the only
output. It is saved as they save it, ``model.save("digits.h5")``, and given to ``stn-convert`` with the Python file of
its layer. Then .h5 and .tflite answer for held-out digits.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import cv2
import keras
import numpy as np
from keras import layers

ROOT = Path(__file__).parents[3]
sys.path.insert(0, str(ROOT))

from stn_rectify.converters.tflite.isolated_interpreter import IsolatedInterpreter  # noqa: E402
from stn_rectify.models.recognition.labelled_images import read_idx  # noqa: E402
from stn_rectify.runtime.model.model_file import ModelFile  # noqa: E402
from stn_rectify.runtime.rectifying.pixels.preprocess import pixel_levels  # noqa: E402
from tests.converters.foreign_models import layers as tutorial  # noqa: E402

FRAME, IMAGE, CALIBRATED = (60, 60, 1), (30, 30), 200
FONTS = (cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_DUPLEX, cv2.FONT_HERSHEY_COMPLEX, cv2.FONT_HERSHEY_TRIPLEX)
CONVERT = "from stn_rectify.converters.cli import command; command()"


def read_digits(folder: Path, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The first digits of MNIST uint8 [N, 28, 28] and their classes int64 [N]."""
    digits, labels = (read_idx(folder / f"train-{name}-ubyte.gz")[:count] for name in ("images-idx3", "labels-idx1"))
    return digits, labels.astype(np.int64)


def draw_digits(count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """The same of OpenCV's fonts."""
    labels, digits = rng.integers(0, 10, count), np.zeros((count, 28, 28), np.uint8)
    for digit, label in zip(digits, labels, strict=True):
        font, thickness = FONTS[rng.integers(len(FONTS))], int(rng.integers(1, 4))
        (width, height), _ = cv2.getTextSize(str(label), font, 0.9, thickness)
        place = (14 - width // 2, 14 + height // 2)
        cv2.putText(digit, str(label), place, font, 0.9, 255, thickness, cv2.LINE_AA)
    return digits, labels


def cluttered(digits: np.ndarray, rng: np.random.Generator, fragments: int = 6) -> np.ndarray:
    """Each digit turned by up to 30°, scaled by 0.8 to 1.3, anywhere, among fragments of others: [N, 60, 60, 1]."""
    frames = np.zeros((len(digits), *FRAME[:2]), np.uint8)
    for frame, digit in zip(frames, digits, strict=True):
        for other in digits[rng.integers(0, len(digits), fragments)]:
            (y, x), (row, column) = rng.integers(0, 53, 2), rng.integers(6, 15, 2)
            piece = frame[y : y + 8, x : x + 8]
            np.maximum(piece, other[row : row + 8, column : column + 8][: len(piece), : piece.shape[1]], out=piece)
        matrix = cv2.getRotationMatrix2D((13.5, 13.5), rng.uniform(-30, 30), rng.uniform(0.8, 1.3))
        matrix[:, 2] += rng.uniform(17, 43, 2) - 13.5
        np.maximum(frame, cv2.warpAffine(digit, matrix, FRAME[:2]), out=frame)
    return frames[..., None]


def untrained() -> keras.Model:
    """Frame [B, 60, 60, 1], values 0 to 1 → class scores [B, 10]."""
    frame = keras.Input(FRAME)
    x = layers.MaxPooling2D(2)(frame)
    x = layers.MaxPooling2D(2)(layers.Conv2D(20, 5, activation="relu")(x))
    x = layers.Conv2D(20, 5, activation="relu")(x)
    x = layers.Dense(50, activation="relu")(layers.Flatten()(x))
    identity = keras.initializers.Constant(np.array([1, 0, 0, 0, 1, 0.0]))
    theta = layers.Dense(6, kernel_initializer="zeros", bias_initializer=identity)(x)
    x = tutorial.BilinearInterpolation(IMAGE, reach="W", name="rectified")([frame, theta])
    for _ in range(2):
        x = layers.MaxPooling2D(2)(layers.Conv2D(32, 3, padding="same", activation="relu")(x))
    x = layers.Dense(128, activation="relu")(layers.Flatten()(x))
    return keras.Model(frame, layers.Dense(10, activation="softmax")(x))


@dataclass(frozen=True)
class CarriedOver:
    """The .tflite beside the .h5 that it was made of, on held-out digits.

    Attributes:
        line: what stn-convert said.
        frames: how many digits.
        accuracy_h5: share of digits that the Keras model reads rightly.
        accuracy_tflite: share that the file reads rightly.
        same_class: share of digits of which both say the same.
        levels: mean difference of the rectified image, levels of 255.
        poses_px: how far the model's corners vary over the digits, pixels; nothing would be shown by a fixed pose.
    """

    line: str
    frames: int
    accuracy_h5: float
    accuracy_tflite: float
    same_class: float
    levels: float
    poses_px: float

    def __str__(self) -> str:
        return (
            f"{self.line}\n{self.frames} held-out digits: .h5 {100 * self.accuracy_h5:.1f} %, .tflite "
            f"{100 * self.accuracy_tflite:.1f} %, same class in {100 * self.same_class:.1f} %; rectified image "
            f"{self.levels:.2f} levels of 255 apart; poses vary by {self.poses_px:.1f} px"
        )


def train(frames: np.ndarray, labels: np.ndarray, epochs: int, batch: int, file: Path, verbose: int = 2) -> None:
    """Trains the network from the labels, ``batch`` frames a step, and saves it as the tutorials do, .h5."""
    keras.utils.set_random_seed(0)
    model = untrained()
    model.compile(keras.optimizers.Adam(1e-3), "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(frames / np.float32(255), labels, batch_size=batch, epochs=epochs, verbose=verbose)
    model.save(file)


def carry_over(file: Path, calibration: np.ndarray, held_out: np.ndarray, labels: np.ndarray) -> CarriedOver:
    """Gives the .h5 to stn-convert, and the digits to both.

    Args:
        file: the .h5; the outputs go into the folder ``converted`` beside it.
        calibration: frames uint8 [N, 60, 60, 1].
        held_out: frames that training and calibration did not see.
        labels: their classes.
    """
    frames, out = file.with_name("frames.npz"), file.with_name("converted")
    np.savez(frames, frames=calibration)
    words = [file, "--custom-objects", tutorial.__file__, "--calibration", frames, "--out", out, "--force"]
    made = subprocess.run([sys.executable, "-c", CONVERT, *map(str, words)], capture_output=True, text=True)
    if made.returncode:
        raise SystemExit(made.stderr)
    model = keras.models.load_model(file, custom_objects={"BilinearInterpolation": tutorial.BilinearInterpolation})
    sampler = model.get_layer("rectified")
    inside = keras.Model(model.inputs, [model.output, sampler.output, sampler.input[1]])
    scores, images, thetas = inside.predict(held_out / np.float32(255), verbose=0)
    converted = ModelFile.open(out / f"{file.stem}.tflite")
    answers, spec = _answers(converted, held_out), converted.metadata.input
    rectified = (answers["rectified"].astype(np.float32) - spec.zero_point) * spec.scale
    read, expected = answers["class_scores"].argmax(axis=1), scores.argmax(axis=1)
    corners = np.array([[-1, -1, 1], [1, -1, 1], [1, 1, 1], [-1, 1, 1]]) @ thetas.reshape(-1, 2, 3).swapaxes(1, 2)
    spread = np.linalg.norm(corners - corners.mean(axis=0), axis=-1).mean() * FRAME[1] / 2
    return CarriedOver(
        line=next(line for line in made.stdout.splitlines() if line.startswith(f"{file.stem}  ")),
        frames=len(held_out),
        accuracy_h5=float((expected == labels).mean()),
        accuracy_tflite=float((read == labels).mean()),
        same_class=float((read == expected).mean()),
        levels=float(255 * np.abs(rectified - images).mean()),
        poses_px=float(spread),
    )


def _answers(model: ModelFile, frames: np.ndarray) -> dict[str, np.ndarray]:
    """The file's own outputs for frames uint8, as a device would feed them."""
    spec = model.metadata.input
    levels = pixel_levels((0.0, 1.0), spec.scale, spec.zero_point)[frames]
    with IsolatedInterpreter() as interpreter:
        interpreter.load(model.flatbuffer)
        runs = [interpreter.run({"frame": frame[None]}) for frame in levels]
    return {name: np.concatenate([run[name] for run in runs]) for name in runs[0]}


def main() -> None:
    """Trains, converts, compares and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, metavar="MNIST_DIR", help="drawn digits without it")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    parser.add_argument("--samples", type=int, default=20_000, help="to train with (20000)")
    parser.add_argument("--held-out", type=int, default=2000, help="to compare on (2000)")
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--batch-size", type=int, default=32)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    rng, count = np.random.default_rng(0), arguments.samples + arguments.held_out
    digits, labels = draw_digits(count, rng) if arguments.data is None else read_digits(arguments.data, count)
    known = slice(0, arguments.samples)
    frames, unseen = cluttered(digits[known], rng), cluttered(digits[arguments.samples :], rng)
    file = arguments.out / "digits.h5"
    train(frames, labels[known], arguments.epochs, arguments.batch_size, file)
    print(carry_over(file, frames[:CALIBRATED], unseen, labels[arguments.samples :]))


if __name__ == "__main__":
    main()
