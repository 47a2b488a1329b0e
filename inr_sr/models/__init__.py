"""Networks: build(config) makes a Model of an encoder and a decoder, init its parameters."""

from inr_sr.models.build import build
from inr_sr.models.model import Model, init

__all__ = ["Model", "build", "init"]
