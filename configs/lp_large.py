"""The token system with every remedy, for a GPU.

    python train.py --config=configs/lp_large.py --workdir=runs/lp_large --config.data.folder=FOLDER

True HR targets at continuous scales from patches of three sizes, frequencies in a disc up to
2 cycles per LR pixel, positions from the centre of each token's cell, waves that fade with the size
of the output pixel, the nine nearest tokens, the bicubic skip, width 512 and three layers. Not
trained yet: on 2 CPU cores a step takes several seconds. A narrower one is measured in
docs/experiments.md.
"""

from ml_collections import ConfigDict

from inr_sr.config import default


def get_config() -> ConfigDict:
    """A token for every 2 x 2 LR pixels; 6 blocks of width 256."""
    config = default()
    config.model.trained_size = 48
    config.model.encoder = "lp_tokens"
    config.model.lp_tokens.width = 256
    config.model.lp_tokens.patch = 2
    config.model.lp_tokens.spacing = 2
    config.model.lp_tokens.learned = 16
    config.model.lp_tokens.blocks = 6
    config.model.lp_tokens.heads = 8
    config.model.decoder = "modulated"
    config.model.modulated.features = 128
    config.model.modulated.hidden = 512
    config.model.modulated.layers = 3
    config.model.modulated.heads = 8
    config.data.patch = 48
    config.data.other_patches = (32, 24)
    config.data.candidates = 4
    config.optimizer.warmup = 1000
    config.train.steps = 100_000
    config.train.steps_per_dispatch = 50
    config.train.checkpoint_every = 5000
    config.train.eval_every = 5000
    return config
