"""The state of a training on disk: weights, optimizer state and position."""

from __future__ import annotations

import json
import zipfile
import zlib
from pathlib import Path
from typing import Any

import keras
import numpy as np

from stn_rectify.models.files import write_arrays
from stn_rectify.runtime.errors import DataError


class Checkpoint:
    """One file that is replaced in one step, so that a stop at any time leaves the last good state.

    Args:
        file: the ``.npz`` file.
        recipe: the settings of the run; a checkpoint of other settings is refused.
    """

    def __init__(self, file: Path, recipe: dict[str, Any]) -> None:
        self.file = file
        self._recipe = json.dumps(recipe, sort_keys=True)

    @property
    def curve_file(self) -> Path:
        """The file of the run's `stn_rectify.models.training.course.curve.Curve`."""
        return self.file.with_suffix(".curve.csv")

    def save(self, model: keras.Model, epoch: int, batch: int) -> None:
        """Writes the compiled model's variables and the position: the next batch to train on.

        Raises:
            DataError: if the file cannot be written; the last checkpoint is still there.
        """
        if not model.optimizer.built:  # stopped before its first step
            model.optimizer.build(model.trainable_variables)
        variables = [*model.variables, *model.optimizer.variables]
        arrays = {f"v{k}": np.asarray(keras.ops.convert_to_numpy(v)) for k, v in enumerate(variables)}
        write_arrays(self.file, {"recipe": self._recipe, "position": [epoch, batch], **arrays}, compress=False)

    def load(self, model: keras.Model) -> tuple[int, int]:
        """Restores the variables; returns epoch and batch to go on with, (0, 0) without a checkpoint.

        Raises:
            DataError: if the checkpoint was made with other settings or cannot be read.
        """
        if not self.file.exists():
            return 0, 0
        try:
            with np.load(self.file) as stored:
                if str(stored["recipe"]) != self._recipe:
                    raise DataError(
                        f"{self.file} is of a run with other settings: delete it to start anew, or choose another --out"
                    )
                model.optimizer.build(model.trainable_variables)
                for k, variable in enumerate([*model.variables, *model.optimizer.variables]):
                    variable.assign(stored[f"v{k}"])
                epoch, batch = stored["position"]
                return int(epoch), int(batch)
        except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile, zlib.error) as error:
            raise DataError(f"{self.file} cannot be read ({error}): delete it to start anew") from error
