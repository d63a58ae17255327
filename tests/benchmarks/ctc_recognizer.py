"""A small CTC recognizer from training to texts: float and INT8, greedy and beam decoding, one frame and a vote.

    python tests/benchmarks/ctc_recognizer.py FOLDER [--steps N] [--plates N]

trains a convolutional network of 88,000 parameters on synthesised upright plates (letters and digits in OpenCV's
fonts, a little out of place as a rectified image is, blurred, noisy), converts it with `convert`, and prints
how many plates of another seed `Recognizer` reads without a mistake. What is trained already is not trained again.
"""

from __future__ import annotations

import argparse
import string
import time
import zipfile
from pathlib import Path
from typing import Any

import cv2
import keras
import numpy as np

from stn_rectify.converters.conversion import convert
from stn_rectify.converters.options import ConversionOptions
from stn_rectify.converters.tflite.quantizer import to_tflite
from stn_rectify.runtime.arrays import Image
from stn_rectify.runtime.recognition.recognizer import Recognizer
from stn_rectify.runtime.recognition.stage import LabelVote

HEIGHT, WIDTH = 24, 96
CHARACTERS = string.ascii_uppercase + string.digits
LABELS = ("<blank>", *CHARACTERS)  # Keras counts the blank as class 0
LONGEST = 8
BATCH = 64
LOOKS = 5


def random_text(rng: np.random.Generator) -> str:
    """Four to eight letters and digits."""
    return "".join(rng.choice(list(CHARACTERS), rng.integers(4, LONGEST + 1)))


def plate(rng: np.random.Generator, text: str) -> Image:
    """The text as a rectified plate shows it, grey uint8 [HEIGHT, WIDTH]."""
    font, scale = int(rng.choice([0, 2, 3, 4])), 4
    thickness = int(rng.integers(4, 9))
    (width, height), _ = cv2.getTextSize(text, font, 3, thickness)
    drawn = np.zeros((height + 40, width + 40), np.uint8)
    cv2.putText(drawn, text, (20, height + 20), font, 3, (255,), thickness, cv2.LINE_AA)
    size = np.array([WIDTH * scale, HEIGHT * scale])
    margin = rng.uniform(0.0, 0.08, 4)
    box = np.array([[0, 0], [1, 0], [1, 1], [0, 1]]) * (1 - margin[:2] - margin[2:]) + margin[:2]
    corners = (box + rng.normal(0, 0.02, (4, 2))) * size
    edges = np.array([[0, 0], [1, 0], [1, 1], [0, 1]]) * np.array(drawn.shape[::-1])
    matrix = cv2.getPerspectiveTransform(edges.astype(np.float32), corners.astype(np.float32))
    ink = cv2.warpPerspective(drawn, matrix, tuple(size.tolist())).astype(np.float32) / 255
    ink = cv2.GaussianBlur(ink, (0, 0), scale * rng.uniform(0.2, 1.0))
    ink = cv2.resize(ink, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
    dark, light = rng.uniform(0, 90), rng.uniform(150, 255)
    ground, letters = (light, dark) if rng.random() < 0.7 else (dark, light)
    slope = np.linspace(-1, 1, WIDTH) * rng.uniform(-25, 25)
    noisy = ground + (letters - ground) * ink + slope + rng.normal(0, rng.uniform(2, 14), ink.shape)
    return np.clip(np.rint(noisy), 0, 255).astype(np.uint8)


def reader() -> keras.Model:
    """Grey image [HEIGHT, WIDTH, 1], 0 to 1 → logits [WIDTH / 4, 37]."""
    layers = keras.layers
    x = image = keras.Input((HEIGHT, WIDTH, 1))

    def convolved(x: Any, filters: int, size: tuple[int, int], padding: str = "same") -> Any:
        x = layers.Conv2D(filters, size, padding=padding, use_bias=False)(x)
        return layers.ReLU()(layers.BatchNormalization(momentum=0.9)(x))

    x = layers.MaxPooling2D()(convolved(x, 16, (3, 3)))
    x = layers.MaxPooling2D()(convolved(x, 32, (3, 3)))
    x = convolved(x, 64, (3, 3))
    x = convolved(x, 64, (HEIGHT // 4, 1), "valid")
    x = convolved(x, 64, (1, 9))
    x = layers.Conv2D(len(LABELS), 1)(x)
    return keras.Model(image, layers.Reshape((WIDTH // 4, len(LABELS)))(x))


def trained(file: Path, steps: int, seed: int) -> None:
    """Trains and saves the network, with its alphabet and calibration images beside it."""
    keras.utils.set_random_seed(seed)
    rng = np.random.default_rng(seed)
    model = reader()
    rate = keras.optimizers.schedules.CosineDecay(2e-3, steps, alpha=0.02)
    model.compile(keras.optimizers.Adam(rate, clipnorm=1.0), keras.losses.CTC())
    started = time.process_time()
    total = 0.0
    for step in range(1, steps + 1):
        texts = [random_text(rng) for _ in range(BATCH)]
        images = np.stack([plate(rng, text) for text in texts])[..., None] / np.float32(255)
        classes = np.zeros((BATCH, LONGEST), np.int32)
        for row, text in zip(classes, texts, strict=True):
            row[: len(text)] = [LABELS.index(character) for character in text]
        total += float(model.train_on_batch(images, classes))
        if step % 250 == 0:
            spent_s = time.process_time() - started
            print(f"step {step}: loss {total / 250:.3f}, {spent_s:.0f} s of processor time", flush=True)
            total = 0.0
            model.reset_metrics()
    name = file.name.removesuffix(".recognizer.keras")
    file.with_name(f"{name}.labels.txt").write_text("\n".join(LABELS) + "\n", encoding="utf-8")
    frames = np.stack([plate(rng, random_text(rng)) for _ in range(200)])[..., None]
    np.savez(file.with_suffix(".calibration.npz"), frames=frames)
    model.save(file)


def looked_at_again(rng: np.random.Generator, image: Image) -> Image:
    """The same plate in another frame: a little out of place, with noise of its own."""
    edges = np.array([[0, 0], [1, 0], [1, 1], [0, 1]]) * (WIDTH, HEIGHT)
    moved = edges + rng.normal(0, 0.02, (4, 2)) * (WIDTH, HEIGHT)
    matrix = cv2.getPerspectiveTransform(edges.astype(np.float32), moved.astype(np.float32))
    warped = cv2.warpPerspective(image, matrix, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REPLICATE)
    return np.clip(np.rint(warped + rng.normal(0, 10, warped.shape)), 0, 255).astype(np.uint8)


def float_file(source: Path) -> Path:
    """The network as a float TensorFlow Lite file."""
    model = keras.models.load_model(source, compile=False)
    flatbuffer = to_tflite(lambda image: {"steps": model(image, training=False)}, (HEIGHT, WIDTH, 1), "recognizer")
    path = source.with_name("plates.float.tflite")
    path.write_bytes(flatbuffer)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("labels.txt", "\n".join(LABELS))
    return path


def main() -> None:
    """Trains, converts and prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--plates", type=int, default=2000)
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    source = args.folder / "plates.recognizer.keras"
    if not source.exists():
        trained(source, args.steps, seed=1)
    conversion = convert(source, args.folder, ConversionOptions(calibration=source, overwrite=True))
    print(conversion)
    rng = np.random.default_rng(2)
    texts = [random_text(rng) for _ in range(args.plates)]
    images = [plate(rng, text) for text in texts]
    few = range(args.plates // LOOKS)
    looks = {number: [looked_at_again(rng, images[number]) for _ in range(LOOKS)] for number in few}
    print("network  beam width   read without a mistake   one look of 5   vote of 5 looks   ms a plate")
    for name, file in (("float", float_file(source)), ("INT8", conversion.path)):
        for width in (1, 3, 10):
            with Recognizer(file, beam_width=width) as recognizer:
                started = time.perf_counter()
                right = np.mean([recognizer.recognize(i).label == t for i, t in zip(images, texts, strict=True)])
                took_ms = (time.perf_counter() - started) * 1000 / len(images)
                single, voted = [], []
                for number in few:
                    found, vote = [recognizer.recognize(image) for image in looks[number]], LabelVote(LOOKS)
                    single += [one.label == texts[number] for one in found]
                    voted.append([vote.add(one) for one in found][-1].label == texts[number])
            percents = [100 * share for share in (right, np.mean(single), np.mean(voted))]
            print(f"{name:7}  {width:10}   {percents[0]:20.1f} %   {percents[1]:11.1f} %   {percents[2]:13.1f} %   "
                  f"{took_ms:10.2f}")  # fmt: skip


if __name__ == "__main__":
    main()
