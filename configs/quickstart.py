"""A real network in a few minutes, on the images that come with the package.

    python train.py --config=configs/quickstart.py --workdir=runs/quickstart

About 5 minutes on 2 CPU cores. Ends with runs/quickstart/report/index.html: tables, plot and
images of embedded photos that were not trained on. 36.7 / 32.7 / 30.4 dB on Set5 (Y) at
x2 / x3 / x4, where bicubic has 33.7 / 30.4 / 28.4.
"""

from ml_collections import ConfigDict

from inr_sr.config import default


def get_config() -> ConfigDict:
    """6 residual blocks of 32 features, 32 waves."""
    config = default()
    config.model.edsr.features = 32
    config.model.edsr.blocks = 6
    config.data.queries = 1024
    config.data.candidates = 4
    config.optimizer.learning_rate = 3e-3
    config.optimizer.warmup = 50
    config.train.ema = 0.99
    config.train.steps = 1000
    config.train.checkpoint_every = 250
    config.train.eval_every = 500
    return config
