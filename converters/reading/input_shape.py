"""The one image that a model must take, and a size for a model that was saved for any."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras

from stn_rectify.models.network.keras_file import keras_reason
from stn_rectify.runtime.errors import ModelFileError, UsageError

_IMAGE = "one image [batch, height, width, channels] of fixed size"

# Of pictures; an image of so few rows is none.
_CHANNELS = (1, 3)

#: Sizes of an input, the batch first; None where it is open.
Shape = Sequence[int | None]


def check_inputs(model: str, inputs: Mapping[str, Shape]) -> None:
    """Refuses a model that does not take one image of fixed size.

    Args:
        model: its name, for messages.
        inputs: the shape of each, by name.

    Raises:
        ModelFileError: if it does not; the message says what to do.
    """
    shapes: list[tuple[int | None, ...]] = [tuple(shape) for shape in inputs.values()]
    described = ", ".join(f"{name!r} {_written(shape)}" for name, shape in inputs.items())
    if not shapes:
        raise ModelFileError(
            f"{model}: has no input that is known, {_IMAGE} is needed: call it on a frame before it is saved"
        )
    if len(shapes) > 1:
        raise ModelFileError(
            f"{model}: has {len(shapes)} inputs, {described}, but {_IMAGE} is needed: save it with constants for the "
            "others, keras.Model(frame, model([frame, CONSTANT]))"
        )
    shape = shapes[0]
    if len(shape) != 4:
        raise ModelFileError(
            f"{model}: its input is {described}, but {_IMAGE} is needed: save it with a layer in front that makes the "
            "one of the other, keras.Model(frame, model(keras.layers.Reshape(SHAPE)(frame)))"
        )
    if shape[1] in _CHANNELS and shape[3] not in _CHANNELS:
        raise ModelFileError(
            f"{model}: its input is {described}, the channels before height and width, but {_IMAGE} is needed: save it "
            "with a layer in front, keras.Model(frame, model(keras.layers.Permute((3, 1, 2))(frame)))"
        )
    if None in shape[1:]:
        form = "HxW" if shape[-1] else "HxWxC"
        raise ModelFileError(
            f"{model}: its input is {described}, but {_IMAGE} is needed: save it for one size, or (not of a "
            f"network beside another) say the size with --input-shape {form}"
        )


def with_input_shape(model: keras.Model, wanted: tuple[int, ...] | None) -> keras.Model:
    """The same model for frames of one size; unchanged if none is wanted, or it is not open to any.

    Args:
        model: with one image as its input, if it is to be changed.
        wanted: height and width, and channels if they are open, too.

    Raises:
        ModelFileError: if it does not take that size.
        UsageError: if it was saved for another.
    """
    inputs: Sequence[Any] = getattr(model, "inputs", None) or []
    if wanted is None or len(inputs) != 1 or len(inputs[0].shape) != 4:
        return model  # what is no image is refused where the model is read
    shape = closed_shape(str(model.name), tuple(inputs[0].shape), wanted)
    if tuple(inputs[0].shape) == shape:
        return model
    frame = keras.Input(batch_shape=shape, dtype=inputs[0].dtype, name=inputs[0].name)
    try:
        return keras.Model(frame, model(frame, training=False), name=model.name)
    except Exception as error:  # whatever the layers raise
        raise ModelFileError(
            f"{model.name}: does not take frames of {_form(wanted)} (--input-shape): {keras_reason(error)}"
        ) from error


def closed_shape(model: str, shape: Shape, wanted: tuple[int, ...] | None) -> tuple[int | None, ...]:
    """A shape [batch, height, width, channels] whose open sizes, but for the batch, are the wanted ones.

    Raises:
        UsageError: if it is not open, and another, or its channels are open and not said.
    """
    if wanted is None or len(shape) != 4:
        return tuple(shape)
    sizes = (*wanted, shape[3]) if len(wanted) == 2 else wanted
    if None in sizes:
        raise UsageError(f"{model}: takes any number of channels: give --input-shape {_form(wanted)}xC, too")
    if any(own not in (None, size) for own, size in zip(shape[1:], sizes, strict=True)):
        fixed = _form(["any" if n is None else n for n in shape[1:]])
        raise UsageError(f"{model}: takes frames of {fixed}, not of --input-shape {_form(wanted)}: leave that out")
    return (shape[0], *sizes)


def _form(sizes: Sequence[Any]) -> str:
    return "x".join(map(str, sizes))


def _written(shape: Shape) -> str:
    return f"[{', '.join('any' if n is None else str(n) for n in shape)}]"
