"""A small network on the 32x32 images of CIFAR-10, through TFDS (docs/data.md: prepare it once).

    python train.py --config=configs/cifar10.py --workdir=runs/cifar10

Made for 2 CPU cores or one GPU; not trained to its end yet, so there is no PSNR to expect.
"""

from ml_collections import ConfigDict

from configs import compact


def get_config() -> ConfigDict:
    """LR patches of 8 pixels: at x4 they are whole images, and there is no crop to choose."""
    config = compact.get_config()
    config.data.dataset = "tfds:cifar10"
    config.data.patch = 8
    config.data.candidates = 1
    config.data.queries = 256
    config.train.batch_size = 128
    return config
