"""Tokens and an MLP, or waves with coefficients?

python -m inr_sr.experiments e8_decoders
"""

from configs.experiments import base
from inr_sr.experiments.experiment import Experiment


def get_experiment() -> Experiment:
    """The modulated and the spectral decoder behind one convolutional encoder, or tokens.

    On one core of an AMD EPYC, medians of 15 rounds in turns, ten steps take 1.29 s with the
    spectral decoder, 1.19 s with the modulated one and 1.53 s with tokens before it: equal steps
    are equal time of the first two within a tenth, and in the time of the token system the spectral
    one does 535 steps.
    """
    return Experiment(
        question="Is the modulated decoder better than the spectral one, at equal parameters and "
        "at equal time?",
        prediction="At equal parameters and steps the spectral decoder leads by 0.1 dB or more at "
        "x4, as it learns sooner; in the time of the token system by more. Tokens "
        "in place of convolutions cost another 0.1 dB or more.",
        reference="spectral",
        arms={
            "spectral": base.convolutional(model__decoder="spectral", model__spectral__width=186),
            "modulated": base.convolutional(),
            "spectral for longer": base.convolutional(
                model__decoder="spectral", model__spectral__width=186, train__steps=535
            ),
            "tokens and modulated": base.repaired(),
        },
    )
