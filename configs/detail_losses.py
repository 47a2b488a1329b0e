r"""The compact network with losses that weigh edges and texture, and need no other network.

    python train.py --config=configs/detail_losses.py --workdir=runs/detail \
        --config.data.folder=FOLDER

Made for 2 CPU cores or one GPU. Not trained to its end yet: the weights of the terms are a start,
not tuned, and there is no PSNR to expect. docs/losses.md says what the terms are.
"""

from ml_collections import ConfigDict

from configs import compact


def get_config() -> ConfigDict:
    """Squares of 32 x 32 pixels: gradients down to 8 x 8, a pyramid down to 4 x 4."""
    config = compact.get_config()
    config.data.layout = "square"
    config.loss.gradient = 0.5
    config.loss.laplacian = 0.5
    config.loss.fourier = 0.1
    return config
