"""The turn network: a small classifier that says by how many quarters a rectified target must be turned clockwise.

Its convolutions are those of the group of quarter turns (Cohen and Welling 2016, arXiv 1602.07576): each filter is
there in four orientations. So a picture turned by a quarter gives the same probabilities one class further, exactly,
and what one orientation teaches is known of all. `turn_network` trains the filters; `plain_turn_network` writes out all
their orientations, which leaves a network of ordinary convolutions.
"""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from stn_rectify.models.network.localization import scaled_channels

#: The classes: 0, 1, 2, 3 quarters clockwise.
TURNS = 4
#: Details of each size of a target that a network is shown beside the whole, at most; it is trained on both.
TURN_DETAILS = 3

# At width 1, channels in all orientations: of the first convolution at half the input's size, of the blocks at a fourth
# and at an eighth of it, and how many blocks of these there are. Maps and kernels have sides such that the padding is
# the same on both sides, without which a turn would shift the map.
_STEM, _FINE, _COARSE = 16, (40, 2), (64, 2)
#: Pixels of the input for each cell of the last map.
_REDUCTION = 8


@keras.saving.register_keras_serializable(package="stn_rectify")
class QuarterConvolution(layers.Layer):
    """A convolution whose filters are there in four orientations.

    Channels of its output, and of an input that has orientations, are grouped by these: those of 0 quarters first.

    Args:
        filters: in one orientation; the output has four times as many channels.
        kernel_size: side of the kernel.
        strides: along both sides.
        padding: ``"same"`` or ``"valid"``.
        oriented: whether the input has orientations, too; the first convolution's has none.
        shared: whether a part of each filter is the same at every place of the kernel: what a place says of itself,
            such as which side of a letter is up, beside what it says by where it lies.
        kernel_initializer: of the filters.
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int,
        *,
        strides: int = 1,
        padding: str = "same",
        oriented: bool = True,
        shared: bool = False,
        kernel_initializer: Any = "he_normal",
        **keywords: Any,
    ) -> None:
        super().__init__(**keywords)
        self.filters, self.kernel_size, self.strides, self.padding = filters, kernel_size, strides, padding
        self.oriented, self.shared = oriented, shared
        self.kernel_initializer = keras.initializers.get(kernel_initializer)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Makes the filters [k · k · orientations of the input · channels, filters]."""
        self._groups = TURNS if self.oriented else 1
        self._channels = int(input_shape[-1] or 0) // self._groups
        fan_in = self.kernel_size**2 * self._groups * self._channels
        self.kernel = self.add_weight((fan_in, self.filters), self.kernel_initializer, name="kernel")
        self.everywhere = None
        if self.shared:
            shape = (self._groups * self._channels, self.filters)
            self.everywhere = self.add_weight(shape, self.kernel_initializer, name="everywhere")

    def full_kernel(self) -> Any:
        """The filters in all orientations, [k, k, channels of the input, 4 · filters]."""
        side, groups = self.kernel_size, self._groups
        kernel = ops.reshape(self.kernel, (side, side, groups, self._channels, self.filters))
        if self.everywhere is not None:
            kernel = kernel + ops.reshape(self.everywhere, (1, 1, groups, self._channels, self.filters)) / side**2
        turned = []
        for _ in range(TURNS):
            turned.append(ops.reshape(kernel, (side, side, groups * self._channels, self.filters)))
            kernel = ops.rot90(ops.roll(kernel, 1, axis=2), 1, axes=(0, 1))
        return ops.concatenate(turned, axis=3)

    def call(self, x: Any) -> Any:
        """Convolves [B, H, W, C] to [B, h, w, 4 · filters]."""
        return ops.conv(x, self.full_kernel(), strides=self.strides, padding=self.padding)

    def get_config(self) -> dict[str, Any]:
        """The arguments, for a .keras file."""
        names = ("filters", "kernel_size", "strides", "padding", "oriented", "shared")
        initializer = keras.initializers.serialize(self.kernel_initializer)
        return {**super().get_config(), **{n: getattr(self, n) for n in names}, "kernel_initializer": initializer}


@keras.saving.register_keras_serializable(package="stn_rectify")
class QuarterDepthwise(layers.Layer):
    """A depthwise convolution of an input that has orientations: each channel's kernel is turned with these.

    Args:
        kernel_size: side of the kernels.
        strides: along both sides.
    """

    def __init__(self, kernel_size: int, *, strides: int = 1, **keywords: Any) -> None:
        super().__init__(**keywords)
        self.kernel_size, self.strides = kernel_size, strides

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Makes the kernels [k, k, channels of one orientation]."""
        side, channels = self.kernel_size, int(input_shape[-1] or 0) // TURNS
        spread = keras.initializers.RandomNormal(0, math.sqrt(2) / side)
        self.kernel = self.add_weight((side, side, channels), spread, name="kernel")

    def full_kernel(self) -> Any:
        """The kernels of all channels, [k, k, channels, 1]."""
        turned = [ops.rot90(self.kernel, quarters, axes=(0, 1)) for quarters in range(TURNS)]
        return ops.expand_dims(ops.concatenate(turned, axis=2), 3)

    def call(self, x: Any) -> Any:
        """Convolves [B, H, W, C] to [B, h, w, C]."""
        return ops.depthwise_conv(x, self.full_kernel(), strides=self.strides, padding="same")

    def get_config(self) -> dict[str, Any]:
        """The arguments, for a .keras file."""
        return {**super().get_config(), "kernel_size": self.kernel_size, "strides": self.strides}


def turn_network(
    input_shape: tuple[int, int, int] = (96, 96, 1), *, width: float = 1.0, name: str = "turn"
) -> keras.Model:
    """Builds a turn network to be trained.

    Depthwise-separable blocks at a fourth of the input's size see letters, those at an eighth how they lie; the last
    convolution, as large as the map, weighs what each place says.

    Args:
        input_shape: height and width of the rectified target, the same multiple of 8, and channels, pixel values in
            [0, 1].
        width: factor on the channels.
        name: the model's name.

    Returns:
        A Keras model of the probabilities [B, 4] of 0, 1, 2 and 3 quarters clockwise that make the target upright.

    Raises:
        ValueError: if the sides differ, or are no multiple of 8.
    """
    side = input_shape[0]
    if side != input_shape[1] or side % _REDUCTION:
        raise ValueError(f"input_shape is {input_shape}: both sides must be the same multiple of {_REDUCTION}")
    image: Any = keras.Input(input_shape, name="frame")
    stem = QuarterConvolution(_filters(_STEM, width), 4, strides=2, oriented=False, name="stem")
    x = _by_filter(stem(image), "stem")
    for stage, (channels, blocks) in (("fine", _FINE), ("coarse", _COARSE)):
        x = _block(x, _filters(channels, width), 4, 2, stage)
        for number in range(blocks):
            x = _block(x, _filters(channels, width), 3, 1, f"{stage}{number}")
    head = QuarterConvolution(
        1, side // _REDUCTION, padding="valid", shared=True, kernel_initializer="zeros", name="quarters"
    )
    return keras.Model(image, layers.Softmax(name="turn")(layers.Flatten(name="flat")(head(x))), name=name)


def _filters(channels: int, width: float) -> int:
    return scaled_channels(channels, width) // TURNS


def _block(x: Any, filters: int, kernel: int, stride: int, name: str) -> Any:
    """Depthwise, pointwise 1×1, and a residual connection where the shapes allow one."""
    y = QuarterDepthwise(kernel, strides=stride, name=f"{name}_depthwise")(x)
    y = _by_filter(y, f"{name}_depthwise")
    y = QuarterConvolution(filters, 1, name=f"{name}_pointwise")(y)
    y = _by_filter(y, f"{name}_pointwise")
    return layers.Add(name=f"{name}_add")([x, y]) if x.shape == y.shape else y


def _by_filter(x: Any, name: str) -> Any:
    """Normalises, all orientations of a filter by one mean and one scale, and cuts off."""
    apart = layers.Reshape((*x.shape[1:3], TURNS, x.shape[3] // TURNS), name=f"{name}_apart")(x)
    normalised = layers.BatchNormalization(momentum=0.98, name=f"{name}_bn")(apart)
    return layers.ReLU(6.0, name=f"{name}_relu")(layers.Reshape(x.shape[1:], name=f"{name}_joined")(normalised))


def plain_turn_network(model: keras.Model) -> keras.Model:
    """Writes a trained turn network out as ordinary convolutions; it computes the same.

    Args:
        model: of `turn_network`.

    Returns:
        A Keras model of layers that convert and that need no class of ours.
    """
    image: Any = keras.Input(model.input_shape[1:], name="frame")
    x, beside, weights = image, image, {}
    for layer in model.layers:
        same: dict[str, Any] = {"use_bias": False, "name": layer.name}
        if isinstance(layer, QuarterConvolution):
            kernel = ops.convert_to_numpy(layer.full_kernel())
            same |= {"strides": layer.strides, "padding": layer.padding}
            x = layers.Conv2D(kernel.shape[3], layer.kernel_size, **same)(x)
            weights[layer.name] = [kernel]
        elif isinstance(layer, QuarterDepthwise):
            beside = x
            x = layers.DepthwiseConv2D(layer.kernel_size, strides=layer.strides, padding="same", **same)(x)
            weights[layer.name] = [ops.convert_to_numpy(layer.full_kernel())]
        elif isinstance(layer, layers.BatchNormalization):
            norm = layers.BatchNormalization(momentum=layer.momentum, epsilon=layer.epsilon, name=layer.name)
            x = norm(x)
            weights[layer.name] = [np.tile(values, TURNS) for values in layer.get_weights()]
        elif isinstance(layer, layers.ReLU):
            x = layers.ReLU(6.0, name=layer.name)(x)
        elif isinstance(layer, layers.Add):
            x = layers.Add(name=layer.name)([beside, x])
    plain = keras.Model(image, layers.Softmax(name="turn")(layers.Flatten(name="flat")(x)), name=model.name)
    for name, values in weights.items():
        plain.get_layer(name).set_weights(values)
    return plain


def quarter_weights(model: keras.Model, plain: keras.Model) -> None:
    """Gives a `turn_network` the weights of a plain one, to go on training; the inverse of `plain_turn_network`.

    Args:
        model: of `turn_network`, its weights are set.
        plain: of `plain_turn_network`, of the same shape.

    Raises:
        ValueError: if the plain one has other layers or shapes.
    """
    for layer in model.layers:
        if isinstance(layer, QuarterConvolution):
            kernel = plain.get_layer(layer.name).get_weights()[0]
            filters = kernel.shape[3] // TURNS
            rest = [np.zeros(v.shape) for v in layer.weights[1:]]  # what is the same everywhere is in the kernel now
            layer.set_weights([kernel[..., :filters].reshape(math.prod(kernel.shape[:3]), filters), *rest])
        elif isinstance(layer, QuarterDepthwise):
            kernel = plain.get_layer(layer.name).get_weights()[0][..., 0]
            layer.set_weights([kernel[..., : kernel.shape[2] // TURNS]])
        elif isinstance(layer, layers.BatchNormalization):
            stored = plain.get_layer(layer.name).get_weights()
            layer.set_weights([values[: len(values) // TURNS] for values in stored])
