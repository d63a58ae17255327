"""Spatial transformers of many makings in one batch of `stn-convert`: right, or refused with what to do.

Each file is asked as a device asks it, by the runtime alone, and compared with what the model itself gives: with Keras,
not with what was read of it.
"""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import keras
import numpy as np
import pytest

from tests.converters.conversion_commands import manifest, start_command
from tests.converters.foreign_models import composites, styles
from tests.converters.foreign_models import layers as foreign
from tests.converters.foreign_models.keras_2 import save_keras_2_model
from tests.converters.keras_models import smooth_frames

SHAPE, SQUARE, SMALL = styles.SHAPE, (32, 32, 3), (16, 16, 3)

MEAN, DEVIATION = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
NORMALISED = -MEAN / DEVIATION, (1 - MEAN) / DEVIATION


@dataclass(frozen=True)
class Row:
    """A model of the matrix.

    Attributes:
        build: frame → what the model puts out: an image, class scores, or several with the image first.
        file: what its name ends in; "": a SavedModel.
        refused: of which the refusal must speak; None: it converts.
        shape: of the frame.
        batch: of the model, if it is fixed.
        dtype: of the frame.
        levels: the numbers of the model's image for pixel values 0 and 255.
        doubted: of which its doubts must speak if what its file gives is not the model's.
        least: correlation with the model's image on noise. A pixel to the side gives 0.3, half a pixel 0.8.
        edge: share of the pixels of black and white frames that may be others: those where the image ends.
    """

    build: Any
    file: str = ".keras"
    refused: str | None = None
    shape: tuple[int, int, int] = SHAPE
    batch: int | None = None
    dtype: str = "float32"
    levels: tuple[Any, Any] = (0.0, 1.0)
    doubted: str | None = None
    least: float = 0.97
    edge: float = 0.06


#: Localization networks with random weights: INT8 takes 0.27 to 0.42 of how their poses vary. Deep ones may stay below
#: the share that is doubtful with one interpreter or the other; on noise, of which they were calibrated with little,
#: they are up to 0.7 px beside the model even so. Small ones are doubted with each.
UNTRAINED = "INT8 moves the corners"

MATRIX = {
    "transposed": Row(styles.transposed, ".h5", doubted="mirrored or has no area"),
    "layer-with-theta": Row(styles.layer_with_theta),
    "rows-before-columns": Row(styles.rows_before_columns, ".h5"),
    "holds-its-network": Row(styles.layer_that_holds_its_network),
    "own-weights": Row(styles.read_by(styles.layer_with_its_own_weights), ".h5"),
    "lambda": Row(styles.a_lambda),
    "attention": Row(styles.attention),
    "two-dense": Row(styles.two_dense_layers, ""),
    "projective": Row(styles.projective, ""),
    "bounded": Row(styles.bounded, ".h5", least=0.9),
    "sigmoid": Row(styles.with_a_grid_of_ours, least=0.9),
    "shift": Row(styles.shift_alone),
    "identity-added": Row(styles.added_to_the_identity),
    "rescaled": Row(styles.scaled_first, levels=(-1.0, 1.0)),
    "normalised": Row(styles.normalised_first, ".h5", levels=(-1.0, 1.0)),
    "normalised-trunk": Row(styles.normalised_before_the_network, least=0.93),
    "channels-held": Row(
        styles.normalised_and_held, ".h5", levels=(-MEAN / DEVIATION, (1 - MEAN) / DEVIATION), least=0.93
    ),
    "channels-read": Row(styles.read_by(styles.normalised_and_held), ""),
    "bytes": Row(styles.of_bytes, dtype="uint8"),
    "spline-near-ours": Row(styles.spline_of_our_points),
    "products": Row(styles.attention_by_products),
    "boxes": Row(styles.part_of_the_image, ""),
    # Two whole edges of its image, 6.25 % of it, fade into black: there, 0.05 px beside are 12 levels of 255.
    "keras-transform": Row(styles.affine_transform_of_keras, edge=0.08),
    "keras-coordinates": Row(styles.coordinates_of_keras, batch=1),
    "tensorflow-transform": Row(styles.image_projective_transform, ""),
    "grid-and-sampler": Row(styles.grid_and_sampler, ".h5"),
    "image-and-theta": Row(styles.image_and_theta, ".h5"),
    "image-warp": Row(styles.warped, ""),
    "planes": Row(styles.of_planes_turned, ".h5"),
    "planes-alone": Row(styles.of_planes_alone, refused=r"channels before height.*Permute", shape=(3, 28, 32)),
    "augmented": Row(styles.augmented_in_training),
    "augmented-saved": Row(styles.augmented_in_training, "", refused="changes with each call.*give the .keras file"),
    "subclass-of-five": Row(styles.subclass, least=0.9),
    "branches": Row(styles.on_trunk(styles.branches), doubted=UNTRAINED),
    "mobilenet": Row(styles.on_trunk(styles.mobile_net), ".h5", shape=SQUARE, doubted=UNTRAINED, least=0.5),
    "mobilenetv2": Row(styles.on_trunk(styles.mobile_net_v2), shape=SQUARE, doubted=UNTRAINED, least=0.5),
    "resnet": Row(styles.on_trunk(styles.start_of_res_net), "", shape=SQUARE, doubted=UNTRAINED, least=0.5),
    "efficientnet": Row(styles.on_trunk(styles.start_of_efficient_net), shape=SQUARE, doubted=UNTRAINED, least=0.5),
    "prelu": Row(styles.on_trunk(styles.prelu), doubted=UNTRAINED),
    "spline": Row(styles.spline, refused=r"train with stn_rectify's ThinPlateSplineGrid"),
    "channels-cut": Row(styles.normalised_for_each_channel, refused=r"of its scaled values.*--accept-border"),
    "mirrored": Row(styles.with_border("mirrored"), ".h5", refused=r"mirrored.*--accept-border"),
    "truncated": Row(styles.with_border("truncated"), refused=r"extrapolated.*--accept-border"),
    "angle": Row(styles.of_an_angle_alone, refused="let the network give the matrix", shape=SMALL),
    "nearest": Row(styles.of_the_nearest_pixel, "", refused="sample bilinearly", shape=SMALL),
    "features": Row(composites.of_feature_maps),
    "their-features": Row(composites.of_their_feature_maps, ".h5"),
    "signed-features": Row(composites.of_signed_feature_maps, ""),
    "series": Row(composites.in_series, ".h5"),
    "parallel": Row(composites.in_parallel, ""),
    "of-one-layer": Row(composites.of_one_layer),
    "beside-the-frame": Row(composites.beside_the_frame, ""),
    "features-by-products": Row(composites.attention_of_features),
    "image-behind": Row(composites.image_behind),
    "flow": Row(composites.of_a_flow, refused="there is no theta"),
    "two-inputs": Row(composites.with_another_input, refused="has 2 inputs, .*save it with constants for the others"),
    "one-by-one": Row(styles.mapped_one_by_one, "", refused="write it for the whole batch at once"),
}
OTHERS = Row(None)
MOST_LEVELS = 4


def natural_frames(count: int) -> np.ndarray:
    """Pictures with areas, edges and letters, uint8 [count, 112, 128, 3]."""
    rng = np.random.default_rng(5)
    pictures = smooth_frames((112, 128, 3), count, seed=6)
    for picture in pictures:
        for _ in range(3):
            colour = [int(n) for n in rng.integers(0, 256, 3)]
            corners = np.int32(rng.uniform(0, 112, (4, 1, 2)))
            cv2.fillConvexPoly(picture, cv2.convexHull(corners), colour)
        word = "".join(rng.choice(list("ABCEHKMRSTX2345789"), 4))
        place = int(rng.integers(0, 60)), int(rng.integers(30, 110))
        cv2.putText(picture, word, place, cv2.FONT_HERSHEY_SIMPLEX, 1.1, (255, 255, 255), 3)
        picture[:] = cv2.GaussianBlur(picture, (0, 0), 1.5)
    return pictures


def coarse_noise(count: int) -> np.ndarray:
    """Noise in squares of four pixels, uint8 [count, 112, 128, 3]: made as small as a frame, it is as strong as before.

    Fine noise is a quarter of it by then. Calibrated with that alone, `features` gives class scores of noise that are
    0.15 from the model's, its corners 0.7 px of 16 x 14: what saturates are the features before θ (3 %) and the numbers
    before the softmax, none of the map that the sampler reads. With twelve of these it is 0.03 and 0.16 px.
    """
    small = np.random.default_rng(77).integers(0, 256, (count, 28, 32, 3), np.uint8)
    return small.repeat(4, axis=1).repeat(4, axis=2)


def kinds_of_frames(shape: tuple[int, int, int]) -> dict[str, np.ndarray]:
    """Frames as OpenCV has them, uint8 [N, H, W, 3], by what they are."""
    height, width, _ = shape
    pictures = [cv2.resize(p, (width, height), interpolation=cv2.INTER_AREA) for p in natural_frames(12)]
    return {
        "natural": np.stack(pictures),
        "noise": np.random.default_rng(8).integers(0, 256, (4, *shape), np.uint8),
        "black": np.zeros((1, *shape), np.uint8),
        "white": np.full((1, *shape), 255, np.uint8),
    }


def made(row: Row) -> keras.Model:
    """The model of a row, with weights that are the same each time."""
    keras.utils.set_random_seed(1)
    frame = keras.Input(batch_shape=(row.batch, *row.shape), dtype=row.dtype)
    outputs = row.build(frame)
    model = outputs if isinstance(outputs, keras.Model) else keras.Model(frame, outputs, name="theirs")
    normalised = [layer for layer in model._flatten_layers() if isinstance(layer, keras.layers.BatchNormalization)]
    if normalised:
        frames = kinds_of_frames(row.shape)["natural"] / np.float32(255)
        for layer in normalised:
            layer.momentum = 0.5
        for _ in range(8):  # their statistics, as after training
            model(frames, training=True)
    return model


def given(frames: np.ndarray, row: Row) -> np.ndarray:
    """Frames as the model takes them: red first, from 0 to 1 unless it takes bytes."""
    frames = frames[..., ::-1]
    return frames if row.dtype == "uint8" else frames / np.float32(255)


def image_or_scores(outputs: Any) -> np.ndarray:
    """The image or the class scores of what a model gives."""
    return np.asarray(keras.tree.flatten(outputs)[0], np.float64)


def of_model(model: Any, row: Row, frames: np.ndarray) -> np.ndarray:
    """What the model itself gives: class scores, or its image as OpenCV would have it."""
    seen = given(frames, row)
    step = row.batch or len(seen)
    parts = [image_or_scores(model(seen[k : k + step], training=False)) for k in range(0, len(seen), step)]
    found = np.concatenate(parts)
    if found.ndim == 2:
        return found
    low, high = row.levels
    return 255 * ((found - low) / np.subtract(high, low))[..., ::-1]


_DEVICE = """
import sys
import numpy as np
from stn_rectify.runtime import ModelFileError, Recognizer, Rectifier
from stn_rectify.runtime.model.interpreter import open_interpreter
from stn_rectify.runtime.model.network_file import NetworkFile
from stn_rectify.runtime.rectifying.pixels.preprocess import Preprocessor
folder, *names = sys.argv[1:]
answers = {}


def whole_network(file, name, kinds):
    try:
        with Recognizer(file) as recognizer:
            for kind, frames in kinds.items():
                found = [recognizer.recognize(frame) for frame in frames]
                answers[f"{name} {kind} scores"] = np.stack([one.class_scores for one in found])
        return
    except ModelFileError as error:
        assert "an app runs it" in str(error), error
    network = NetworkFile.open(file)
    (output,) = network.metadata.outputs
    run = open_interpreter(network.flatbuffer).tflite.get_signature_runner()
    preprocessor = Preprocessor(network.metadata.input)
    for kind, frames in kinds.items():
        levels = np.concatenate([run(image=preprocessor.network_input(frame))[output.name] for frame in frames])
        answers[f"{name} {kind} image"] = 255 * (levels[..., ::-1] - float(output.zero_point)) * output.scale


for name in names:
    file, kinds = f"{folder}/{name}.tflite", np.load(f"{folder}/{name}.frames.npz")
    try:
        rectifier = Rectifier(file, output="model")
    except ModelFileError as error:
        assert "as the recognizer" in str(error) or "an app runs it" in str(error), error
        whole_network(file, name, kinds)
        continue
    with rectifier:
        for kind, frames in kinds.items():
            results = [rectifier.rectify(frame) for frame in frames]
            answers[f"{name} {kind} image"] = np.stack([result.image for result in results])
            if results[0].class_scores is not None:
                answers[f"{name} {kind} scores"] = np.stack([result.class_scores for result in results])
np.savez(f"{folder}/answers.npz", **answers)
"""


@dataclass(frozen=True)
class Batch:
    """What comes of the matrix, by the names of the models and kinds of frames.

    Attributes:
        truth: what each model gives itself.
        records: of the manifest.
        answers: what the files give.
        errors: what the command wrote to standard error.
    """

    truth: dict[str, dict[str, np.ndarray]]
    records: dict[str, dict[str, Any]]
    answers: dict[str, np.ndarray]
    errors: str


def converted(folder: Path) -> Batch:
    """Makes the models and converts them in one batch."""
    models, frames, out = folder / "models", folder / "frames", folder / "out"
    for one in (models, frames, out):
        one.mkdir()
    pictures = [*natural_frames(40), *coarse_noise(12)]
    pictures += [np.zeros((112, 128, 3), np.uint8), np.full((112, 128, 3), 255, np.uint8)]
    for number, picture in enumerate(pictures):
        cv2.imwrite(str(frames / f"{number}.png"), picture)
    truth: dict[str, dict[str, np.ndarray]] = {}
    for name, row in MATRIX.items():
        model, kinds = made(row), kinds_of_frames(row.shape)
        if row.file:
            model.save(models / f"{name}{row.file}")
        else:
            model.export(models / name, verbose=False)
        if row.refused is None:
            truth[name] = {kind: of_model(model, row, seen) for kind, seen in kinds.items()}
            np.savez(out / f"{name}.frames.npz", **kinds)
    kinds = kinds_of_frames(SHAPE)
    for name in ("subclass", "keras-2"):
        np.savez(out / f"{name}.frames.npz", **kinds)
    keras.utils.set_random_seed(1)
    subclass = foreign.ConvStn(styles.SIZE)
    subclass(given(kinds["natural"], OTHERS))
    subclass.export(models / "subclass", verbose=False)
    truth["subclass"] = {kind: of_model(subclass, Row(None), seen) for kind, seen in kinds.items()}
    if importlib.util.find_spec("tf_keras"):
        save_keras_2_model(models / "keras-2.h5", out / "keras-2.frames.npz", folder / "keras-2.npz")
        truth["keras-2"] = dict(np.load(folder / "keras-2.npz"))
    options = ["--custom-objects", foreign.__file__, "--no-latency", "--jobs", 2]
    process = start_command(folder, "models", "--out", "out", "--calibration", "frames", *options)
    _, errors = process.communicate()
    records = manifest(out)
    passed = [name for name in truth if records[name]["result"] == "passed"]
    subprocess.run([sys.executable, "-c", _DEVICE, str(out), *passed], cwd=folder, check=True)
    return Batch(truth, records, dict(np.load(out / "answers.npz")), errors)


def problem_of_image(file: np.ndarray, model: np.ndarray, kind: str, row: Row) -> str | None:
    """Compares images [N, h, w, 3] of the file with those of the model, from 0 to 255."""
    away = np.abs(file - np.clip(model, 0, 255))
    if kind == "noise":
        alike = float(np.corrcoef(file.ravel(), model.ravel())[0, 1])
        return None if alike > row.least else f"correlation {alike:.3f} with its image"
    if kind == "natural":
        return None if away.mean() < MOST_LEVELS else f"{away.mean():.1f} levels from its image"
    share = float((away > MOST_LEVELS).mean())  # where the image ends, a pixel may lie on the other side of the line
    return None if share < row.edge else f"{100 * share:.0f} % of the pixels are others"


def problem_of_scores(file: np.ndarray, model: np.ndarray, kind: str) -> str | None:
    """Compares class scores [N, K]."""
    away, same = np.abs(file - model).mean(), (file.argmax(axis=1) == model.argmax(axis=1)).mean()
    if away > 0.05 or (kind == "natural" and same < 0.8):
        return f"class scores {away:.2f} from its own, the same class in {100 * same:.0f} %"
    return None


def problems_of_file(batch: Batch, name: str) -> list[str]:
    """What is wrong with the file of a model that should convert."""
    if batch.records[name]["result"] != "passed":
        return [f"refused: {batch.records[name]['reason']}"]
    doubts, row = " ".join(batch.records[name]["doubts"]), MATRIX.get(name, OTHERS)
    if row.doubted is not None and row.doubted in doubts:
        return []
    found = []
    for kind, model in batch.truth[name].items():
        if model.ndim == 4:
            image = batch.answers[f"{name} {kind} image"].astype(np.float64)
            problem = problem_of_image(image, model, kind, row)
        else:
            problem = problem_of_scores(batch.answers[f"{name} {kind} scores"], model, kind)
        found += [] if problem is None else [f"{kind}: {problem}"]
    natural = batch.truth[name]["natural"]
    moved = np.abs(natural - natural.mean(axis=0)).mean()
    return (
        found if moved > (10 if natural.ndim == 4 else 0.03) else [*found, "its answers are all alike: nothing shows"]
    )


def problems_of_refusal(batch: Batch, name: str) -> list[str]:
    """What is wrong with the refusal of a model that cannot convert."""
    record = batch.records[name]
    if record["result"] != "failed":
        return ["converted"]
    found = [] if re.search(str(MATRIX[name].refused), record["reason"]) else [record["reason"]]
    return found if f"{name}  FAILED: " in batch.errors else [*found, "the command does not say so"]


@pytest.mark.slow
def test_models_of_many_makings_are_right_or_refused(tmp_path):
    batch = converted(tmp_path)
    assert len(batch.records) == len(MATRIX) + 1 + ("keras-2" in batch.truth)
    problems = {name: problems_of_file(batch, name) for name in batch.truth}
    problems |= {name: problems_of_refusal(batch, name) for name, row in MATRIX.items() if row.refused is not None}
    assert {name: found for name, found in problems.items() if found} == {}
