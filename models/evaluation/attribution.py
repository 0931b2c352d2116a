"""Attribution: which images and bands moved the probability of a network, by two ways.

Integrated gradients (Sundararajan, Taly and Yan 2017, arXiv:1703.01365) share out the log odds of
a polygon among all pixels of all bands. Occlusion sets an image, or a band of the only one, to the
baseline: 0 in every channel, the mean of the training images. Both look at one window and one view
of it, where the map blends several: seconds and not minutes. Imports torch and captum.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias

import numpy as np
import torch
from captum.attr import IntegratedGradients

from geo.raster.classify import Finding
from geo.types import BoolArray, FloatArray
from models.damage.alignment import BlockView
from models.damage.grader import Grader
from models.damage.network_grader import NetworkGrader
from models.errors import InputsMismatch
from models.evaluation.explain import Attribution, Completeness, Occlusion
from models.evaluation.explained_polygon import (
    CentredWindow,
    ExplainedPolygon,
    ModelRun,
    Rectangle,
    combine_runs,
    span_around,
)
from models.inference.windows import ProgressReceiver
from models.networks.network import NetworkModel
from models.networks.tensors import Channel, channels_of, stack, usable_pixels

STEPS = 32
"""Points of the integral (Gauss-Legendre) where nothing else is said."""

LogOdds: TypeAlias = Callable[[torch.Tensor], torch.Tensor]
"""From windows, (n, channels, rows, cols), to log odds, (n,)."""


def integrated_gradients(
    polygon: ExplainedPolygon,
    window: CentredWindow,
    progress: ProgressReceiver,
    *,
    steps: int = STEPS,
) -> tuple[tuple[Attribution, ...], tuple[Completeness, ...]]:
    """Share out the log odds of the polygon among images and bands; more `steps` are more exact."""
    model = _network(polygon)
    attributions: list[Attribution] = []
    checks: list[Completeness] = []
    progress.start("integrated gradients", len(polygon.runs) * steps)
    try:
        for run in polygon.runs:
            log_odds = _log_odds(model, run, polygon.window.pixels, window.here)
            shares, check = share_out(
                log_odds,
                stack(model.card, [run.inputs(window.rasters)], polygon.statistics[run.name]),
                model,
                progress,
                steps=steps,
            )
            attributions += by_image(channels_of(model.card), run.images, shares, window.here)
            checks.append(replace(check, run=run.name))
    finally:
        progress.finish()
    return tuple(attributions), tuple(checks)


def share_out(
    log_odds: LogOdds,
    stacked: FloatArray,
    model: NetworkModel,
    progress: ProgressReceiver,
    *,
    steps: int = STEPS,
) -> tuple[FloatArray, Completeness]:
    """Return what each pixel added, (channels, rows, cols), of `stacked` (1, ...), and its sum."""

    def counted(pixels: torch.Tensor) -> torch.Tensor:
        progress.advance(len(pixels))
        return log_odds(pixels)

    there = torch.from_numpy(stacked).to(model.device)
    # One window at a time: the gradients of a network of this size take 1 GB a window.
    found = IntegratedGradients(counted).attribute(
        there, baselines=0.0, n_steps=steps, internal_batch_size=1
    )
    shares = np.asarray(found[0].detach().float().cpu().numpy(), np.float32)
    with torch.inference_mode():
        whole, baseline = float(log_odds(there)), float(log_odds(0 * there))
    return shares, Completeness("all", whole, baseline, float(shares.sum()))


def by_image(
    channels: Sequence[Channel], images: Mapping[str, str], shares: FloatArray, part: Rectangle
) -> Iterator[Attribution]:
    """Yield the attribution of each image; `part` of the window is kept as a map."""
    for name, image in images.items():
        mine = [index for index, channel in enumerate(channels) if channel.input_name == name]
        sums = {channels[index].band: float(shares[index].sum()) for index in mine}
        yield Attribution(
            image=image,
            bands={band: value for band, value in sums.items() if band is not None},
            presence=sums.get(None),
            pixels=shares[mine].sum(axis=0)[part],
        )


def occlude(polygon: ExplainedPolygon, window: CentredWindow) -> tuple[Occlusion, ...]:
    """Return how the probability changes without each image, or each band of the only image."""
    model, own = _network(polygon), polygon.window.pixels
    layers = {run: _probability(model, polygon, window, run) for run in polygon.runs}
    whole = float(combine_runs(layers)[own].mean())

    def occlusion(
        image: str, band: str | None, changed: Mapping[ModelRun, FloatArray]
    ) -> Occlusion:
        without = float(combine_runs(changed)[own].mean())
        return Occlusion(image, band, without, without - whole)

    found = [
        occlusion(dry.name, None, {run: layers[run] for run in polygon.runs if run is not dry})
        for dry in polygon.runs
        if dry.negated
    ]
    for run in polygon.runs:
        for image, band, channels in _occluded(channels_of(model.card), run):
            changed = _probability(model, polygon, window, run, without=channels)
            found.append(occlusion(image, band, layers | {run: changed}))
    return tuple(found)


def _occluded(
    channels: Sequence[Channel], run: ModelRun
) -> Iterator[tuple[str, str | None, list[int]]]:
    """Yield image, band and channels: the images of a run or, where it has but one, its bands."""
    for name, image in run.images.items():
        mine = {i: channel for i, channel in enumerate(channels) if channel.input_name == name}
        if len(run.images) > 1:
            yield image, None, list(mine)
        else:
            bands = ((i, channel.band) for i, channel in mine.items() if channel.band is not None)
            yield from ((image, band, [index]) for index, band in bands)


def of_building(
    grader: Grader, view: BlockView, own: BoolArray, part: Rectangle, progress: ProgressReceiver
) -> tuple[tuple[Attribution, ...], Completeness]:
    """Share out the log odds of major damage or worse in `own`, (rows, cols) of the block."""
    if not isinstance(grader, NetworkGrader):
        raise InputsMismatch(
            f"{grader.card.name} runs as {type(grader).__name__}, and only regressions and "
            "networks of torch can be explained"
        )
    model = replace(grader.model, symmetries=1)
    side = model.card.window_px
    rows, cols = (
        span_around((p.start + p.stop) // 2, max(side, p.stop - p.start), length)
        for p, length in zip(part, own.shape, strict=True)
    )
    pixels, observed = grader.channels(
        view.before.pixels[:, rows, cols], view.after.pixels[:, rows, cols]
    )
    output = model.card.class_names.index(Finding.DAMAGED)
    images = {entry.name: entry.name for entry in model.card.inputs}
    everywhere = (slice(None), slice(None))
    log_odds = _log_odds(
        model, ModelRun("all", images, output, output), own[rows, cols] & observed, everywhere
    )
    progress.start("integrated gradients", STEPS)
    try:
        shares, check = share_out(log_odds, pixels[None], model, progress)
    finally:
        progress.finish()
    kept_rows, kept_cols = (
        slice(p.start - window.start, p.stop - window.start)
        for p, window in zip(part, (rows, cols), strict=True)
    )
    kept = (kept_rows, kept_cols)
    return tuple(by_image(channels_of(model.card), images, shares, kept)), check


def _network(polygon: ExplainedPolygon) -> NetworkModel:
    if not isinstance(polygon.model, NetworkModel):
        raise InputsMismatch(
            f"{polygon.model.card.name} runs as {type(polygon.model).__name__}, and only networks "
            "of torch have gradients to explain; explain a polygon of another model"
        )
    return replace(polygon.model, symmetries=1)


def _log_odds(model: NetworkModel, run: ModelRun, pixels: BoolArray, here: Rectangle) -> LogOdds:
    own = torch.from_numpy(pixels).to(model.device)

    def log_odds(windows: torch.Tensor) -> torch.Tensor:
        mean = model.log_odds(windows)[:, run.output, *here][:, own].mean(dim=1)
        return -mean if run.negated else mean

    return log_odds


def _probability(
    model: NetworkModel,
    polygon: ExplainedPolygon,
    window: CentredWindow,
    run: ModelRun,
    *,
    without: Sequence[int] = (),
) -> FloatArray:
    """(rows, cols) of the polygon's window, 0 where there is none; channels `without` are 0."""
    pixels = stack(model.card, [run.inputs(window.rasters)], polygon.statistics[run.name])
    pixels[:, list(without)] = 0
    probability = model.probabilities(pixels)[0, run.output]
    usable = usable_pixels(model.card, run.inputs(window.rasters))
    return np.where(usable, probability, np.float32(0))[window.here]
