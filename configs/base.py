"""EDSR-baseline encoder (16 blocks of 64 features) with the spectral decoder.

    python train.py --config=configs/base.py --workdir=runs/base --config.data.folder=FOLDER

Made for one GPU; not trained to its end yet, so there is no PSNR to expect.
"""

from ml_collections import ConfigDict

from inr_sr.config import default


def get_config() -> ConfigDict:
    """1,237,249 parameters; LR patches of 48 pixels, as in the papers."""
    config = default()
    config.model.dtype = "bfloat16"
    config.data.patch = 48
    config.data.candidates = 4
    config.optimizer.learning_rate = 5e-4
    config.train.steps = 100_000
    config.train.batch_size = 32
    config.train.checkpoint_every = 1000
    config.train.eval_every = 5000
    return config
