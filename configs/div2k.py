"""EDSR-baseline encoder on the 800 training pictures of DIV2K, through TFDS.

    python train.py --config=configs/div2k.py --workdir=runs/div2k

The data set must be prepared once, with TensorFlow installed (training itself does without it):

    python -c "import tensorflow_datasets as tfds; \
        tfds.builder('div2k/bicubic_x4', file_format='array_record').download_and_prepare()"
"""

from ml_collections import ConfigDict

from configs import base


def get_config() -> ConfigDict:
    """As configs/base.py, streaming: the pictures decode to some 7 GB."""
    config = base.get_config()
    config.data.dataset = "tfds:div2k/bicubic_x4"
    config.data.mode = "streaming"
    config.eval.dataset = "tfds:div2k/bicubic_x4"
    config.eval.split = "validation"
    config.eval.scales = "2,3,4,6,12"
    config.eval.protocol = "div2k"
    return config
