"""A small network on the 32x32 pictures of CIFAR-10, through TFDS.

    python train.py --config=configs/cifar10.py --workdir=runs/cifar10

The data set must be prepared once, with TensorFlow installed (training itself does without it):

    python -c "import tensorflow_datasets as tfds; \
        tfds.builder('cifar10', file_format='array_record').download_and_prepare()"
"""

from ml_collections import ConfigDict

from configs import compact


def get_config() -> ConfigDict:
    """LR patches of 8 pixels: at x4 they are whole pictures."""
    config = compact.get_config()
    config.data.dataset = "tfds:cifar10"
    config.data.patch = 8
    config.data.queries = 256
    config.train.batch_size = 128
    return config
