"""EDSR-baseline on the 800 training images of DIV2K, through TFDS (docs/data.md: prepare once).

    python train.py --config=configs/div2k.py --workdir=runs/div2k

Made for one GPU; not trained to its end yet, so there is no PSNR to expect.
"""

from ml_collections import ConfigDict

from configs import base


def get_config() -> ConfigDict:
    """As configs/base.py, streaming: the images decode to some 7 GB."""
    config = base.get_config()
    config.data.dataset = "tfds:div2k/bicubic_x4"
    config.data.mode = "streaming"
    config.data.cache_mib = 8192  # all of them: an image of 2 megapixels takes long to decode
    config.eval.dataset = "tfds:div2k/bicubic_x4"
    config.eval.split = "validation"
    config.eval.scales = "2,3,4,6,12"
    config.eval.protocol = "div2k"
    return config
