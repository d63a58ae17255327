"""Spatial transformers in the styles of many repositories: frame → what their model puts out.

Rebuilt in our own words and layers (`layers`), small, and with a θ that moves from frame to frame.
"""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops

from stn_rectify.models import AffineGrid, BilinearSampler
from tests.converters.foreign_models import layers as foreign

SHAPE, SIZE = (28, 32, 3), (12, 14)


def layer_with_theta(frame):
    """The custom layer called with image and θ, in each of the usual conventions, the class scores alone put out."""
    theta = foreign.localization(SHAPE)(frame)
    return classes(foreign.BilinearInterpolation(SIZE)([frame, theta]))


def rows_before_columns(frame):
    theta = foreign.localization(SHAPE, bias=[0.8, 0.05, 0.02, -0.04, 0.7, -0.03])(frame)
    return foreign.BilinearInterpolation(SIZE, "W", "border", "yx")([frame, theta])


def transposed(frame):
    """The first number of each place is the column, and that of its pixel the row: the image is mirrored."""
    theta = foreign.localization(SHAPE, bias=[0.05, 0.8, 0.02, 0.7, -0.04, -0.03])(frame)
    return foreign.BilinearInterpolation(SIZE, "W", "border", "yx")([frame, theta])


def layer_that_holds_its_network(frame):
    return foreign.SpatialTransformer(foreign.localization(SHAPE), SIZE)(frame)


def a_lambda(frame):
    return layers.Lambda(foreign.sampled)([frame, foreign.localization(SHAPE)(frame)])


def attention(frame):
    """Scale and shift alone: three numbers."""
    theta = foreign.localization(SHAPE, 3, [0.7, 0.1, -0.05])(frame)
    scale, x, y = theta[:, :1], theta[:, 1:2], theta[:, 2:]
    zero = ops.zeros_like(scale)
    return foreign.BilinearInterpolation(SIZE, "half", "zeros")(
        [frame, ops.concatenate([scale, zero, x, zero, scale, y], axis=1)]
    )


def two_dense_layers(frame):
    hidden = foreign.localization(SHAPE, 10, np.zeros(10))(frame)
    identity = keras.initializers.Constant(np.array([0.8, 0, 0, 0, 0.8, 0]))
    theta = layers.Dense(6, bias_initializer=identity, kernel_initializer=keras.initializers.RandomNormal(0, 0.3, 2))
    return foreign.BilinearInterpolation(SIZE, "W - 2", "zeros")([frame, theta(hidden)])


def bounded(frame):
    theta = layers.Activation("tanh")(foreign.localization(SHAPE)(frame))
    return foreign.BilinearInterpolation(SIZE)([frame, theta])


def scaled_first(frame):
    scaled = layers.Rescaling(2.0, -1.0)(frame)
    return foreign.BilinearInterpolation(SIZE)([scaled, foreign.localization(SHAPE)(scaled)])


def projected(inputs):
    frame, theta = inputs
    matrix = tf.reshape(tf.concat([theta, tf.ones_like(theta[:, :1])], 1), (-1, 3, 3))
    u, v = np.meshgrid(np.linspace(-1, 1, SIZE[1]), np.linspace(-1, 1, SIZE[0]))
    points = np.stack([u.ravel(), v.ravel(), np.ones(u.size)]).astype(np.float32)
    x, y, depth = tf.unstack(tf.einsum("bij,jn->bin", matrix, points), axis=1)
    x, y = (x / depth + 1) / 2 * (SHAPE[1] - 1), (y / depth + 1) / 2 * (SHAPE[0] - 1)
    return foreign.interpolate(frame, x, y, SIZE, "cut")


def projective(frame):
    theta = foreign.localization(SHAPE, 8, [0.8, 0.05, 0.02, -0.04, 0.7, -0.03, 0.1, -0.1])(frame)
    return layers.Lambda(projected, output_shape=(*SIZE, 3))([frame, theta])


def half_a_pixel_before(frame):
    theta = foreign.localization(SHAPE)(frame)
    return foreign.BilinearInterpolation(SIZE, "half", "cut", "yx")([frame, theta])


def shift_alone(frame):
    """Two numbers."""
    shift = foreign.localization(SHAPE, 2, [0.1, -0.05])(frame)
    x, y = shift[:, :1], shift[:, 1:]
    zero, scale = ops.zeros_like(x), 0.7 * ops.ones_like(x)
    return foreign.BilinearInterpolation(SIZE)([frame, ops.concatenate([scale, zero, x, zero, scale, y], axis=1)])


def added_to_the_identity(frame):
    theta = foreign.localization(SHAPE, bias=[-0.2, 0.05, 0.02, -0.04, -0.3, -0.03])(frame)
    identity = np.array([[1, 0, 0, 0, 1, 0]], np.float32)
    return foreign.BilinearInterpolation(SIZE)([frame, theta + identity])


def normalised_first(frame):
    scaled = layers.Normalization(mean=[0.5] * 3, variance=[0.25] * 3)(frame)
    return foreign.BilinearInterpolation(SIZE)([scaled, foreign.localization(SHAPE)(scaled)])


def image_projective_transform(frame):
    """TensorFlow's own operation; θ maps pixels to pixels."""
    theta = foreign.localization(SHAPE, bias=[2, 0.1, 1.5, -0.1, 2, 1])(frame)
    return layers.Lambda(transformed, output_shape=(*SIZE, 3))([frame, theta])


def transformed(inputs):
    frame, theta = inputs
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=frame, transforms=tf.pad(theta, [[0, 0], [0, 2]]), output_shape=SIZE, fill_value=0.0,
        interpolation="BILINEAR", fill_mode="CONSTANT",
    )  # fmt: skip


def with_a_grid_of_ours(frame):
    seen = layers.Flatten()(layers.Conv2D(2, 3, strides=4)(frame))
    upright = keras.initializers.Constant(2.0 * np.array([1, -1, -1, -1, 1, -1]))  # not mirrored
    theta = layers.Dense(6, activation="sigmoid", bias_initializer=upright)(seen)
    return BilinearSampler("border")([frame, AffineGrid(SHAPE[:2], SIZE)(theta)])


def classes(rectified):
    seen = layers.Conv2D(4, 3, activation="relu")(rectified)
    decided = keras.initializers.RandomNormal(0, 0.3, 12)
    return layers.Dense(4, activation="softmax", kernel_initializer=decided)(layers.Flatten()(seen))


def of_an_angle(frame, theta):
    cos, sin, zero = ops.cos(theta[:, :1] * 3), ops.sin(theta[:, :1] * 3), ops.zeros_like(theta[:, :1])
    matrix = ops.concatenate([cos, -sin, theta[:, 1:2], sin, cos, theta[:, 2:3] + zero], axis=1)
    return BilinearSampler()([frame, AffineGrid((16, 16), (16, 16))(matrix)])


def nearest(frame, theta):
    grid = AffineGrid((16, 16), (16, 16))(theta)
    place = ops.clip(ops.cast(ops.round(grid), "int32"), 0, 15)
    return layers.Lambda(gathered, output_shape=(16, 16, 3))([frame, place])


def gathered(inputs):
    frame, place = inputs
    return tf.gather_nd(frame, place[..., ::-1], batch_dims=1)


def of_features(frame, theta):
    seen = layers.Conv2D(3, 1, name="earlier")(frame)
    return BilinearSampler()([seen, AffineGrid((16, 16), (16, 16))(theta)])


def projective_in_pixels(frame, theta):
    theta = foreign.localization((16, 16, 3), 8, [1, 0.1, 1, -0.1, 0.9, 1, 0, 0], name="eight")(frame)
    factors = np.array([1, 1, 1, 1, 1, 1, 0.01, 0.01], np.float32)
    return layers.Lambda(in_pixels, output_shape=(12, 12, 3))([frame, theta * factors])


def in_pixels(inputs):
    frame, theta = inputs
    matrix = tf.reshape(tf.concat([theta, tf.ones_like(theta[:, :1])], 1), (-1, 3, 3))
    i, j = np.mgrid[0:12, 0:12]
    x, y, depth = tf.unstack(tf.einsum("bij,jn->bin", matrix, np.float32([j.ravel(), i.ravel(), np.ones(144)])), axis=1)
    return foreign.interpolate(frame, x / depth, y / depth, (12, 12), "border")


def spline_of_theirs(frame, theta):
    theta = foreign.localization((16, 16, 3), 18, np.zeros(18), name="points")(frame)
    return layers.Lambda(bent, output_shape=(12, 12, 3))([frame, theta])


def bent(inputs):
    """A surface through nine points; what it is made of does not matter."""
    frame, theta = inputs
    v, u = np.mgrid[-0.9:0.9:12j, -0.9:0.9:12j].reshape(2, -1)
    products = np.stack([a * b for a in (1 + 0 * u, u, u**2) for b in (1 + 0 * v, v, v**2)], axis=1)
    place = tf.einsum("nk,bkd->bnd", np.float32(products), tf.reshape(theta, (-1, 9, 2)))
    return foreign.interpolate(frame, 7.5 * (place[..., 0] + u + 1), 7.5 * (place[..., 1] + v + 1), (12, 12), "border")


def mixed_with_theta(frame, theta):
    rectified = BilinearSampler()([frame, AffineGrid((16, 16), (16, 16))(theta)])
    return layers.Dense(4)(ops.concatenate([layers.Flatten()(rectified), theta], axis=1))


def mixed_with_the_frame(frame, theta):
    rectified = BilinearSampler()([frame, AffineGrid((16, 16), (16, 16))(theta)])
    seen = layers.Flatten()(layers.Conv2D(2, 3)(rectified))
    return layers.Dense(4)(ops.concatenate([seen, layers.GlobalAveragePooling2D()(frame)], axis=1))


def twice(frame, theta):
    once = BilinearSampler()([frame, AffineGrid((16, 16), (16, 16))(theta)])
    again = foreign.localization((16, 16, 3), name="second")(once)
    return BilinearSampler()([frame, AffineGrid((16, 16), (16, 16))(again)]) + once


def layer_with_its_own_weights(frame):
    """A layer that builds its localization layers, and the weights of θ, itself."""
    return foreign.OwnLocalization(SIZE)(frame)


def spline(frame):
    """Thin plates, bent by nine control points."""
    shifts = foreign.localization(SHAPE, 18, np.zeros(18))(frame)
    return foreign.ThinPlateSpline(SIZE)([frame, shifts])


def spline_of_more_points(frame):
    """Control points of another number than ours, and a border that fades."""
    shifts = foreign.localization(SHAPE, 50, np.zeros(50))(frame)
    return foreign.ThinPlateSpline(SIZE, (5, 5), "zeros")([frame, shifts])


def attention_by_products(frame):
    """No gather: the sum over all pixels, as products of matrices."""
    theta = foreign.localization(SHAPE, 4, [0.7, 0.1, 0.6, -0.05])(frame)
    return foreign.TriangleSampler(SIZE)([frame, theta])


def part_of_the_image(frame):
    """TensorFlow's crop_and_resize, of boxes that the network gives."""
    return foreign.ImagePart(SIZE)([frame, foreign.localization(SHAPE, 4, [0.1, 0.15, 0.9, 0.8])(frame)])


def grid_and_sampler(frame):
    """A layer for the grid, one for the sampler."""
    return foreign.BilinearSampler()([frame, foreign.AffineGrid(SIZE)(foreign.localization(SHAPE)(frame))])


def affine_transform_of_keras(frame):
    """Keras' own function: θ maps pixels to pixels, two more numbers are zero."""
    theta = foreign.localization(SHAPE, bias=[0.8, 0.1, 1.5, -0.1, 0.9, 1])(frame)
    return ops.image.affine_transform(
        frame, ops.pad(theta, [[0, 0], [0, 2]]), interpolation="bilinear", fill_mode="constant"
    )


def coordinates_of_keras(frame):
    """Keras' ``map_coordinates``, of all axes of the batch at once."""
    theta = foreign.localization(SHAPE, bias=[1.6, 0.1, 3, -0.1, 1.8, 4])(frame)
    return layers.Lambda(foreign.coordinates_mapped, output_shape=(*SIZE, 3))([frame, theta])


def mapped_one_by_one(frame):
    return layers.Lambda(foreign.one_by_one, output_shape=(*SIZE, 3))([frame, foreign.localization(SHAPE)(frame)])


def a_trunk(trunk, frame, bias=(0.8, 0.05, 0.02, -0.04, 0.7, -0.03)):
    """The usual layer behind a localization network of any kind, its θ about ``bias``."""
    seen = trunk(frame)
    seen = layers.GlobalAveragePooling2D()(seen) if len(seen.shape) == 4 else seen
    seen = layers.BatchNormalization(scale=False, center=False)(seen)
    kernel = keras.initializers.RandomNormal(0, 0.1 / np.sqrt(seen.shape[-1]), 9)
    theta = layers.Dense(6, kernel_initializer=kernel, bias_initializer=keras.initializers.Constant(np.array(bias)))
    return foreign.BilinearInterpolation(SIZE, "W", "border")([frame, theta(seen)])


def of_bytes(frame):
    """The model is given pixel values themselves."""
    scaled = layers.Rescaling(1 / 255)(frame)
    return foreign.BilinearInterpolation(SIZE)([scaled, foreign.localization(SHAPE)(scaled)])


def normalised_for_each_channel(frame):
    """Numbers of each channel before localization network and sampler alike."""
    scaled = layers.Normalization(mean=[0.485, 0.456, 0.406], variance=np.square([0.229, 0.224, 0.225]))(frame)
    return classes(foreign.BilinearInterpolation(SIZE)([scaled, foreign.localization(SHAPE)(scaled)]))


def normalised_before_the_network(frame):
    """Numbers of each channel before the localization network alone."""
    scaled = layers.Normalization(mean=[0.485, 0.456, 0.406], variance=np.square([0.229, 0.224, 0.225]))(frame)
    return foreign.BilinearInterpolation(SIZE)([frame, foreign.localization(SHAPE)(scaled)])


def image_and_theta(frame):
    """Two outputs, the image brought to another size behind the sampler."""
    theta = foreign.localization(SHAPE)(frame)
    rectified = foreign.BilinearInterpolation(SIZE, "W", "zeros")([frame, theta])
    return [rectified, theta]


def normalised_and_held(frame):
    """Numbers of each channel before localization network and sampler, held at the edge; the image is put out."""
    scaled = layers.Normalization(mean=[0.485, 0.456, 0.406], variance=np.square([0.229, 0.224, 0.225]))(frame)
    return foreign.BilinearInterpolation(SIZE, "W", "border")([scaled, foreign.localization(SHAPE)(scaled)])


def spline_of_our_points(frame):
    """Sixteen control points where ours are, but other numbers, and another lattice of pixels; a border that fades."""
    shifts = foreign.localization(SHAPE, 32, np.zeros(32))(frame)
    return foreign.ThinPlateSpline((24, 24), (4, 4), "zeros", 24 / 23)([frame, shifts])


def on_trunk(make_trunk):
    """A style with a localization network of another kind; its statistics are those of frames, as after training."""

    def build(frame):
        return a_trunk(make_trunk, frame)

    return build


def prelu(frame):
    seen = layers.Conv2D(8, 3, strides=2)(frame)
    seen = layers.PReLU(alpha_initializer=keras.initializers.Constant(0.2), shared_axes=[1, 2])(seen)
    return layers.Conv2D(12, 3, strides=2, activation="relu")(seen)


def branches(frame):
    """Two ways that meet twice, as a sum and side by side."""
    seen = layers.Conv2D(8, 3, padding="same", strides=2, activation="relu")(frame)
    one = layers.SeparableConv2D(8, 3, padding="same", activation="relu6")(seen)
    two = layers.AveragePooling2D(2)(layers.Add()([seen, one]))
    return layers.Concatenate()([layers.LeakyReLU(0.1)(layers.Conv2D(8, 3)(two)), layers.Conv2D(4, 3)(two)])


def mobile_net(frame):
    return keras.applications.MobileNet(input_shape=frame.shape[1:], alpha=0.25, include_top=False, weights=None)(frame)


def mobile_net_v2(frame):
    make = keras.applications.MobileNetV2
    return make(input_shape=frame.shape[1:], alpha=0.35, include_top=False, weights=None)(frame)


def start_of_res_net(frame):
    whole = keras.applications.ResNet50V2(input_shape=frame.shape[1:], include_top=False, weights=None)
    return keras.Model(whole.input, whole.get_layer("conv2_block1_out").output)(frame)


def start_of_efficient_net(frame):
    """It scales and normalises by itself."""
    whole = keras.applications.EfficientNetB0(input_shape=frame.shape[1:], include_top=False, weights=None)
    return keras.Model(whole.input, whole.get_layer("block2a_project_bn").output)(frame * 255.0)


def of_an_angle_alone(frame):
    return of_an_angle(frame, foreign.localization(frame.shape[1:])(frame))


def of_the_nearest_pixel(frame):
    return nearest(frame, foreign.localization(frame.shape[1:])(frame))


def of_feature_maps(frame):
    return of_features(frame, foreign.localization(frame.shape[1:])(frame))


def with_border(border):
    """A style whose sampler does something else outside the frame."""
    return lambda frame: foreign.BilinearInterpolation(SIZE, "W", border)([frame, foreign.localization(SHAPE)(frame)])


def read_by(style):
    """A style whose image a classifier reads."""
    return lambda frame: classes(style(frame))


def warped(frame):
    bias = [0.1, 0.05, 0.02, -0.04, 0.12, -0.03]
    return foreign.ImageWarp(SHAPE[:2])([frame, foreign.localization(SHAPE, bias=bias)(frame)])


def of_planes(frame):
    """Channels first inside, behind a ``Permute``, which another undoes at the end."""
    planes = layers.Permute((3, 1, 2))(frame)
    sampled = foreign.SamplerOfPlanes(SIZE)([planes, foreign.localization(SHAPE)(frame)])
    return layers.Permute((2, 3, 1))(sampled)


def of_planes_alone(planes):
    """The same with channels first at its input, too."""
    return keras.Model(planes, of_planes(layers.Permute((2, 3, 1))(planes)))


def of_planes_turned(frame):
    """And that behind the layer that its refusal names."""
    planes = layers.Permute((3, 1, 2))(frame)
    return of_planes_alone(keras.Input(planes.shape[1:]))(planes)


def augmented_in_training(frame):
    """Layers in front that turn and flip images in training; in an export by Keras they do so in inference, too."""
    augmentation = [layers.RandomFlip("horizontal", seed=1), layers.RandomRotation(0.1, seed=2)]
    seen = keras.Sequential([*augmentation, layers.GaussianNoise(0.05, seed=3)])(frame)
    return foreign.BilinearInterpolation(SIZE)([seen, foreign.localization(SHAPE)(seen)])


def subclass(frame):
    """A subclass of keras.Model, built by a call with five frames."""
    model = foreign.ConvStn(SIZE)
    model(np.zeros((5, *frame.shape[1:]), np.float32))
    model.theta.kernel.assign(0.3 * model.theta.kernel)  # its features are normalised: poses would leave the frame
    return model
