"""Attribution: which images and bands moved the answer of a network, by two ways.

Integrated gradients (Sundararajan, Taly and Yan 2017, arXiv:1703.01365) share out the log
odds of a polygon among all pixels of all bands. The baseline is 0 in every channel: the mean of
what the network learned from, and no image there at all. Leaving out sets an image, or a band
of the only one, to that baseline and asks again.

Both ask about one window with the polygon in its middle, where the map blends several, and about
one view of it, where the map may take the mean of mirrored ones: on a laptop, that is the
difference between seconds and minutes.

Imports torch and captum, and is imported only when a network is explained.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import torch
from captum.attr import IntegratedGradients

from geo.raster import FloatArray
from models.case import Case, CloseUp, Run, joined
from models.errors import InputsMismatch
from models.inputs import Channel, answered, channels_of, stack
from models.mapping import Progress
from models.network import NetworkModel
from models.reasons import Attribution, Balance, Effect

STEPS = 32
"""Points of the integral (Gauss-Legendre) where nothing else is said."""

Spoken: TypeAlias = Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class _Group:
    """Channels that are left out together."""

    run: Run
    image: str
    band: str | None
    channels: list[int]


def attribute(
    case: Case, close: CloseUp, progress: Progress, *, steps: int = STEPS
) -> tuple[tuple[Attribution, ...], tuple[Balance, ...]]:
    """Share out the log odds of the polygon among images and bands, by integrated gradients.

    Args:
        case: what is asked.
        close: the window that the network is asked about.
        progress: told the steps of the integral.
        steps: points of the integral; the more, the smaller the gap of the balances.

    Raises:
        InputsMismatch: where the model is no network of torch.
    """
    model = _network(case)
    attributions: list[Attribution] = []
    balances: list[Balance] = []
    progress.start("integrated gradients", len(case.runs) * steps)
    try:
        for run in case.runs:
            spoken = _spoken(model, case, close, run)
            there = torch.from_numpy(_stacked(model, case, close, run)).to(model.device)
            shares = _shares(_counted(spoken, progress), there, steps=steps)
            with torch.inference_mode():
                log_odds, at_baseline = float(spoken(there)), float(spoken(0 * there))
            attributions += _by_image(channels_of(model.card), run, shares, close)
            balances.append(Balance(run.name, log_odds, at_baseline, float(shares.sum())))
    finally:
        progress.finish()
    return tuple(attributions), tuple(balances)


def leave_out(case: Case, close: CloseUp) -> tuple[Effect, ...]:
    """Return what leaving out each image does to the probability of the polygon.

    Of a network that sees one image at a time, its bands are left out one by one, and the
    image before the event, which the map can do without.

    Raises:
        InputsMismatch: where the model is no network of torch.
    """
    model = _network(case)
    planes = {run: _answer(model, case, close, run) for run in case.runs}
    own = case.region.pixels
    whole = float(joined(planes)[own].mean())

    def effect(changed: Mapping[Run, FloatArray], image: str, band: str | None) -> Effect:
        without = float(joined(changed)[own].mean())
        return Effect(image, band, without, without - whole)

    undated = [
        effect({run: planes[run] for run in case.runs if run is not dry}, dry.name, None)
        for dry in case.runs
        if dry.dry
    ]
    groups = [group for run in case.runs for group in _groups(channels_of(model.card), run)]
    return tuple(undated) + tuple(
        effect(
            planes | {group.run: _answer(model, case, close, group.run, without=group.channels)},
            group.image,
            group.band,
        )
        for group in groups
    )


def _network(case: Case) -> NetworkModel:
    if not isinstance(case.model, NetworkModel):
        raise InputsMismatch(
            f"{case.model.card.name} runs as {type(case.model).__name__}, and only networks of "
            "torch can be asked what moved them"
        )
    return replace(case.model, symmetries=1)


def _stacked(model: NetworkModel, case: Case, close: CloseUp, run: Run) -> FloatArray:
    """Return (1, channels, rows, cols) of the window."""
    return stack(model.card, [run.inputs(close.seen)], case.surveys[run.name])


def _spoken(model: NetworkModel, case: Case, close: CloseUp, run: Run) -> Spoken:
    """Return the function whose value is explained: from windows to log odds, (n,)."""
    own = torch.from_numpy(case.region.pixels).to(model.device)

    def spoken(pixels: torch.Tensor) -> torch.Tensor:
        log_odds = model.log_odds(pixels)[:, run.output, *close.here][:, own].mean(dim=1)
        return -log_odds if run.dry else log_odds

    return spoken


def _counted(spoken: Spoken, progress: Progress) -> Spoken:
    """Return the same function, which tells how often it was asked."""

    def counted(pixels: torch.Tensor) -> torch.Tensor:
        progress.advance(len(pixels))
        return spoken(pixels)

    return counted


def _shares(spoken: Spoken, there: torch.Tensor, *, steps: int) -> FloatArray:
    """Return what each pixel of each channel added, (channels, rows, cols)."""
    # One window at a time: the gradients of a network of this size take 1 GB a window.
    found = IntegratedGradients(spoken).attribute(
        there, baselines=0.0, n_steps=steps, internal_batch_size=1
    )
    return np.asarray(found[0].detach().float().cpu().numpy(), np.float32)


def _by_image(
    channels: Sequence[Channel], run: Run, shares: FloatArray, close: CloseUp
) -> Iterator[Attribution]:
    for slot, reading in run.slots.items():
        mine = [index for index, channel in enumerate(channels) if channel.slot == slot]
        sums = {channels[index].band: float(shares[index].sum()) for index in mine}
        yield Attribution(
            image=reading,
            bands={band: value for band, value in sums.items() if band is not None},
            presence=sums.get(None),
            pixels=shares[mine].sum(axis=0)[close.here],
        )


def _groups(channels: Sequence[Channel], run: Run) -> Iterator[_Group]:
    """Yield what is left out: the images of a run or, where it has but one, its bands."""
    for slot, reading in run.slots.items():
        mine = {index: channel for index, channel in enumerate(channels) if channel.slot == slot}
        if len(run.slots) > 1:
            yield _Group(run, reading, None, list(mine))
            continue
        for index, channel in mine.items():
            if channel.band is not None:
                yield _Group(run, reading, channel.band, [index])


def _answer(
    model: NetworkModel, case: Case, close: CloseUp, run: Run, *, without: Sequence[int] = ()
) -> FloatArray:
    """Return the probability that a run gives, (rows, cols) of the region, 0 where it has none.

    Args:
        without: channels that are set to the baseline.
    """
    pixels = _stacked(model, case, close, run)
    pixels[:, list(without)] = 0
    probability = model.probabilities(pixels)[0, run.output]
    usable = answered(model.card, run.inputs(close.seen))
    return np.where(usable, probability, np.float32(0))[close.here]
