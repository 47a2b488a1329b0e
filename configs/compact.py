r"""The small network that is shipped with the package, trained in three stages.

    python train.py --config=configs/compact.py --workdir=runs/first --config.data.folder=FOLDER
    python train.py --config=configs/compact.py --workdir=runs/second --config.data.folder=FOLDER \
        --config.init=runs/first/model.safetensors --config.optimizer.learning_rate=1e-3 \
        --config.train.steps=5000
    python train.py --config=configs/compact.py --workdir=runs/compact --config.data.folder=FOLDER \
        --config.init=runs/second/model.safetensors --config.optimizer.learning_rate=1e-3 \
        --config.train.steps=7000 --config.seed=1

FOLDER: photographs of any size, sharp at pixel level, at least 128 pixels a side. 160 minutes on 2
CPU cores; 37.3 / 33.4 / 31.2 dB on Set5 (Y) at x2 / x3 / x4 with the data of
inr_sr/pretrained/compact.md.
"""

from ml_collections import ConfigDict

from inr_sr.config import default


def get_config() -> ConfigDict:
    """10 residual blocks of 32 features, 32 waves: 209,889 parameters."""
    config = default()
    config.model.edsr.features = 32
    config.model.edsr.blocks = 10
    config.data.queries = 1024
    config.data.candidates = 4
    config.optimizer.learning_rate = 2e-3
    config.train.steps = 14_000
    return config
