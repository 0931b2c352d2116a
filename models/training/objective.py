"""What is minimised, and how fast."""

import math

import segmentation_models_pytorch as smp
import torch

from models.training.config import LossPlan, Optimiser

IGNORED = -1.0
"""In a target: nothing is learned there."""


class Objective(torch.nn.Module):
    """Binary cross entropy with smoothed labels and Dice, where there is a label."""

    def __init__(self, plan: LossPlan) -> None:
        super().__init__()
        self._plan = plan
        self._cross_entropy = smp.losses.SoftBCEWithLogitsLoss(
            ignore_index=IGNORED, smooth_factor=plan.smoothing or None
        )
        self._dice = smp.losses.DiceLoss("binary", from_logits=True, ignore_index=IGNORED)

    def forward(
        self, logits: torch.Tensor, target: torch.Tensor, known: torch.Tensor
    ) -> torch.Tensor:
        """Return the loss.

        Args:
            logits: (n, 1, rows, cols).
            target: (n, rows, cols), bool.
            known: (n, rows, cols), bool.
        """
        wanted = torch.where(known, target.float(), IGNORED)[:, None]
        # The mean runs over all pixels, those without a label counting as 0.
        share = known.float().mean().clamp(min=1e-6)
        cross_entropy: torch.Tensor = self._cross_entropy(logits.float(), wanted) / share
        dice: torch.Tensor = self._dice(logits.float(), wanted)
        return self._plan.cross_entropy * cross_entropy + self._plan.dice * dice


def learning_rate(step: int, *, steps: int, plan: Optimiser) -> float:
    """Return the learning rate of a step: a linear warm-up, then half a cosine to 0, in cycles.

    Later cycles begin at the full rate (Loshchilov and Hutter 2017, SGDR, arXiv:1608.03983).
    """
    cycle = steps // plan.cycles
    warm_up = int(cycle * plan.warm_up)
    if step < warm_up:
        return plan.learning_rate * (step + 1) / warm_up
    number = min(step // cycle, plan.cycles - 1) if cycle else 0
    begins = number * cycle + (0 if number else warm_up)
    ends = steps if number == plan.cycles - 1 else (number + 1) * cycle
    share = (step - begins) / max(1, ends - begins)
    return plan.learning_rate * (1 + math.cos(math.pi * share)) / 2
