"""What litert-torch and ai-edge-quantizer make of the STN of stn_files.py, which calls this.

    E/bin/python tests/benchmarks/rivals/rival_files.py WAY DIR OUT.tflite

WAY is one of

- ``litert_torch``: the PyTorch twin (`pytorch_stn.py`) by litert-torch, float32;
- ``litert_torch_int8``: that file by ai-edge-quantizer, static INT8 weights and activations;
- ``quantizer``: TFLiteConverter's float32 file of the Keras model, float_signed.tflite, by ai-edge-quantizer.

DIR holds frames.npz, weights.npz and float_signed.tflite. Needs torch, litert-torch and ai-edge-quantizer only.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import litert_torch
import numpy as np
import torch
from ai_edge_quantizer import quantizer, recipe
from pytorch_stn import Stn


def load_frames(folder: Path) -> np.ndarray:
    """The calibration frames, float32 [N, H, W, C], 0 to 1."""
    return np.asarray(np.load(folder / "frames.npz")["frames"] / np.float32(255))


def by_litert_torch(folder: Path, transform: str) -> bytes:
    """The PyTorch twin as a float32 file; frame and rectified image with channels last, as all others have them."""
    frames = load_frames(folder)
    model = Stn(frames.shape[1:], transform, dict(np.load(folder / "weights.npz"))).eval()
    channels_last = litert_torch.to_channel_last_io(model, args=[0], outputs=[0])
    exported = litert_torch.convert(channels_last, (torch.from_numpy(frames[:1].copy()),))
    made = folder / "litert_torch.export"
    exported.export(str(made))
    content = made.read_bytes()
    made.unlink()
    return content


def quantized(content: bytes, frames: np.ndarray) -> bytes:
    """A float32 file by ai-edge-quantizer's own recipe for static INT8, calibrated with the frames."""
    from ai_edge_litert.interpreter import Interpreter

    (key, ends), *_ = Interpreter(model_content=content).get_signature_list().items()
    (name,) = ends["inputs"]
    made = quantizer.Quantizer(content, recipe.static_wi8_ai8())
    samples: Any = {key: [{name: frame[None]} for frame in frames]}
    result = made.quantize(made.calibrate(samples, num_threads=1))
    return bytes(result.quantized_model)


def main() -> None:
    """Writes the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("way", choices=("litert_torch", "litert_torch_int8", "quantizer"))
    parser.add_argument("folder", type=Path, metavar="DIR")
    parser.add_argument("out", type=Path)
    parser.add_argument("--transform", choices=("affine", "projective"), default="affine")
    arguments = parser.parse_args()
    if arguments.way == "litert_torch":
        content = by_litert_torch(arguments.folder, arguments.transform)
    else:
        source = {"litert_torch_int8": "litert_torch", "quantizer": "float_signed"}[arguments.way]
        content = (arguments.folder / f"{source}.tflite").read_bytes()
        content = quantized(content, load_frames(arguments.folder))
    arguments.out.write_bytes(content)


if __name__ == "__main__":
    main()
