"""The small network that is shipped with the package.

    python train.py --config=configs/compact.py --workdir=runs/compact --config.data.folder=FOLDER

FOLDER: photographs of any size, sharp at pixel level, at least 128 pixels a side. 98 minutes on 2
CPU cores; 37.2 / 33.5 / 31.2 dB on Set5 (Y) at x2 / x3 / x4 with the data of
inr_sr/pretrained/compact.md.
"""

from ml_collections import ConfigDict

from inr_sr.configuration import default


def get_config() -> ConfigDict:
    """10 residual blocks of 32 features, 32 waves: 209,761 parameters."""
    config = default()
    config.model.edsr.features = 32
    config.model.edsr.blocks = 10
    config.data.queries = 1024
    config.data.candidates = 4
    config.optimizer.learning_rate = 2e-3
    config.train.steps = 14_000
    return config
