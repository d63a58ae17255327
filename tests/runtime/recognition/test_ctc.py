"""Recognizers that read texts: the decodings against all alignments there are, and files of all layouts."""

from __future__ import annotations

import itertools
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from stn_rectify.runtime import ModelFileError, Recognizer, UsageError
from stn_rectify.runtime.command.cli import main
from stn_rectify.runtime.recognition.ctc import CtcDecoder, best_path, best_texts, text_probability
from stn_rectify.runtime.recognition.recognizer_file import SequenceLayout, sequence_sides

STEPS, CLASSES, BLANK = 5, 3, 1
LAYOUTS = {"T, K": (8, 4), "K, T": (4, 8), "1, T, K": (1, 8, 4), "K, 1, T": (4, 1, 8)}


def random_steps(seed: int, peaked: float = 1.0) -> np.ndarray:
    logits = np.random.default_rng(seed).normal(0, peaked, (STEPS, CLASSES))
    scores: np.ndarray = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return scores


def collapsed(alignment: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(number for number, _ in itertools.groupby(alignment) if number != BLANK)


def all_texts(steps: np.ndarray) -> dict[tuple[int, ...], float]:
    """How probable every text is: all alignments, one by one."""
    found: dict[tuple[int, ...], float] = {}
    for alignment in itertools.product(range(CLASSES), repeat=STEPS):
        text = collapsed(alignment)
        found[text] = found.get(text, 0.0) + float(np.prod(steps[range(STEPS), alignment]))
    return found


@pytest.mark.parametrize("seed", range(12))
def test_decodings_agree_with_all_alignments_there_are(seed: int) -> None:
    steps = random_steps(seed)
    expected = all_texts(steps)
    assert sum(expected.values()) == pytest.approx(1)
    for text, probability in expected.items():
        assert text_probability(steps, BLANK, text) == pytest.approx(probability)
    ranked = sorted(expected, key=lambda text: -expected[text])
    assert best_texts(steps, BLANK, len(expected)) == ranked
    best_alignment = max(
        itertools.product(range(CLASSES), repeat=STEPS), key=lambda a: float(np.prod(steps[range(STEPS), a]))
    )
    assert best_path(steps, BLANK) == collapsed(best_alignment)


def test_a_beam_finds_more_probable_texts_than_the_best_alignment() -> None:
    greedy, beam = (CtcDecoder(("a", "", "b"), BLANK, width) for width in (1, 4))
    better = 0
    for seed in range(100):
        steps = random_steps(seed, 0.5)
        texts, path = beam(steps), greedy(steps)
        written = {"".join("ab"[n // 2] for n in text): p for text, p in all_texts(steps).items()}
        assert all(score == pytest.approx(written[text]) for text, score in texts.alternatives)  # though some is pruned
        assert path.score == pytest.approx(written[path.label])
        assert texts.top(1) == ((texts.label, texts.score),)
        better += texts.score > path.score + 1e-9
        assert texts.score >= path.score - 1e-9
    assert better > 10


def test_a_text_longer_than_the_steps_is_impossible_and_long_outputs_do_not_underflow() -> None:
    steps = random_steps(0)
    assert text_probability(steps, BLANK, (0, 0, 0)) == pytest.approx(all_texts(steps)[0, 0, 0])
    assert text_probability(steps, BLANK, (0, 0, 0, 0)) == 0  # needs blanks between
    long = np.full((2000, 40), 1e-3)
    long[np.arange(2000), np.arange(2000) % 40] = 1 - 39e-3
    text = best_path(long, 39)
    assert len(text) == 1950
    assert 0 < text_probability(long, 39, text) < 1e-20
    assert best_texts(long, 39, 3)[0] == text


def reader(shape: tuple[int, ...], dtype: str = "float32") -> bytes:
    """A flatbuffer that takes the grey of each eighth of an image for one of four classes: 0, 1/3, 2/3, 1."""
    import tensorflow as tf

    centres = np.linspace(0, 1, 4, dtype=np.float32)

    def read(image):
        columns = tf.reshape(tf.reduce_mean(image, axis=[1, 3]), (8, 2))
        grey = tf.reduce_mean(columns, axis=1, keepdims=True)
        # -120 (grey - centre)², but for what all classes share
        logits = tf.nn.bias_add(tf.matmul(grey, 240 * centres[None]), -120 * centres**2)
        logits = logits if shape.index(8) < shape.index(4) else tf.transpose(logits)
        return {"steps": tf.reshape(logits, (1, *shape))}

    signature = [tf.TensorSpec((1, 6, 16, 1), tf.float32, name="image")]
    concrete = tf.function(read, input_signature=signature).get_concrete_function()
    converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete])
    if dtype == "int8":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        samples = [np.full((1, 6, 16, 1), level, np.float32) for level in np.linspace(0, 1, 9)]
        converter.representative_dataset = lambda: ([sample] for sample in samples)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.int8
    content: bytes = converter.convert()
    return content


@pytest.fixture(scope="module")
def write_reader(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    folder = tmp_path_factory.mktemp("readers")

    def write(name: str, labels: str | None, layout: str = "T, K", dtype: str = "float32") -> Path:
        path = folder / f"{name}.tflite"
        path.write_bytes(reader(LAYOUTS[layout], dtype))
        if labels is not None:
            with zipfile.ZipFile(path, "a") as archive:
                archive.writestr("labels.txt", labels)
        return path

    return write


def picture(classes: str) -> np.ndarray:
    """The image that the reader takes for these classes, a digit each."""
    levels = np.array([int(number) * 85 for number in classes], np.uint8)
    return np.repeat(np.tile(levels, (6, 1)), 2, axis=1)


@pytest.mark.parametrize("dtype", ["float32", "int8"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_texts_are_read_whatever_the_layout(write_reader: Callable[..., Path], layout: str, dtype: str) -> None:
    file = write_reader(f"{layout}{dtype}", "a\nb\nc\n", layout, dtype)
    for width in (1, 5):
        with Recognizer(file, beam_width=width) as recognizer:
            assert (recognizer.file.classes, recognizer.file.labels) == (4, ("a", "b", "c", ""))
            for classes, text in (("03303122", "aabc"), ("33333333", ""), ("00112233", "abc")):
                found = recognizer.recognize(picture(classes))
                assert (found.label, found.class_scores) == (text, None)
                assert 0.9 < found.score <= 1


@pytest.mark.parametrize(
    ("alphabet", "text"),
    [("abc", "aabc"), ("abc-", "aabc"), (("<blank>", "x", "y", "z"), "zzxy"), (("a", "<blank>", " ", "z"), "azaz ")],
    ids=["left out", "last", "first", "second"],
)
def test_the_alphabet_says_which_class_is_the_blank(
    write_reader: Callable[..., Path], alphabet: tuple[str, ...], text: str
) -> None:
    with Recognizer(write_reader("blank", None), labels=tuple(alphabet)) as recognizer:
        assert recognizer.recognize(picture("03303122")).label == text


def test_classes_are_on_the_second_side_where_both_fit() -> None:
    assert SequenceLayout.of((3, 4), ("a", "b", "c"))[0] == SequenceLayout(3, 4, classes_first=False, blank=3)
    assert SequenceLayout.of((3, 4), ("a", "<blank>", "c"))[0] == SequenceLayout(4, 3, classes_first=True, blank=1)
    assert SequenceLayout.of((4, 9), ("a", "b", "c"))[0] == SequenceLayout(9, 4, classes_first=True, blank=3)


@pytest.mark.parametrize("shape", [(1, 8), (2, 8, 4), (1, 8, 4, 2), (1, 1, 8), (8, 4), (1, 1, 1, 8, 4)])
def test_other_shapes_are_no_sequences(shape: tuple[int, ...]) -> None:
    assert sequence_sides(shape) is None


@pytest.mark.parametrize(
    ("alphabet", "message"),
    [
        (None, r"no labels for an output of 8 by 4: a sequence recognizer needs one for each class.*\(--labels\)"),
        ("a\nb\n", "2 labels for an output of 8 by 4"),
        ("a\nb\n<blank>\n", "3 labels for an output of 8 by 4"),
    ],
    ids=["none", "too few", "blank counted twice"],
)
def test_an_alphabet_that_does_not_fit_is_one_clear_error(
    write_reader: Callable[..., Path], alphabet: str | None, message: str
) -> None:
    with pytest.raises(ModelFileError, match=message):
        Recognizer(write_reader("bad", alphabet))


def test_a_beam_is_for_texts_and_at_least_one_wide(write_reader: Callable[..., Path]) -> None:
    with pytest.raises(UsageError, match=r"is a classifier, there is nothing to search.*--beam-width"):
        Recognizer("digits", beam_width=5)
    with pytest.raises(UsageError, match="beam_width is 0"):
        Recognizer(write_reader("zero", "a\nb\nc\n"), beam_width=0)


def test_the_command_writes_texts_and_the_best_few(
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    write_reader: Callable[..., Path],
    make_model: Callable[..., Path],
) -> None:
    """Its frame is the target itself: θ is the identity."""
    labels = tmp_path / "alphabet.txt"
    labels.write_text("a\nb\nc\n")
    frame = cv2.resize(picture("23303120"), (320, 120), interpolation=cv2.INTER_NEAREST)
    frame[:8, :20] = 255  # where the test model reads its score
    cv2.imwrite(str(tmp_path / "text.png"), frame)
    model = make_model((1.0, 0, 0, 0, 1.0, 0, 0, 0), (12, 32, 3))
    options = ["--recognizer", str(write_reader("command", None)), "--labels", str(labels), "--beam-width", "5"]
    status = main(
        ["--image", str(tmp_path / "text.png"), "--model", str(model), *options, "--top-k", "2", "--jsonl", "-"]
    )
    out, err = capfd.readouterr()
    assert (status, "recognizer command (float, " in err, "texts of 3 characters" in err) == (0, True, True)
    line = json.loads(out)
    assert line["label"] == "cabca"
    assert line["labels"][0] == ["cabca", line["label_score"]]
    assert len(line["labels"]) == 2
    assert line["labels"][1][1] < line["label_score"]
