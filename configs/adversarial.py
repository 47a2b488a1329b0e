r"""A trained network, trained further against a discriminator: sharper, less faithful.

    python train.py --config=configs/base.py --workdir=runs/base --config.data.folder=FOLDER
    python train.py --config=configs/adversarial.py --workdir=runs/adversarial \
        --config.data.folder=FOLDER --config.init=runs/base/model.safetensors

Textures that PSNR punishes and eyes miss: PSNR falls, so compare the panels of the report too. The
reconstruction comes first and the adversary second, as in arXiv 1609.04802 and 2107.10833.
Made for one GPU; not trained to its end yet, so there are no results to expect.
"""

from ml_collections import ConfigDict

from configs import base


def get_config() -> ConfigDict:
    """As configs/base.py, in squares of 48 x 48 pixels; a discriminator of 1,095,681 parameters."""
    config = base.get_config()
    config.data.layout = "square"
    config.adversarial.weight = 0.1  # of the reconstruction's gradient, which `adaptive` makes it
    config.adversarial.adaptive = True
    config.adversarial.loss = "relativistic"
    config.adversarial.r1 = 0.1
    config.adversarial.r2 = 0.1
    config.optimizer.learning_rate = 1e-4
    config.train.steps = 50_000
    return config
