"""Files that only Keras 2 can load: read by it in a process of its own, and handed over as a SavedModel.

Keras 2 lives on as tf_keras (the extra ``legacy``). It and Keras 3 both want to be ``tf.keras``, so they do not share a
process; there, code of the user's own that imports ``keras`` or ``tensorflow.keras`` gets Keras 2.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

from stn_rectify.converters.custom_code import CustomCode
from stn_rectify.runtime.errors import DataError, StnRectifyError, first_line
from stn_rectify.runtime.process.installation import pip_command

_MODULE = "stn_rectify.converters.reading.keras_2"
_PACKAGE = "tf_keras"
_INSTALLED_AS = "tf_keras==2.19.0"  # as the extra ``legacy`` in setup.cfg has it
_ARRAY = "__numpy__"  # what settings of a layer call one
_MOST_CHARACTERS = 300  # of what Keras 2 says: it may recite all settings of a layer


@contextmanager
def keras_2_export(file: Path, code: CustomCode | None, refusal: DataError) -> Iterator[Path]:
    """Gives the folder of a SavedModel of an .h5 file, as Keras 2 reads it; the folder is gone after the block.

    Args:
        file: the .h5 file.
        code: what it needs to be loaded; None: nothing, and no code of the file is run either.
        refusal: what Keras 3 says of it.

    Raises:
        DataError: if Keras 2 is not installed, or cannot load the file, either.
    """
    if importlib.util.find_spec(_PACKAGE) is None:
        mend = pip_command("install", "--no-deps", _INSTALLED_AS)  # the extra would bring a second TensorFlow
        raise DataError(f"{refusal}; if Keras 2 wrote it, its own reader may load it: {mend}") from refusal
    with tempfile.TemporaryDirectory() as scratch:
        folder, answer = Path(scratch) / file.stem, Path(scratch) / "answer.json"
        request = {
            "file": str(file.resolve()),
            "folder": str(folder),
            "answer": str(answer),
            "code": None if code is None else {"file": code.file, "sha256": code.sha256, "source": code.source},
        }
        environment = {**os.environ, "TF_USE_LEGACY_KERAS": "1", "TF_CPP_MIN_LOG_LEVEL": "2"}
        child = subprocess.run(
            [sys.executable, "-m", _MODULE], input=json.dumps(request), text=True, env=environment, check=False
        )
        reason = json.loads(answer.read_text()) if answer.exists() else f"its process ended with {child.returncode}"
        if reason is not None:
            mend = "; give --custom-objects FILE.py with what it needs (runs that code, and Lambda layers)"
            raise DataError(f"{refusal}; nor can Keras 2 load it: {reason}{mend if code is None else ''}") from refusal
        yield folder


class _Keras2(MetaPathFinder, Loader):
    """Lets ``import keras``, and what lies below it, mean Keras 2."""

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> ModuleSpec | None:
        return ModuleSpec(fullname, self) if fullname.split(".")[0] == "keras" else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return importlib.import_module(_PACKAGE + spec.name.removeprefix("keras"))

    def exec_module(self, module: ModuleType) -> None:
        """It has been run already, under its own name."""


def main() -> None:
    """Reads the request, exports, answers: null, or why not."""
    request = json.load(sys.stdin)
    reason = None
    try:
        _export(request)
    except StnRectifyError as error:
        reason = str(error)
    except Exception as error:  # whatever Keras and the user's own code raise
        reason = textwrap.shorten(first_line(error), _MOST_CHARACTERS, placeholder=" …")
    Path(request["answer"]).write_text(json.dumps(reason))
    sys.stderr.flush()
    os._exit(0)  # TensorFlow takes a while to tear itself down


def _export(request: dict[str, object]) -> None:
    sys.meta_path.insert(0, _Keras2())
    import tensorflow as tf

    keras = importlib.import_module(_PACKAGE)
    code = request["code"]
    objects = CustomCode(**code).run() if isinstance(code, dict) else None
    if objects:
        # Where Keras 2 runs the code of Lambda layers.
        lambdas = importlib.import_module(f"{_PACKAGE}.src.utils.generic_utils")
        for name, value in objects.items():
            vars(lambdas).setdefault(name, value)
    saving = importlib.import_module(f"{_PACKAGE}.src.saving.serialization_lib")
    file = _with_plain_numbers(Path(str(request["file"])), Path(str(request["folder"])).parent)
    with saving.SafeModeScope(objects is None):  # load_model has a safe_mode, but not for .h5 files
        model = keras.models.load_model(file, custom_objects=objects, compile=False)
    # Of several inputs, too, which are refused where those of every other model are.
    inputs = [tf.TensorSpec(tensor.shape, tensor.dtype, name=tensor.name.split(":")[0]) for tensor in model.inputs]
    structure = inputs if len(inputs) > 1 else inputs[0]
    serve = tf.function(lambda frame: _named(model(frame, training=False)), autograph=False)
    tf.saved_model.save(model, request["folder"], signatures=serve.get_concrete_function(structure))


def _with_plain_numbers(file: Path, scratch: Path) -> Path:
    """The file, or a copy of it without arrays among its settings.

    Keras 2 writes them, such as that of ``bias_initializer=Constant(np.array([1, 0, 0, 0, 1, 0]))``, and cannot read
    them; lists it can.
    """
    h5py = importlib.import_module("h5py")
    with h5py.File(file) as saved:
        config = saved.attrs.get("model_config", "")
    text = config.decode() if isinstance(config, bytes) else str(config)
    if _ARRAY not in text:
        return file
    copy = scratch / f"{file.stem}.plain.h5"
    shutil.copyfile(file, copy)
    with h5py.File(copy, "r+") as saved:
        saved.attrs["model_config"] = json.dumps(_plain(json.loads(text)))
    return copy


def _plain(config: Any) -> Any:
    if isinstance(config, list):
        return [_plain(one) for one in config]
    if not isinstance(config, dict):
        return config
    if config.get("class_name") == _ARRAY:
        return config["config"]["value"]
    return {name: _plain(value) for name, value in config.items()}


def _named(outputs: object) -> dict[str, object]:
    if isinstance(outputs, dict):
        return outputs
    several = outputs if isinstance(outputs, list | tuple) else [outputs]
    return {f"output_{number}": tensor for number, tensor in enumerate(several)}


if __name__ == "__main__":
    main()
