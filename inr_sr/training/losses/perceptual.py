"""The perceptual loss (arXiv 1603.08155): the distance of two images in VGG16's features."""

import hashlib
import math
from collections.abc import Mapping

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from inr_sr.coordinates import Array
from inr_sr.data.samples import Sampling, squares
from inr_sr.errors import InputError
from inr_sr.models.vgg16 import CONVOLUTIONS, convolutions, features, min_side
from inr_sr.tensor_file import read_tensors
from inr_sr.training.losses.formulas import Loss

WEIGHTS_URL = "https://download.pytorch.org/models/vgg16-397923af.pth"


@flax.struct.dataclass
class VggDistance:
    """Sum over layers of weight times the L1 of features.

    The paper squares the difference. Features reach tens, so a few strong edges would dominate a
    batch; L1 scales with the error as the L1 of pixels beside it does.

    Attributes:
      params: of VGG16, see `models.vgg16`; never trained.
      layers: names of the layers.
      weights: one per layer.
      sha256: checksum of the weights file.
    """

    params: Mapping[str, Mapping[str, Array]]
    layers: tuple[str, ...] = flax.struct.field(pytree_node=False)
    weights: tuple[float, ...] = flax.struct.field(pytree_node=False)
    sha256: str = flax.struct.field(pytree_node=False)

    def __call__(self, prediction: jax.Array, target: jax.Array) -> jax.Array:
        """The loss of squares [B, Q, 3], row by row; no gradient reaches the target."""
        of_target, of_prediction = (
            features(self.params, squares(x), self.layers)
            for x in (jax.lax.stop_gradient(target), prediction)
        )
        distances = [
            jnp.mean(jnp.abs(a - b)) for a, b in zip(of_prediction, of_target, strict=True)
        ]
        return sum((w * d for w, d in zip(self.weights, distances, strict=True)), jnp.zeros(()))


def _torch_key(convolution: str) -> str:
    """Torchvision's name, such as features.0; its numbers count activations and pooling, too."""
    block = int(convolution[len("conv")])
    return f"features.{2 * list(CONVOLUTIONS).index(convolution) + block - 1}"


def _load(path: str, layers: tuple[str, ...]) -> dict[str, dict[str, np.ndarray]]:
    """Parameters from torchvision's layout, where kernels are [out, in, row, col]."""
    expected: dict[str, tuple[int, ...]] = {}
    names = convolutions(layers)
    for name in names:
        inputs, outputs = CONVOLUTIONS[name]
        expected[f"{_torch_key(name)}.weight"] = (outputs, inputs, 3, 3)
        expected[f"{_torch_key(name)}.bias"] = (outputs,)
    tensors = read_tensors(path, expected)
    return {
        name: {
            "kernel": tensors[f"{_torch_key(name)}.weight"].transpose(2, 3, 1, 0),
            "bias": tensors[f"{_torch_key(name)}.bias"],
        }
        for name in names
    }


class PerceptualLoss(Loss):
    """The term `perceptual`, whose weights and layers are fields of the section `perceptual`."""

    def __init__(self) -> None:
        super().__init__(_not_loaded)

    def default_config(self) -> ConfigDict:
        """See docs/losses.md."""
        config = ConfigDict()
        config.weights = ""  # file of torchvision's VGG16: .pth or .safetensors
        config.layers = ("relu1_2", "relu2_2", "relu3_3")  # whose features are compared
        config.layer_weights = (1.0, 1.0, 1.0)  # of each layer's L1 in the sum
        return config

    def check(self, name: str, config: ConfigDict, spec: Sampling) -> None:
        """See `Loss.check`."""
        wanted, layers = config.perceptual, tuple(config.perceptual.layers)
        weights = tuple(wanted.layer_weights)
        try:
            side = min_side(layers)
        except InputError as error:
            raise InputError(f"perceptual.layers: {error}") from None
        if len(set(layers)) != len(layers):
            raise InputError(f"perceptual.layers {layers} must differ from each other")
        if len(weights) != len(layers) or not all(
            isinstance(weight, (int, float)) and 0 < weight < math.inf for weight in weights
        ):
            raise InputError(
                f"perceptual.layer_weights {weights} must be finite numbers above 0, one for each "
                f"of perceptual.layers {layers}"
            )
        deepest = convolutions(layers)[-1].replace("conv", "relu")
        if spec.layout != "square" or spec.queries < side**2:
            raise InputError(
                f"loss.perceptual needs data.layout = 'square', and for "
                f"{deepest} data.queries of at least {side**2}, {side} pixels a side; not "
                f"{spec.layout!r} and {spec.queries}"
            )
        if not wanted.weights:
            raise InputError(
                "loss.perceptual needs perceptual.weights: the file of torchvision's VGG16, such "
                f"as {WEIGHTS_URL}"
            )

    def load(self, config: ConfigDict) -> VggDistance:
        """The term with its weights, on the host.

        Raises:
          InputError: no such file, or not a file of VGG16.
        """
        wanted = config.perceptual
        layers = tuple(wanted.layers)
        try:
            params = _load(wanted.weights, layers)
        except InputError as error:
            raise InputError(
                f"perceptual.weights: {error}; expected is torchvision's VGG16, {WEIGHTS_URL}"
            ) from None
        with open(wanted.weights, "rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        return VggDistance(params, layers, tuple(wanted.layer_weights), sha256)


def _not_loaded(prediction: jax.Array, target: jax.Array) -> jax.Array:
    raise ValueError("the perceptual loss needs the weights that PerceptualLoss.load returns")
