"""The token system as it began, which draws nothing but smooth images: kept to be diagnosed.

    python train.py --config=configs/lp_small.py --workdir=runs/lp_small
    inr-sr diagnose runs/lp_small

Learned tokens on a lattice, two bands of 32 waves each, width 256 and one layer; no bicubic skip.
Its frequencies start as normal numbers divided by sigma = 128 and 32, in cycles per *image*, so
they hardly vary over it; its only target is the image of 32 x 32 pixels that it is given; it is
trained on squared errors. docs/experiments.md says what each of these costs.

70 minutes on one core of an AMD EPYC (jax 0.10.2) beside other work. Trained on the tiles of
inr_sr/pretrained/compact.md with seed 0 it draws its 32 x 32 pixels at 28.4 dB (PSNR over RGB, the
crops of the diagnosis in Kodak24) and is 1.43 dB below bicubic at x4 on Kodak24 (protocol y).
"""

from ml_collections import ConfigDict

from inr_sr.config import default


def get_config() -> ConfigDict:
    """A decoder of 380 thousand parameters."""
    config = default()
    config.model.skip = False
    config.model.encoder = "lp_tokens"
    config.model.lp_tokens.width = 256
    config.model.lp_tokens.patch = 2
    config.model.lp_tokens.spacing = 2
    config.model.lp_tokens.learned = 16
    config.model.lp_tokens.blocks = 1
    config.model.lp_tokens.layout = "cross"
    config.model.lp_tokens.detail = False
    config.model.decoder = "modulated"
    config.model.modulated.initialisation = "inverse_sigma"
    config.model.modulated.bands = (128.0, 32.0)
    config.model.modulated.features = 64
    config.model.modulated.hidden = 256
    config.model.modulated.layers = 1
    config.model.modulated.nearest = 0
    config.model.modulated.frame = "picture"
    config.model.modulated.fades = False
    config.data.targets = "lr"
    config.data.queries = 256
    config.loss.l1 = 0.0
    config.loss.mse = 1.0
    config.optimizer.learning_rate = 1e-3
    config.train.steps = 3000
    config.eval.scales = "2,4"
    return config
