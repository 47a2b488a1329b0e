"""Which loss brings detail?

python -m inr_sr.studies.experiments e4_losses
"""

from typing import Any

from ml_collections import ConfigDict

from configs.experiments import base
from inr_sr.studies.experiments.experiment import Experiment


def get_experiment() -> Experiment:
    """Losses on squares of 16 x 16 output pixels; the last two adversaries with one seed.

    The discriminator of the weak adversary, the first one tried, learned nothing in 250 steps. The
    others learn faster and start earlier, and their weight is a share of the reconstruction's
    gradient.
    """

    def arm(**changes: Any) -> ConfigDict:
        return base.repaired(data__layout="square", **changes)

    def against(**changes: Any) -> ConfigDict:
        return arm(
            **{
                "adversarial__weight": 0.5,
                "adversarial__adaptive": True,
                "adversarial__width": 16,
                "adversarial__r1": 0.01,
                "adversarial__start": 100,
                "adversarial__learning_rate": 2e-3,
                **changes,
            }
        )

    weak = {
        "adversarial__weight": 0.01,
        "adversarial__adaptive": False,
        "adversarial__r1": 1.0,
        "adversarial__start": 200,
        "adversarial__learning_rate": 1e-4,
    }
    return Experiment(
        question="Which loss brings detail, and is the detail true?",
        prediction="Squared errors equal L1 within 0.05 dB. Gradients, Laplacian pyramid and "
        "Fourier magnitudes change PSNR by less than 0.05 dB and raise the energy beyond LR "
        "Nyquist a little. Adversaries raise it most, at a cost in PSNR, without more "
        "coherence: they invent. The patch discriminator does so less than the U-Net.",
        reference="L1",
        arms={
            "L1": arm(),
            "MSE": arm(loss__l1=0.0, loss__mse=1.0),
            "L1 + gradients": arm(loss__gradient=1.0),
            "L1 + Laplacian": arm(loss__laplacian=0.5),
            "L1 + Fourier": arm(loss__fourier=0.1),
            "L1 + weak adversary": against(
                adversarial__loss="relativistic", adversarial__r2=1.0, **weak
            ),
            "L1 + adversary": against(adversarial__loss="relativistic", adversarial__r2=0.01),
            "L1 + patch adversary": against(
                adversarial__discriminator="patch",
                adversarial__loss="hinge",
                adversarial__feature_matching=0.1,
            ),
            "L1 + non-saturating": against(adversarial__loss="non_saturating"),
        },
        fewer=dict.fromkeys(["L1 + patch adversary", "L1 + non-saturating"], (0,)),
    )
