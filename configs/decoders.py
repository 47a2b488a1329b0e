"""One encoder, three decoders: every comparison differs in the decoder alone.

    python train.py --config=configs/decoders.py:spectral --workdir=runs/decoders/spectral
    python train.py --config=configs/decoders.py:liif --workdir=runs/decoders/liif
    python train.py --config=configs/decoders.py:pixel_shuffle --workdir=runs/decoders/shuffle

Add --config.data.folder=FOLDER for more than the embedded images. LIIF has the same bicubic skip
and zero last layer, and the same learning rate. As in its paper, a patch has as many queries as LR
pixels.
6 minutes on 2 CPU cores for spectral, 32 for LIIF; 37.0 / 32.9 / 30.7 and 37.0 / 33.0 / 30.8 dB on
Set5 (Y) at x2 / x3 / x4 with the images of inr_sr/pretrained/compact.md (docs/results.md).
"""

from ml_collections import ConfigDict

from inr_sr.config import default


def get_config(decoder: str = "spectral") -> ConfigDict:
    """6 residual blocks of 32 features; the pixel shuffle is trained for x4 only."""
    config = default()
    config.model.decoder = decoder
    config.model.edsr.features = 32
    config.model.edsr.blocks = 6
    config.data.queries = 1024
    config.data.candidates = 4
    if decoder == "pixel_shuffle":
        config.data.min_scale = config.data.max_scale = 4.0
        config.eval.during = "4"
    config.optimizer.learning_rate = 3e-3
    config.optimizer.warmup = 100
    config.train.steps = 1500
    config.train.ema = 0.99
    config.train.checkpoint_every = 250
    config.train.eval_every = 500
    config.eval.scales = "2,3,4"
    return config
