"""Activations of VGG16 (arXiv 1409.1556), which losses compare; its weights are never trained."""

from collections.abc import Mapping, Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp

from inr_sr.coordinates import Array
from inr_sr.errors import InputError

# Widths of the 3x3 convolutions; 2x2 max pooling lies between the blocks.
BLOCKS = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))
# convK_N to (inputs, outputs), from the image on.
CONVOLUTIONS = {
    f"conv{block}_{i}": (before[-1] if i == 1 else widths[i - 2], width)
    for block, (before, widths) in enumerate(zip(((3,), *BLOCKS), BLOCKS), 1)
    for i, width in enumerate(widths, 1)
}
RELUS = tuple(name.replace("conv", "relu") for name in CONVOLUTIONS)

# Of RGB on ImageNet, as the weights of torchvision expect them.
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


def convolutions(layers: Sequence[str]) -> list[str]:
    """Names of the convolutions that `layers` depend on, in the order of the network.

    Raises:
      InputError: no layer, or one that does not exist.
    """
    unknown = [repr(layer) for layer in layers if layer not in RELUS]
    if unknown or not layers:
        raise InputError(
            f"unknown layer {', '.join(unknown) or 'none'} of VGG16; there are: {', '.join(RELUS)}"
        )
    return list(CONVOLUTIONS)[: max(map(RELUS.index, layers)) + 1]


def min_side(layers: Sequence[str]) -> int:
    """Minimum side of an image, pixels, at which every layer still has a pixel."""
    return 1 << (int(convolutions(layers)[-1][len("conv")]) - 1)


def features(
    params: Mapping[str, Mapping[str, Array]], image: jax.Array, layers: Sequence[str]
) -> list[jax.Array]:
    """Activations of VGG16.

    Args:
      params: {"conv1_1": {"kernel": [3, 3, inputs, outputs], "bias": [outputs]}, ...}, of
        `convolutions(layers)`, float32; no gradient reaches them.
      image: [B, h, w, 3], h and w at least `min_side(layers)`; RGB in [0, 1], not clipped.
      layers: names reluK_N, the Nth layer of block K.

    Returns:
      An array [B, h / 2^(K-1), w / 2^(K-1), C], sides rounded down, for each of the layers.
    """
    mean, std = (jnp.array(x, jnp.float32).reshape(1, 1, 1, 3) for x in (MEAN, STD))
    x, found = (image - mean) / std, {}
    for name in convolutions(layers):
        block, index = map(int, name[len("conv") :].split("_"))
        if index == 1 and block > 1:
            x = nn.max_pool(x, (2, 2), strides=(2, 2))
        frozen: Mapping[str, jax.Array] = jax.tree.map(jax.lax.stop_gradient, params[name])
        x = jax.lax.conv_general_dilated(
            x, frozen["kernel"], (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )
        x = jax.nn.relu(x + frozen["bias"].reshape(1, 1, 1, -1))
        found[name.replace("conv", "relu")] = x
    return [found[layer] for layer in layers]
