from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from stn_rectify.runtime import ModelFile, ModelFileError, StnRectifyError, UsageError
from stn_rectify.runtime.model.interpreter import find_interpreter_package, open_interpreter

MODULES = {"ai-edge-litert": "ai_edge_litert", "tflite-runtime": "tflite_runtime"}
INSTALLED = [name for name, module in MODULES.items() if importlib.util.find_spec(module)]


@pytest.mark.parametrize("package", INSTALLED)
def test_each_installed_package_runs_a_model(make_model: Callable[..., Path], package: str) -> None:
    interpreter = open_interpreter(ModelFile.open(make_model()).flatbuffer, threads=1, package=package)
    interpreter.tflite.invoke()
    assert str(interpreter.package).startswith(f"{package} 2.")
    assert interpreter.threads == 1


def test_litert_is_preferred() -> None:
    assert find_interpreter_package().name == INSTALLED[0]


def test_a_path_will_do(make_model: Callable[..., Path]) -> None:
    open_interpreter(make_model()).tflite.invoke()


@pytest.mark.parametrize("package", sorted(set(MODULES) - set(INSTALLED)))
def test_a_package_that_is_not_installed(package: str) -> None:
    with pytest.raises(StnRectifyError, match=rf"{package}: No module named .*pip install ai-edge-litert"):
        find_interpreter_package(package)


def test_no_package_at_all_is_one_clear_error() -> None:
    code = (
        "import sys; sys.modules.update(tflite_runtime=None, ai_edge_litert=None)\n"
        "from stn_rectify.runtime.model.interpreter import find_interpreter_package\n"
        "from stn_rectify.runtime import StnRectifyError\n"
        "try: find_interpreter_package()\n"
        "except StnRectifyError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("no TensorFlow Lite interpreter works here (ai-edge-litert: ")
    assert "tflite-runtime: " in done.stdout


def test_an_unknown_package() -> None:
    with pytest.raises(UsageError, match="choose from ai-edge-litert, tflite-runtime"):
        find_interpreter_package("tensorrt")


def test_a_flatbuffer_that_the_interpreter_refuses() -> None:
    with pytest.raises(ModelFileError, match="cannot run this model"):
        open_interpreter(b"\x1c\0\0\0XXXX" + b"\0" * 100)


def test_a_missing_path(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="No such file"):
        open_interpreter(tmp_path / "none.tflite")


def test_importing_the_runtime_loads_no_interpreter_and_no_tensorflow() -> None:
    code = (
        "import sys, stn_rectify.runtime\n"
        "heavy = {'tensorflow', 'keras', 'tflite_runtime', 'ai_edge_litert', 'flatbuffers', 'tqdm'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_processes_of_a_conversion_start_without_opencv_and_tensorflow() -> None:
    code = (
        "import sys, stn_rectify.converters.batch.conversion_process\n"
        "import stn_rectify.converters.tflite.isolated_interpreter\n"
        "print(sorted({'tensorflow', 'keras', 'cv2', 'PIL'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_rectifying_loads_no_tensorflow(make_model: Callable[..., Path]) -> None:
    code = (
        "import sys, numpy, stn_rectify.runtime as runtime\n"
        f"runtime.Rectifier({str(make_model())!r}).rectify(numpy.zeros((48, 64, 3), 'uint8'))\n"
        "print(sorted({'tensorflow', 'keras', 'flatbuffers'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.skipif("ai-edge-litert" not in INSTALLED, reason="needs ai-edge-litert")
def test_the_greeting_of_litert_comes_in_apps_and_not_in_the_command() -> None:
    def said(code: str) -> str:
        words = [sys.executable, "-c", code]
        return subprocess.run(words, capture_output=True, text=True, check=True).stderr

    opened = "from stn_rectify.runtime import Rectifier; Rectifier('fast').close()"
    assert "Created TensorFlow Lite XNNPACK delegate" in said(opened)
    run = "from stn_rectify.runtime.command.cli import main; main(['--demo', '--model', 'fast', '-q'])"
    assert said(run) == ""
