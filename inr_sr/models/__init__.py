"""Networks: build(config) makes a Model of an encoder and a decoder, init makes its parameters.

Models know nothing of files, data sets or training.
"""

from inr_sr.models.build import build, complete, default_config, migrated
from inr_sr.models.model import Latent, Model, init
from inr_sr.models.parts import Params

__all__ = ["Latent", "Model", "Params", "build", "complete", "default_config", "init", "migrated"]
