"""A finished model file whose networks stay as they are, while another network goes in behind them."""

from __future__ import annotations

import argparse
import hashlib
from dataclasses import dataclass, field

from stn_rectify.runtime.errors import StnRectifyError
from stn_rectify.runtime.model.metadata import Metadata
from stn_rectify.runtime.model.model_file import ModelFile


@dataclass(frozen=True)
class KeptFile:
    """A model file, read; importing this does not import TensorFlow.

    Attributes:
        file: its path or bundled name, for messages.
        sha256: of its content.
        flatbuffer: all its networks.
        metadata: what it says of them.
        labels: of its recognizer.
    """

    file: str
    sha256: str
    flatbuffer: bytes = field(repr=False)
    metadata: Metadata = field(repr=False)
    labels: tuple[str, ...] = field(repr=False)

    @classmethod
    def read(cls, file: str) -> KeptFile:
        """Reads a file for the option ``--into``.

        Raises:
            argparse.ArgumentTypeError: if there is none, or it is no model file.
        """
        try:
            model = ModelFile.open(file)
            content = model.path.read_bytes()
        except StnRectifyError as error:
            raise argparse.ArgumentTypeError(str(error)) from None
        except OSError as error:
            raise argparse.ArgumentTypeError(f"{file} cannot be read: {error.strerror or error}") from None
        return cls(file, hashlib.sha256(content).hexdigest(), model.flatbuffer, model.metadata, model.labels)
