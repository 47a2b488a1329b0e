"""What all experiments start from: a network that trains in about a minute on 2 CPU cores."""

from ml_collections import ConfigDict

from inr_sr.configuration import default


def get_config() -> ConfigDict:
    """4 residual blocks of 16 features, 32 waves."""
    config = default()
    config.model.edsr.features = 16
    config.model.edsr.blocks = 4
    config.data.patch = 24
    config.data.queries = 512
    config.data.candidates = 4
    config.optimizer.learning_rate = 3e-3
    config.optimizer.warmup = 50
    config.train.ema = 0.99
    config.train.steps = 500
    config.train.checkpoint_every = 100
    return config
