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

#: Channels in all orientations at width 1, side of the kernel and stride of each convolution; the sides of all maps and
#: kernels are such that the padding is the same on both sides, without which a turn would shift the map.
_CONVOLUTIONS = ((16, 6, 4), (32, 4, 2), (48, 4, 2), (48, 3, 1))
#: Pixels of the input for each cell of the last map.
_REDUCTION = 16


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


def turn_network(
    input_shape: tuple[int, int, int] = (128, 128, 1), *, width: float = 1.0, name: str = "turn"
) -> keras.Model:
    """Builds a turn network to be trained.

    The first convolution has a large kernel over many pixels and gives few channels of a sixteenth of them: print is
    fine, and this costs less than maps at its resolution.

    Args:
        input_shape: height and width of the rectified target, the same multiple of 16, and channels, pixel values in
            [0, 1].
        width: factor on the channels.
        name: the model's name.

    Returns:
        A Keras model of the probabilities [B, 4] of 0, 1, 2 and 3 quarters clockwise that make the target upright.

    Raises:
        ValueError: if the sides differ, or are no multiple of 16.
    """
    side = input_shape[0]
    if side != input_shape[1] or side % _REDUCTION:
        raise ValueError(f"input_shape is {input_shape}: both sides must be the same multiple of {_REDUCTION}")
    image: Any = keras.Input(input_shape, name="frame")
    x = image
    for number, (channels, kernel, stride) in enumerate(_CONVOLUTIONS):
        filters = scaled_channels(channels, width) // TURNS
        y = QuarterConvolution(filters, kernel, strides=stride, oriented=number > 0, name=f"conv{number}")(x)
        # All orientations of a filter have one scale and one mean.
        by_filter = layers.Reshape((*y.shape[1:3], TURNS, filters), name=f"conv{number}_by_filter")(y)
        normalised = layers.BatchNormalization(momentum=0.98, name=f"conv{number}_bn")(by_filter)
        y = layers.ReLU(6.0, name=f"conv{number}_relu")(
            layers.Reshape(y.shape[1:], name=f"conv{number}_joined")(normalised)
        )
        x = layers.Add(name=f"conv{number}_add")([x, y]) if x.shape == y.shape else y
    head = QuarterConvolution(
        1, side // _REDUCTION, padding="valid", shared=True, kernel_initializer="zeros", name="quarters"
    )
    return keras.Model(image, layers.Softmax(name="turn")(layers.Flatten(name="flat")(head(x))), name=name)


def plain_turn_network(model: keras.Model) -> keras.Model:
    """Writes a trained turn network out as ordinary convolutions; it computes the same.

    Args:
        model: of `turn_network`.

    Returns:
        A Keras model of layers that convert and that need no class of ours.
    """
    image: Any = keras.Input(model.input_shape[1:], name="frame")
    x, weights = image, {}
    for layer in model.layers:
        if not isinstance(layer, QuarterConvolution):
            continue
        kernel = np.asarray(ops.convert_to_numpy(layer.full_kernel()))
        y = layers.Conv2D(
            kernel.shape[3], layer.kernel_size, strides=layer.strides, padding=layer.padding, use_bias=False,
            name=layer.name,
        )(x)  # fmt: skip
        weights[layer.name] = [kernel]
        if layer.name == "quarters":
            x = y
            break
        norm = model.get_layer(f"{layer.name}_bn")
        weights[norm.name] = [np.tile(values, TURNS) for values in norm.get_weights()]
        y = layers.BatchNormalization(momentum=norm.momentum, epsilon=norm.epsilon, name=norm.name)(y)
        y = layers.ReLU(6.0, name=f"{layer.name}_relu")(y)
        x = layers.Add(name=f"{layer.name}_add")([x, y]) if x.shape == y.shape else y
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
            rest = [np.zeros(v.shape) for v in layer.weights[1:]]
            layer.set_weights([kernel[..., :filters].reshape(math.prod(kernel.shape[:3]), filters), *rest])
        elif isinstance(layer, layers.BatchNormalization):
            stored = plain.get_layer(layer.name).get_weights()
            layer.set_weights([values[: len(values) // TURNS] for values in stored])
