"""The small network that is shipped with the package.

    python train.py --config=configs/compact.py --workdir=runs/compact --config.data.folder=FOLDER

FOLDER: photographs of any size, sharp at pixel level, at least 128 pixels a side.
"""

from ml_collections import ConfigDict

from inr_sr.configuration import default


def get_config() -> ConfigDict:
    """8 residual blocks of 32 features, 32 waves: 172,769 parameters."""
    config = default()
    config.model.edsr.features = 32
    config.model.edsr.blocks = 8
    config.data.queries = 1024
    config.train.steps = 18_000
    return config
