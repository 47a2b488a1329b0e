r"""The compact network with the perceptual loss, for texture that looks right rather than for PSNR.

    python train.py --config=configs/perceptual.py --workdir=runs/perceptual \
        --config.perceptual.weights=vgg16-397923af.pth --config.data.folder=FOLDER \
        --config.init=compact

The file is torchvision's VGG16, https://download.pytorch.org/models/vgg16-397923af.pth (528 MB).
Made for one GPU. Not trained to its end yet: the weights of the terms are a start, not tuned, and
there is no PSNR to expect. docs/losses.md says what the terms are.
"""

from ml_collections import ConfigDict

from configs import compact


def get_config() -> ConfigDict:
    """Squares of 32 x 32 pixels, 8 x 8 at relu3_3."""
    config = compact.get_config()
    config.data.layout = "square"
    config.loss.perceptual = 0.02
    config.optimizer.learning_rate = 5e-4
    config.train.steps = 10_000
    return config
