"""What is each remedy worth?

python -m inr_sr.studies.experiments e9_remedies
"""

import operator

from configs.experiments import base
from inr_sr.studies.experiments.experiment import Experiment


def get_experiment() -> Experiment:
    """From the original to the repaired system and back, one remedy at a time."""
    arms = {"original": base.original()}
    config = base.original()
    for name, fields in base.FAULTS.items():
        whole = base.repaired()
        repair = {field: operator.attrgetter(field)(whole) for field in fields}
        config = base.changed(config.copy_and_resolve_references(), repair)
        arms[f"+ {name}"] = config
    arms["repaired"] = arms.pop(f"+ {name}")
    way = list(arms)
    *others, _ = base.FAULTS  # the arm before "repaired" lacks the last one
    for name in others:
        arms[f"without {name}"] = base.changed(base.repaired(), base.FAULTS[name])
    return Experiment(
        question="How much of the difference between the original and the repaired system is due "
        "to each remedy: alone on the way, and when it alone is missing?",
        prediction="The original loses to bicubic. The skip brings it to bicubic, and only true "
        "targets with the detail of the picture as input beyond it; bands that fit and the local "
        "frame then make most of the gain, the loss nothing. Each remedy is worth tenths of a "
        "decibel at most in so few steps, but for the skip.",
        reference="repaired",
        arms=arms,
        against=dict(zip(way[1:], way)),
    )
