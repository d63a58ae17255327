"""The speed of the file beside the float32 version of the same model, on this machine."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from stn_rectify.converters.tflite.isolated_interpreter import IsolatedInterpreter, installed_packages
from stn_rectify.converters.tflite.object_tree import read_model
from stn_rectify.runtime.errors import StnRectifyError

if TYPE_CHECKING:
    from stn_rectify.converters.tflite.quantizer import TensorFunction

_ROUNDS = 50


@dataclass(frozen=True)
class Latency:
    """The file and its float32 twin, one thread, run in turns in one process.

    Attributes:
        interpreter: name and version.
        rounds: how many turns.
        int8_ms: median of the file, milliseconds of processor time.
        float_ms: median of the twin.
        speed: float_ms / int8_ms: so many times as fast is the file.
        speed_p10: 10th percentile of the same ratio, turn by turn.
        speed_p90: 90th percentile.
        problem: why there are no numbers; None if there are.
    """

    interpreter: str
    rounds: int = 0
    int8_ms: float | None = None
    float_ms: float | None = None
    speed: float | None = None
    speed_p10: float | None = None
    speed_p90: float | None = None
    problem: str | None = None


def float_twin(function: TensorFunction, outputs: Collection[str], shape: Sequence[int]) -> bytes:
    """A float model of one image as a float32 TFLite file of built-in operators, with the outputs that the file has.

    Raises:
        ModelFileError: if TensorFlow cannot convert it.
    """
    from stn_rectify.converters.tflite.quantizer import to_float_tflite  # brings TensorFlow

    def of_file(image: Any) -> dict[str, Any]:
        return {name: value for name, value in function(image).items() if name in outputs}

    height, width, channels = shape
    return to_float_tflite(of_file, (height, width, channels), "float model")


def measure_latencies(
    flatbuffer: bytes, function: TensorFunction, frames: npt.NDArray[np.float32], quantized: npt.NDArray[np.int8]
) -> list[Latency]:
    """`measure_latency` of a file and its float model on the first frame, in each installed interpreter.

    Args:
        flatbuffer: the file; its first signature counts.
        function: the float model.
        frames: [N, H, W, C] as the float model takes them.
        quantized: the same as the file takes them.
    """
    outputs = {entry.name.decode() for entry in read_model(flatbuffer).signatureDefs[0].outputs}
    try:
        twin = float_twin(function, outputs, frames.shape[1:])
    except StnRectifyError as error:
        return [Latency(package, problem=str(error)) for package in installed_packages()]
    return [measure_latency(flatbuffer, twin, frames[0], quantized[0], package) for package in installed_packages()]


def measure_latency(
    flatbuffer: bytes,
    twin: bytes,
    frame: npt.NDArray[np.float32],
    quantized: npt.NDArray[np.int8],
    package: str,
    rounds: int = _ROUNDS,
) -> Latency:
    """Times the file against its twin on one frame [H, W, C], float32 and int8."""
    name = package
    try:
        with IsolatedInterpreter(package) as interpreter:
            name = interpreter.package
            seconds = interpreter.time([(flatbuffer, quantized[None]), (twin, frame[None])], rounds)
    except StnRectifyError as error:
        return Latency(name, problem=str(error))
    int8_s, float_s = np.median(seconds, axis=0)
    by_turn = seconds[:, 1] / seconds[:, 0]
    return Latency(
        interpreter=name,
        rounds=len(seconds),
        int8_ms=float(1000 * int8_s),
        float_ms=float(1000 * float_s),
        speed=float(float_s / int8_s),
        speed_p10=float(np.percentile(by_turn, 10)),
        speed_p90=float(np.percentile(by_turn, 90)),
    )
