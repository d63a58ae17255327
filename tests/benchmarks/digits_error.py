"""Errors of a digit model and recognizer on held-out digits under each of the paper's distortions, in INT8.

    python tests/benchmarks/digits_error.py MNIST_DIR [--model digits] [--recognizer digits] [--float digits.keras]

MNIST_DIR holds ``train-images-idx3-ubyte.gz`` and ``train-labels-idx1-ubyte.gz``; the last 10,000 of them are held out,
each drawn once under each distortion. Frames go through the classes that ``stn-rectify --model … --recognizer …``
wires, in this process, which imports no TensorFlow; ``--float`` adds the Keras model, in a process of its own.
``--recognizer none`` takes the class scores of a model file with a recognizer in it.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

import numpy as np

from stn_rectify.models.digits import DISTORTIONS
from stn_rectify.models.digits.distortions import distort
from stn_rectify.models.recognition.labelled_images import read_idx
from stn_rectify.runtime import Recognizer, Rectifier
from stn_rectify.runtime.model.model_file import ModelFile

CANVAS, HELD_OUT, SEED = (42, 42), 10_000, 1_000_037


def held_out(mnist: Path, kind: str, count: int = HELD_OUT) -> tuple[np.ndarray, np.ndarray]:
    """Frames uint8 [N, 42, 42, 1] and labels; the same ones each time."""
    digits = read_idx(next(mnist.glob("train-images*")))[-HELD_OUT:][:count]
    labels = read_idx(next(mnist.glob("train-labels*")))[-HELD_OUT:][:count]
    rng = np.random.default_rng((SEED, DISTORTIONS.index(kind)))
    return distort(digits[..., None], np.full(count, kind), CANVAS, rng).images, labels


def int8_error(model: str, recognizer: str | None, frames: np.ndarray, labels: np.ndarray) -> float:
    """Share of frames that get another label than their own, or none."""
    if recognizer is None:
        with Rectifier(model) as rectifier:
            found = [rectifier.rectify(frame[..., 0]).label for frame in frames]
        return float(np.mean([label != str(truth) for label, truth in zip(found, labels, strict=True)]))
    with (
        Recognizer(recognizer) as reader,
        Rectifier(model, **reader.output_options(ModelFile.open(model))) as rectifier,
    ):
        found = [reader.label(rectifier.rectify(frame[..., 0])).label for frame in frames]
    return float(np.mean([label != str(truth) for label, truth in zip(found, labels, strict=True)]))


_FLOAT = """
import sys, json, keras, numpy as np
from stn_rectify.models.network.keras_file import load_model
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from digits_error import held_out
model = load_model(Path(sys.argv[2]))
errors = {}
for kind in sys.argv[5].split(","):
    frames, labels = held_out(Path(sys.argv[3]), kind, int(sys.argv[4]))
    scores = model.predict(frames / np.float32(255), batch_size=256, verbose=0)
    scores = scores[-1] if isinstance(scores, list) else scores
    errors[kind] = float((scores.argmax(axis=-1) != labels).mean())
print(json.dumps(errors))
"""


def float_errors(keras_file: Path, mnist: Path, kinds: tuple[str, ...], count: int = HELD_OUT) -> dict[str, float]:
    """Of the last output of a Keras model, by distortion."""
    arguments = [str(Path(__file__).parent), str(keras_file), str(mnist), str(count), ",".join(kinds)]
    done = subprocess.run([sys.executable, "-c", _FLOAT, *arguments], check=True, capture_output=True, text=True)
    errors: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return errors


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("mnist", type=Path)
    parser.add_argument("--model", default="digits")
    parser.add_argument("--recognizer", default="digits", help="FILE, name, or none")
    parser.add_argument("--float", type=Path, metavar="FILE.keras")
    parser.add_argument("--kinds", default=",".join(DISTORTIONS))
    parser.add_argument("--count", type=int, default=HELD_OUT)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    kinds = tuple(args.kinds.split(","))
    recognizer = None if args.recognizer == "none" else args.recognizer
    int8 = {k: int8_error(args.model, recognizer, *held_out(args.mnist, k, args.count)) for k in kinds}
    if args.json:
        print(json.dumps(int8))
        return
    floats = float_errors(args.float, args.mnist, kinds, args.count) if args.float else {}
    print(f"error on {args.count} held-out digits, %\n{'':<6}{'INT8':>8}{'float':>8}")
    for kind in kinds:
        said = f"{100 * floats[kind]:>8.2f}" if floats else f"{'-':>8}"
        print(f"{kind:<6}{100 * int8[kind]:>8.2f}{said}")


if __name__ == "__main__":
    main()
