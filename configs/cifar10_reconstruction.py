"""The token system as it began, on CIFAR-10: it draws the 32 x 32 pixels that it is given.

    python train.py --config=configs/cifar10_reconstruction.py --workdir=runs/cifar10_reconstruction

Through TFDS (docs/data.md: prepare it once). CIFAR-10 has no ground truth beyond 32 x 32 pixels, so
it measures reconstruction alone; what upscaling gains is measured on photos (docs/experiments.md).
Not trained to its end yet, so there is no PSNR to expect.
"""

from ml_collections import ConfigDict

from configs import lp_small


def get_config() -> ConfigDict:
    """lp_small at x1 alone, for whole images."""
    config = lp_small.get_config()
    config.data.dataset = "tfds:cifar10"
    config.data.min_scale = config.data.max_scale = 1.0
    config.model.modulated.max_scale = 1.0
    config.eval.dataset = "tfds:cifar10"
    config.eval.split = "test[:100]"
    config.eval.scales = config.eval.during = "1"
    return config
