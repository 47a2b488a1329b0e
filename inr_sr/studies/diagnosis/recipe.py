"""How a network was trained, as far as it may be why its pictures are smooth."""

from __future__ import annotations

from dataclasses import dataclass

import jax

from inr_sr.studies.diagnosis.subject import Subject


@dataclass(frozen=True)
class Recipe:
    """What a training was given.

    Attributes:
      decoder: its name.
      parameters: of the decoder.
      initialisation: of the frequencies; "" where the decoder has no choice.
      skip: whether the network adds to bicubic.
      targets, jitter, raw_targets: of config.data.
      sides: of the LR patches, pixels, the largest first.
      scales: the smallest and the largest that its queries were drawn at.
      losses: weights of all that are not 0, by name.
      step: how far the training is.
      steps: how far it is to go.
    """

    decoder: str
    parameters: int
    initialisation: str
    skip: bool
    targets: str
    jitter: float
    raw_targets: bool
    sides: tuple[int, ...]
    scales: tuple[float, float]
    losses: dict[str, float]
    step: int
    steps: int

    @classmethod
    def of(cls, subject: Subject) -> Recipe:
        """From what a training has kept."""
        model, data = subject.config.model, subject.config.data
        terms = {**subject.config.loss, "adversarial": subject.config.adversarial.weight}
        one = 1.0 if data.targets == "lr" else subject.model.fixed_scale
        return cls(
            decoder=model.decoder,
            parameters=sum(x.size for x in jax.tree.leaves(subject.params["decoder"])),
            initialisation=model.modulated.initialisation if model.decoder == "modulated" else "",
            skip=model.skip,
            targets=data.targets,
            jitter=data.jitter,
            raw_targets=data.raw_targets,
            sides=(data.patch, *sorted(data.other_patches, reverse=True)),
            scales=(one, one) if one else (data.min_scale, data.max_scale),
            losses={name: weight for name, weight in terms.items() if weight},
            step=subject.step,
            steps=subject.config.train.steps,
        )
