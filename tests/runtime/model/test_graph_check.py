"""What is found out of a graph before an interpreter sees it: shapes, sizes, and what makes no sense."""

from __future__ import annotations

import functools
import importlib
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stn_rectify.runtime import ModelFileError, ModelLimits, Recognizer, Rectifier, StnRectifyWarning
from stn_rectify.runtime.errors import DataError
from stn_rectify.runtime.model import trial, trial_child
from stn_rectify.runtime.model.flatbuffer import read_flatbuffer
from stn_rectify.runtime.model.graph_check import check_graph, tensor_shapes
from stn_rectify.runtime.model.interpreter import open_interpreter
from stn_rectify.runtime.recognition.recognizer_file import RecognizerFile
from tests.runtime.model import hostile_files
from tests.runtime.model.test_model_file_flatbuffer import edited


@functools.cache
def seeds() -> dict[str, hostile_files.Seed]:
    return {seed.name: seed for seed in (*hostile_files.bundled_seeds(), *hostile_files.made_seeds())}


@pytest.mark.parametrize("name", ["general", "fast", "digits", "digits.recognizer", "made float", "made quantized"])
def test_shapes_are_those_that_the_interpreter_makes(name: str) -> None:
    if name not in seeds():
        pytest.skip("made with TensorFlow")
    graph = read_flatbuffer(seeds()[name].flatbuffer)
    check_graph(graph, ModelLimits())
    shapes, needed = tensor_shapes(graph.subgraphs[0], 10**12)
    tflite = open_interpreter(seeds()[name].flatbuffer).tflite
    tflite.invoke()
    assert needed > 0
    for detail in tflite.get_tensor_details():
        if detail["index"] in shapes:  # those of delegates are none of the file's
            assert shapes[detail["index"]] == tuple(detail["shape"]), detail["name"]


def test_made_files_have_many_operators() -> None:
    """So that the test above compares many, and mutants are of many."""
    if "made float" not in seeds():
        pytest.skip("made with TensorFlow")
    kinds = {operator.builtin for name in seeds() for operator in read_flatbuffer(seeds()[name].flatbuffer).operators}
    assert len(kinds) > 40


def tiled(tf: Any, x: Any) -> Any:
    return tf.tile(x, [1, 3000, 3000, 1])


def resized(tf: Any, x: Any) -> Any:
    return tf.image.resize(x, (30000, 30000))


def resized_to_nearest(tf: Any, x: Any) -> Any:
    return tf.image.resize(x, (30000, 30000), method="nearest")


def padded(tf: Any, x: Any) -> Any:
    return tf.pad(x, [[0, 0], [9000, 9000], [9000, 9000], [0, 0]])


def padded_with_ones(tf: Any, x: Any) -> Any:
    return tf.pad(x, [[0, 0], [9000, 9000], [9000, 9000], [0, 0]], constant_values=1.0)


def broadcast_by_adding(tf: Any, x: Any) -> Any:
    return tf.tile(x[:, :1], [1, 1, 5000, 1]) + tf.transpose(tf.tile(x[:, :1], [1, 1, 5000, 1]), [0, 2, 1, 3])


def filled(tf: Any, x: Any) -> Any:
    return tf.fill([1, 20000, 20000, 3], x[0, 0, 0, 0])


def transposed_convolution(tf: Any, x: Any) -> Any:
    return tf.nn.conv2d_transpose(x, np.ones((2, 2, 3, 3), np.float32), (1, 12000, 12000, 3), 1500)


def gathered(tf: Any, x: Any) -> Any:
    return tf.gather(tf.tile(x, [1, 300, 300, 1]), np.zeros(200, np.int32), axis=3)


def in_sum(tf: Any, x: Any) -> Any:
    """No tensor is over the limit."""
    x = tf.tile(x, [1, 400, 400, 1])
    for _ in range(10):
        x = tf.abs(x) - 1.0
    return x


def working_space(tf: Any, x: Any) -> Any:
    """Nor are all together, but what the convolution works with is."""
    x = tf.tile(x, [1, 300, 300, 1])[..., :1]
    return tf.nn.conv2d(x, np.ones((13, 13, 1, 1), np.float32), 1, "SAME")


def of_computed_shape(tf: Any, x: Any) -> Any:
    side = tf.cast(x[0, 0, 0, 0] * 1000, tf.int32)
    return tf.fill(tf.stack([1, side, side, 3]), 1.0)


BOMBS = {
    bomb.__name__: bomb
    for bomb in (
        tiled, resized, resized_to_nearest, padded, padded_with_ones, broadcast_by_adding, filled,
        transposed_convolution, gathered, in_sum, working_space,
    )
}  # fmt: skip


def bomb_file(make: Callable[[Any, Any], Any], path: Path) -> Path:
    tf = pytest.importorskip("tensorflow", reason="the test models are made with TensorFlow")

    @tf.function(input_signature=[tf.TensorSpec((1, 8, 8, 3), tf.float32)])
    def network(image: Any) -> Any:
        return tf.nn.softmax(tf.reduce_mean(make(tf, image), axis=[1, 2])[:, :3] + image[:, 0, 0, :])

    converter = tf.lite.TFLiteConverter.from_concrete_functions([network.get_concrete_function()], tf.Module())
    path.write_bytes(converter.convert())
    return path


@pytest.mark.parametrize("name", BOMBS)
def test_a_small_file_that_needs_much_memory_is_refused(name: str, tmp_path: Path) -> None:
    path = bomb_file(BOMBS[name], tmp_path / "bomb.tflite")
    assert path.stat().st_size < 10_000
    with pytest.raises(ModelFileError, match=r"tensors come to \d+ bytes.*the limit is 1000000000.*--max-tensor-bytes"):
        Recognizer(path)
    RecognizerFile.open(path, limits=ModelLimits(tensor_bytes=10**11))  # which no interpreter is told to open here


def one_pixel_tiled(tf: Any, x: Any) -> Any:
    return tf.tile(x[:, :1, :1, :1], [1, 30000, 30000, 1])


def test_a_small_file_that_broadcasts_is_refused(tmp_path: Path) -> None:
    """TensorFlow writes no such operator, but others do: here in place of the one that tiles a single pixel."""
    path = bomb_file(one_pixel_tiled, tmp_path / "bomb.tflite")

    def edit(model: Any) -> None:
        code = model.operatorCodes[operator_of(model, "TILE").opcodeIndex]
        code.builtinCode, code.deprecatedBuiltinCode, code.version = 130, 127, 2
        operator_of(model, "BROADCAST_TO").builtinOptionsType = 0
        operator_of(model, "BROADCAST_TO").builtinOptions = None

    path.write_bytes(edited(path.read_bytes(), edit))
    with pytest.raises(ModelFileError, match=r"tensors come to \d+ bytes"):
        RecognizerFile.open(path)


def test_a_file_whose_size_nobody_knows_is_refused(tmp_path: Path) -> None:
    path = bomb_file(of_computed_shape, tmp_path / "bomb.tflite")
    with pytest.raises(ModelFileError, match=r"\(FILL\) makes no sense: its output's shape depends on what tensor"):
        Recognizer(path)


def operator_of(model: Any, name: str) -> Any:
    """The first operator of that kind, with lists that can be written."""
    number = getattr(importlib.import_module("tensorflow.lite.python.schema_py_generated").BuiltinOperator, name)
    codes = [max(code.builtinCode, code.deprecatedBuiltinCode) for code in model.operatorCodes]
    operator = next(one for one in model.subgraphs[0].operators if codes[one.opcodeIndex] == number)
    operator.inputs, operator.outputs = list(operator.inputs), list(operator.outputs)
    return operator


def convolution_weights(model: Any) -> Any:
    """Its tensor, with lists that can be written."""
    weights = model.subgraphs[0].tensors[operator_of(model, "CONV_2D").inputs[1]]
    quantization = weights.quantization
    quantization.scale, quantization.zeroPoint = list(quantization.scale), list(quantization.zeroPoint)
    return weights


def stride_of_nothing(model: Any) -> None:
    operator_of(model, "CONV_2D").builtinOptions.strideW = 0


def padding_of_no_kind(model: Any) -> None:
    operator_of(model, "CONV_2D").builtinOptions.padding = 9


def options_of_another_operator(model: Any) -> None:
    convolution = operator_of(model, "CONV_2D")
    other = operator_of(model, "SOFTMAX")
    convolution.builtinOptionsType, convolution.builtinOptions = other.builtinOptionsType, other.builtinOptions


def weights_that_are_missing(model: Any) -> None:
    weights = convolution_weights(model)
    model.buffers[weights.buffer].data = model.buffers[weights.buffer].data[:-4]


def weights_of_another_shape(model: Any) -> None:
    weights = convolution_weights(model)
    weights.shape, weights.quantization = [1, 1, 1, 1], None


def sides_below_zero(model: Any) -> None:
    weights = convolution_weights(model)
    weights.shape, weights.quantization = [-side for side in weights.shape], None


def buffer_out_of_range(model: Any) -> None:
    convolution_weights(model).buffer = 9999


def tensor_of_a_later_operator(model: Any) -> None:
    operator_of(model, "CONV_2D").inputs[0] = model.subgraphs[0].outputs[0]


def output_over_a_constant(model: Any) -> None:
    convolution = operator_of(model, "CONV_2D")
    convolution.outputs[0] = convolution.inputs[1]


def input_that_is_left_out(model: Any) -> None:
    operator_of(model, "CONV_2D").inputs[1] = -1


def shape_that_is_left_out(model: Any) -> None:
    """The options have it, too; all the same an interpreter has died of this."""
    operator_of(model, "RESHAPE").inputs[1] = -1


def scale_that_is_no_number(model: Any) -> None:
    convolution_weights(model).quantization.scale[0] = float("nan")


def scale_of_nothing(model: Any) -> None:
    convolution_weights(model).quantization.scale[0] = 0.0


def fewer_scales_than_channels(model: Any) -> None:
    quantization = convolution_weights(model).quantization
    quantization.scale, quantization.zeroPoint = quantization.scale[:2], quantization.zeroPoint[:2]


def scales_along_no_side(model: Any) -> None:
    convolution_weights(model).quantization.quantizedDimension = 7


def zero_point_out_of_range(model: Any) -> None:
    convolution_weights(model).quantization.zeroPoint[0] = 1000


def more_sides_than_anything_has(model: Any) -> None:
    weights = convolution_weights(model)
    weights.shape = [*weights.shape, *[1] * 40]


def tensor_that_keeps_state(model: Any) -> None:
    convolution_weights(model).isVariable = True


def sum_of_scales_far_apart(model: Any) -> None:
    tensor = model.subgraphs[0].tensors[operator_of(model, "ADD").inputs[0]]
    tensor.quantization.scale = [1e9]


def output_that_is_written_twice(model: Any) -> None:
    split = operator_of(model, "SPLIT")
    split.outputs[1] = split.outputs[0]


def signature_of_inner_tensors(model: Any) -> None:
    signature_of_no_output(model)
    schema = importlib.import_module("tensorflow.lite.python.schema_py_generated")
    inner = schema.TensorMapT()
    inner.name, inner.tensorIndex = b"x", operator_of(model, "CONV_2D").inputs[1]
    model.signatureDefs[0].subgraphIndex, model.signatureDefs[0].inputs = 0, [inner]


def signature_of_no_output(model: Any) -> None:
    signature = importlib.import_module("tensorflow.lite.python.schema_py_generated").SignatureDefT()
    signature.signatureKey, signature.inputs, signature.outputs, signature.subgraphIndex = b"x", [], [], 3
    model.signatureDefs = [signature]


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (stride_of_nothing, r"\(CONV_2D\) makes no sense: a stride, window or block of it is 0"),
        (padding_of_no_kind, "its padding is number 9"),
        (options_of_another_operator, "stride, window or block of it is 0"),
        (weights_that_are_missing, r"is INT8 .* but has \d+ bytes"),
        (weights_of_another_shape, r"is INT8 \[1, 1, 1, 1\], but has"),
        (sides_below_zero, "is INT8 .* but has"),
        (buffer_out_of_range, "has buffer 9999 of"),
        (tensor_of_a_later_operator, "which nothing has made by then"),
        (output_over_a_constant, "which is made already"),
        (input_that_is_left_out, "input 1 is missing"),
        (shape_that_is_left_out, r"\(RESHAPE\) makes no sense: input 1 is missing"),
        (scale_that_is_no_number, "a scale that is no number above 0"),
        (scale_of_nothing, "a scale that is no number above 0"),
        (fewer_scales_than_channels, r"2 scales along side 0 of \["),
        (scales_along_no_side, "scales along side 7"),
        (zero_point_out_of_range, "a zero point that is none of its levels"),
        (more_sides_than_anything_has, "has 44 sides"),
        (tensor_that_keeps_state, "keeps state"),
        (sum_of_scales_far_apart, r"\(ADD\) makes no sense: its inputs' scales are"),
        (output_that_is_written_twice, "it writes a tensor twice"),
        (signature_of_inner_tensors, "names tensors that are neither inputs nor outputs"),
        (signature_of_no_output, "signature is of subgraph 3 of 1"),
    ],
)
def test_a_graph_that_makes_no_sense_is_refused(tmp_path: Path, edit: Callable[[Any], None], message: str) -> None:
    if "made quantized" not in seeds():
        pytest.skip("made with TensorFlow")
    path = tmp_path / "recognizer.tflite"
    path.write_bytes(edited(seeds()["made quantized"].flatbuffer, lambda model: None))
    RecognizerFile.open(path)
    path.write_bytes(edited(seeds()["made quantized"].flatbuffer, edit))
    with pytest.raises(ModelFileError, match=message):
        RecognizerFile.open(path)


def test_lists_on_top_of_each_other_are_refused() -> None:
    """A list of many operators, all of them the same one of many inputs: a small file, and years to read."""
    flatbuffers = pytest.importorskip("flatbuffers")
    schema = pytest.importorskip("tensorflow.lite.python.schema_py_generated")
    many, builder = 50_000, flatbuffers.Builder(1024)
    inputs = builder.CreateNumpyVector(np.zeros(many, np.int32))
    schema.OperatorStart(builder)
    schema.OperatorAddInputs(builder, inputs)
    operator = schema.OperatorEnd(builder)
    schema.SubGraphStartOperatorsVector(builder, many)
    for _ in range(many):
        builder.PrependUOffsetTRelative(operator)
    operators = builder.EndVector()
    schema.SubGraphStart(builder)
    schema.SubGraphAddOperators(builder, operators)
    subgraph = schema.SubGraphEnd(builder)
    schema.OperatorCodeStart(builder)
    code = schema.OperatorCodeEnd(builder)
    lists = []
    for start, item in ((schema.ModelStartSubgraphsVector, subgraph), (schema.ModelStartOperatorCodesVector, code)):
        start(builder, 1)
        builder.PrependUOffsetTRelative(item)
        lists.append(builder.EndVector())
    schema.ModelStart(builder)
    schema.ModelAddSubgraphs(builder, lists[0])
    schema.ModelAddOperatorCodes(builder, lists[1])
    builder.Finish(schema.ModelEnd(builder), b"TFL3")
    content = bytes(builder.Output())
    assert len(content) < 500_000
    with pytest.raises(DataError, match="its lists lie on top of each other"):
        read_flatbuffer(content)


@pytest.fixture
def killer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A recognizer that ends the process which opens it, once the checks of the file let it pass."""
    if "made quantized" not in seeds():
        pytest.skip("made with TensorFlow")
    monkeypatch.setattr("stn_rectify.runtime.recognition.recognizer_file.check_graph", lambda *_: None)
    path = tmp_path / "killer.tflite"
    path.write_bytes(edited(seeds()["made quantized"].flatbuffer, what_divides_by_nothing))
    return path


def what_divides_by_nothing(model: Any) -> None:
    stride_of_nothing(model)


def test_a_file_that_kills_the_interpreter_is_refused_with_the_cause(killer: Path) -> None:
    script = (
        f"from stn_rectify.runtime.model.interpreter import open_interpreter as o; o({str(killer)!r}).tflite.invoke()"
    )
    died = subprocess.run([sys.executable, "-c", script], check=False, capture_output=True)
    if died.returncode >= 0:
        pytest.skip("this interpreter refuses it by itself")
    for _ in range(2):  # what went badly is not remembered
        with pytest.raises(ModelFileError, match=r"killer\.tflite: .* dies of this model \(SIG[A-Z]+\), as a trial"):
            Recognizer(killer)


def test_a_file_is_tried_once(make_model: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    started: list[Any] = []
    run = subprocess.run
    monkeypatch.setattr(
        trial.subprocess, "run", lambda *words, **options: started.append(words) or run(*words, **options)
    )
    for _ in range(2):
        Rectifier(make_model()).close()
    assert len(started) == 1
    assert len(list((tmp_path / "stn-rectify" / "tried").iterdir())) == 1
    Rectifier("fast").close()  # is known to be good
    assert len(started) == 1


def test_a_trial_imports_nothing_of_the_folder_of_its_program_through_a_link_either(tmp_path: Path) -> None:
    """As an installation is reached whose versions lie behind a link."""
    (tmp_path / "version").mkdir()
    (tmp_path / "version" / "numpy.py").write_text("raise SystemExit('the wrong one')")
    (tmp_path / "version" / "trial_child.py").write_bytes(Path(trial_child.__file__).read_bytes())
    (tmp_path / "current").symlink_to("version")
    for folder in ("version", "current"):
        words = [sys.executable, str(tmp_path / folder / "trial_child.py"), "json", str(1 << 28)]
        done = subprocess.run(words, input=b"", capture_output=True, check=False)
        assert trial_child.READY in done.stdout.decode().splitlines()


@pytest.mark.parametrize(
    ("executable", "warning"),
    [("/usr/sbin/uwsgi", "is no Python"), ("/nowhere/python3", "no process can be started"), ("", "is no Python")],
)
def test_where_no_trial_can_be_made_a_file_is_opened_with_a_warning(
    make_model: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    executable: str,
    warning: str,
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(trial.sys, "executable", executable)
    with pytest.warns(StnRectifyWarning, match=warning):
        Rectifier(make_model()).close()
    assert not list(tmp_path.iterdir())


def test_a_cache_that_cannot_be_written_is_done_without(
    make_model: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    Rectifier(make_model()).close()


def test_a_trial_may_not_take_all_memory(tmp_path: Path) -> None:
    """Of a file whose size the checks were told to let pass."""
    path = bomb_file(tiled, tmp_path / "bomb.tflite")
    words = [sys.executable, trial_child.__file__, trial.module_name(trial.find_interpreter_package()), str(1 << 28)]
    done = subprocess.run(words, input=path.read_bytes(), capture_output=True, check=False)
    assert trial_child.DONE not in done.stdout.decode().splitlines()
    assert trial_child.READY in done.stdout.decode().splitlines()


@pytest.mark.parametrize("seed", [1])
def test_no_mutant_ends_a_process(seed: int) -> None:
    outcomes = hostile_files.fuzz(list(seeds().values()), 35, seed)
    assert set(outcomes) <= {"runs", "refused", "refused by the trial alone"}
    assert outcomes["refused"]


@pytest.mark.slow
@pytest.mark.parametrize("seed", [2])
def test_no_mutant_of_many_ends_a_process(seed: int) -> None:
    outcomes = hostile_files.fuzz(list(seeds().values()), 500, seed)
    assert set(outcomes) <= {"runs", "refused", "refused by the trial alone"}
    assert outcomes["runs"]
