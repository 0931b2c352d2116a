"""What is minimised, and how fast."""

import math

import segmentation_models_pytorch as smp
import torch

from models.training.recipe import LossPlan, Optimiser

IGNORED = -1.0
"""In a target: nothing is learned there."""
LARGEST_WEIGHT = 10.0
"""Of an answer that is rare in a batch; one pixel of it must not decide a step."""


class Objective(torch.nn.Module):
    """Binary cross entropy with smoothed labels and Dice, where there is a label.

    Grades are learned as "so bad or worse", one binary question each (Frank and Hall 2001,
    doi:10.1007/3-540-44795-4_13; Cao et al. 2020, arXiv:1901.07884): a rare grade learns from
    its neighbours, and major damage called destroyed is half as wrong as called undamaged.
    """

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
            logits: (n, findings, rows, cols).
            target: (n, findings, rows, cols), bool.
            known: (n, findings, rows, cols), bool.
        """
        weights = [1.0] + [self._plan.grades] * (logits.shape[1] - 1)
        total = torch.zeros((), device=logits.device)
        for number, weight in enumerate(weights):
            one = slice(number, number + 1)
            balanced = self._plan.balanced and number > 0
            parts = logits[:, one].float(), target[:, one], known[:, one]
            total = total + weight * self._of_one(*parts, balanced=balanced)
        return total / sum(weights)

    def _of_one(
        self, logits: torch.Tensor, target: torch.Tensor, known: torch.Tensor, *, balanced: bool
    ) -> torch.Tensor:
        """Return the loss of one finding, all of (n, 1, rows, cols)."""
        cross_entropy = (
            self._balanced(logits, target, known)
            if balanced
            else self._mean_surprise(logits, target, known)
        )
        dice: torch.Tensor = self._dice(logits, torch.where(known, target.float(), IGNORED))
        return self._plan.cross_entropy * cross_entropy + self._plan.dice * dice

    def _balanced(
        self, logits: torch.Tensor, target: torch.Tensor, known: torch.Tensor
    ) -> torch.Tensor:
        """Return the cross entropy of both answers at equal weight, as far as both are there."""
        total = torch.zeros((), device=logits.device)
        for side in (known & target, known & ~target):
            share = side.float().sum() / known.float().sum().clamp(min=1)
            weight = (LARGEST_WEIGHT * share).clamp(max=0.5)
            total = total + weight * self._mean_surprise(logits, target, side)
        return total

    def _mean_surprise(
        self, logits: torch.Tensor, target: torch.Tensor, counted: torch.Tensor
    ) -> torch.Tensor:
        """Return the mean cross entropy over the pixels that are counted."""
        # The mean runs over all pixels, those that are not counted being 0.
        share = counted.float().mean().clamp(min=1e-6)
        surprise: torch.Tensor = self._cross_entropy(
            logits, torch.where(counted, target.float(), IGNORED)
        )
        return surprise / share


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
