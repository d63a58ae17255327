"""The recognizer: files of all kinds, what is wrong with them, and the bundled one behind the bundled model."""

from __future__ import annotations

import io
import json
import zipfile

import cv2
import numpy as np
import pytest

from stn_rectify.converters.tflite.object_tree import read_model, write_model
from stn_rectify.runtime import Recognizer, Rectifier
from stn_rectify.runtime.command.cli import main
from stn_rectify.runtime.errors import DataError, ModelFileError, UsageError
from stn_rectify.runtime.model.model_file import ModelFile
from stn_rectify.runtime.recognition.recognizer_file import RecognizerFile

THETA = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0)
LABELS = "dark\nlight\n"


def classifier(dtype="float32", channels=1, low=0.0, high=1.0, brightest=1.0, height=6, width=8, ends=None):
    """A flatbuffer that says how dark (1 - mean) and how light (mean) an image is.

    Pixel values 0 and 255 are ``low`` and ``high`` to it; calibration goes up to ``brightest`` of the way. ``ends`` is
    what it does with both numbers last.
    """
    import tensorflow as tf

    def shades(image):
        light = (tf.reduce_mean(image, axis=[1, 2, 3]) - low) / (high - low)
        return {"shades": (ends or tf.nn.relu)(tf.stack([1.0 - light, light], axis=1))}

    signature = [tf.TensorSpec((1, height, width, channels), tf.float32, name="image")]
    concrete = tf.function(shades, input_signature=signature).get_concrete_function()
    converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete])
    if dtype != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        levels = low + (high - low) * brightest * np.linspace(0, 1, 9)
        samples = [np.full((1, height, width, channels), level, np.float32) for level in levels]
        converter.representative_dataset = lambda: ([sample] for sample in samples)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.as_dtype(dtype)
    return converter.convert()


@pytest.fixture(scope="module")
def flatbuffers():
    import tensorflow as tf

    def probabilities(shades):
        return tf.nn.softmax(tf.math.log(shades))  # which float numbers have to say of themselves

    return {
        "float32": classifier("float32", ends=probabilities),
        "int8": classifier("int8"),
        "uint8": classifier("uint8"),
    }


def write(path, flatbuffer, **texts):
    file = io.BytesIO(flatbuffer)
    with zipfile.ZipFile(file, "a") as archive:
        for name, text in texts.items():
            archive.writestr(name.replace("_", "."), text)
    path.write_bytes(file.getvalue() if texts else flatbuffer)
    return path


@pytest.mark.parametrize("dtype", ["float32", "int8", "uint8"])
def test_any_classifier_tells_dark_from_light(tmp_path, flatbuffers, dtype):
    file = write(tmp_path / "shades.tflite", flatbuffers[dtype], labels_txt=LABELS)
    with Recognizer(file) as recognizer:
        assert recognizer.input_size == (8, 6)
        assert recognizer.file.is_integer == (dtype != "float32")
        for value, label, score in ((230, "light", 0.9), (51, "dark", 0.8)):
            found = recognizer.recognize(np.full((31, 40, 3), value, np.uint8))
            assert (found.label, found.score) == (label, pytest.approx(score, abs=0.02))
            assert recognizer.recognize(np.full((6, 8), value, np.uint8)).label == label
            assert found.class_scores.sum() == pytest.approx(1)


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
@pytest.mark.parametrize(
    ("low", "high", "brightest"),
    [(0, 1, 0.8), (-1, 1, 1), (-1, 1, 0.8), (0, 255, 1), (0, 255, 0.8), (-2.1, 2.6, 1)],
    ids=["0.8", "-1 to 1", "-1 to 0.6", "0 to 255", "0 to 204", "standardised"],
)
def test_an_integer_input_is_fed_by_its_quantization(tmp_path, dtype, low, high, brightest):
    """Calibration that saw no white leaves an input that ends below pixel value 255."""
    file = write(tmp_path / "shades.tflite", classifier(dtype, low=low, high=high, brightest=brightest))
    with Recognizer(file) as recognizer:
        for value in (40, 102, 179):
            found = recognizer.recognize(np.full((6, 8), value, np.uint8))
            assert found.class_scores[1] == pytest.approx(value / 255, abs=0.02)
        bright = recognizer.recognize(np.full((6, 8), 250, np.uint8)).class_scores[1]
        assert bright == pytest.approx(min(250 / 255, brightest), abs=0.02)


def test_labels_may_lie_in_any_text_file_or_be_missing(tmp_path, flatbuffers):
    other = RecognizerFile.open(write(tmp_path / "a.tflite", flatbuffers["int8"], shades_txt=LABELS))
    assert (other.labels, other.name) == (("dark", "light"), "a")
    bare = write(tmp_path / "b.tflite", flatbuffers["int8"])
    with Recognizer(bare) as recognizer:
        assert recognizer.recognize(np.zeros((6, 8), np.uint8)).label == "0"


LABELS_AS_PEOPLE_WRITE_THEM = [
    pytest.param(b"dark\nlight", ("dark", "light"), id="no last newline"),
    pytest.param(b"\xef\xbb\xbfdark\r\n\r\nlight \r\n \t\r\n\n", ("dark", "light"), id="from Windows"),
    pytest.param(b" \n\tlight\n", (" ", "light"), id="one space"),
    pytest.param("\u3000\na\u2028b\n\n".encode(), ("\u3000", "a\u2028b"), id="characters that look empty"),
]


@pytest.mark.parametrize(("text", "labels"), LABELS_AS_PEOPLE_WRITE_THEM)
def test_labels_are_the_same_in_a_file_and_in_an_archive(tmp_path, flatbuffers, text, labels):
    in_archive = write(tmp_path / "a.tflite", flatbuffers["int8"], labels_txt=text)
    (tmp_path / "labels.txt").write_bytes(text)
    with Recognizer(in_archive) as one, Recognizer(in_archive, labels=tmp_path / "labels.txt") as other:
        assert one.file.labels == other.file.labels == labels


def test_logits_are_logits_from_the_first_image_on(tmp_path):
    """Of a float network that does not say what its scores are, though at first they might be probabilities."""
    logits = write(tmp_path / "a.tflite", classifier(low=0.25, high=0.5))
    with Recognizer(logits) as recognizer:
        dim, bright = (np.full((6, 8), value, np.uint8) for value in (77, 255))  # scores 0.79 and 0.21; 0 and 3
        for image, difference in ((dim, 0.79 - 0.21), (bright, 3), (dim, 0.79 - 0.21)):
            assert recognizer.recognize(image).score == pytest.approx(1 / (1 + np.exp(-difference)), abs=0.01)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: b"", "not a TensorFlow Lite file"),
        (lambda f: b"\x1c\0\0\0TFL3" + f[8:100], "recognizer file"),
        (lambda f: None, "does not exist"),
    ],
    ids=["empty", "cut short", "missing"],
)
def test_a_damaged_file_is_one_clear_error(tmp_path, flatbuffers, change, message):
    content = change(bytes(flatbuffers["int8"]))
    if content is not None:
        (tmp_path / "bad.tflite").write_bytes(content)
    with pytest.raises(ModelFileError, match=message):
        Recognizer(tmp_path / "bad.tflite")


@pytest.mark.parametrize("position", [999, -2])
def test_a_file_that_names_a_tensor_it_has_not_is_one_clear_error(tmp_path, flatbuffers, position):
    model = read_model(bytes(flatbuffers["int8"]))
    model.subgraphs[0].operators[-1].inputs = [position]
    with pytest.raises(ModelFileError, match=f"damaged: it names tensor {position} of"):
        Recognizer(write(tmp_path / "a.tflite", write_model(model)))


def test_what_is_no_classifier_is_refused(tmp_path, flatbuffers, make_model):
    with pytest.raises(ModelFileError, match="3 labels for 2 classes: give one for each"):
        Recognizer(write(tmp_path / "a.tflite", flatbuffers["int8"], labels_txt="a\nb\nc\n"))
    with pytest.raises(ModelFileError, match="spatial transformer: give it as the model"):
        Recognizer(make_model())
    with pytest.raises(ModelFileError, match=r"recognizer: give it as the recognizer \(--recognizer\)"):
        Rectifier(RecognizerFile.open("digits").path)
    with pytest.raises(ModelFileError, match="no bundled recognizer 'letters'"):
        Recognizer("letters")
    ours = json.dumps({"format": "stn-rectify-recognizer/1", "name": "a"})
    with pytest.raises(
        ModelFileError, match=r"metadata\.json is damaged \(.*missing required field `description`.*convert"
    ):
        Recognizer(write(tmp_path / "b.tflite", flatbuffers["int8"], metadata_json=ours))


def test_wrong_images_and_use_after_close_are_refused(tmp_path, flatbuffers):
    recognizer = Recognizer(write(tmp_path / "a.tflite", flatbuffers["int8"]))
    with pytest.raises(DataError):
        recognizer.recognize(np.zeros((6, 8), np.float32))
    recognizer.close()
    recognizer.close()
    with pytest.raises(UsageError, match="closed"):
        recognizer.recognize(np.zeros((6, 8), np.uint8))


def test_the_command_labels_what_it_rectifies(tmp_path, capfd, flatbuffers, make_model):
    file = write(tmp_path / "shades.tflite", flatbuffers["int8"], labels_txt=LABELS)
    cv2.imwrite(str(tmp_path / "dark.png"), np.full((40, 60, 3), 20, np.uint8))
    cv2.imwrite(str(tmp_path / "light.png"), np.full((40, 60, 3), 250, np.uint8))
    images = ["--image", str(tmp_path / "dark.png"), str(tmp_path / "light.png")]
    status = main([*images, "--model", str(make_model()), "--recognizer", str(file), "--jsonl", "-"])
    out, err = capfd.readouterr()
    assert status == 0
    found = [json.loads(line) for line in out.splitlines()]
    assert found[0]["label"] == "dark"
    assert all(0.5 < line["label_score"] <= 1 for line in found)
    assert "recognizer shades (INT8, " in err


def test_an_unusable_pose_has_no_label(tmp_path, flatbuffers, make_model):
    crossed = make_model((1.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0))
    file = write(tmp_path / "a.tflite", flatbuffers["int8"])
    with Rectifier(crossed) as rectifier, Recognizer(file) as recognizer:
        result = recognizer.label(rectifier.rectify(np.zeros((40, 60, 3), np.uint8)))
    assert (result.score, result.label, result.label_score) == (0, None, None)


def test_without_a_target_there_is_no_label(tmp_path, flatbuffers, make_model):
    """The score of this model is the red of the first pixel: 0, though the pose is usable."""
    file = write(tmp_path / "a.tflite", flatbuffers["int8"])
    with Rectifier(make_model()) as rectifier, Recognizer(file) as recognizer:
        result = recognizer.label(rectifier.rectify(np.zeros((40, 60, 3), np.uint8)))
        assert (result.score, result.label) == (0, None)
        assert not np.allclose(result.corners[0], -0.5)
        assert recognizer.label(rectifier.rectify(np.full((40, 60, 3), 200, np.uint8))).label is not None


@pytest.mark.parametrize(("refine", "options"), [(None, "size"), (0, "model"), (1, "size")])
def test_a_recognizer_reads_the_graphs_image_only_if_no_pass_follows(tmp_path, make_model, refine, options):
    file = write(tmp_path / "a.tflite", classifier("int8", channels=3, height=32, width=48))
    model = ModelFile.open(make_model(in_graph=True, refine={"theta": THETA}))
    with Recognizer(file) as recognizer:
        expected = {"model": {"output": "model"}, "size": {"output_size": (48, 32)}}[options]
        assert recognizer.output_options(model, refine) == expected


def test_the_bundled_digits_are_read_by_the_bundled_recognizer(tmp_path, capfd):
    """Drawn with OpenCV, so not quite like the ones it was trained on."""
    for digit in "0147":
        image = np.zeros((42, 42), np.uint8)
        cv2.putText(image, digit, (12, 30), cv2.FONT_HERSHEY_DUPLEX, 0.8, 255, 2, cv2.LINE_AA)
        cv2.imwrite(str(tmp_path / f"{digit}.png"), image)
    status = main(["--image", str(tmp_path), "--model", "digits", "--recognizer", "digits", "--jsonl", "-"])
    found = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert status == 0
    assert [line["label"] for line in found] == ["0", "1", "4", "7"]
