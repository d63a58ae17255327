"""Training with the rounding of an INT8 file: fake quantization of a Keras STN as TensorFlow Lite would round it."""

from stn_rectify.models.quantization.fine_tuning import FineTuning, fine_tune
from stn_rectify.models.quantization.quantize_aware import QuantizeAware

__all__ = ["FineTuning", "QuantizeAware", "fine_tune"]
