"""The text of a page: Markdown from the card, the plan and what was measured.

The pictures of a page: calibration, places, worst tiles.

Drawn with matplotlib's Agg, offline, and the same every time for the same inputs.

How the worth of a model differs between places, in words.
"""

import io
import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from geo.imagery.mosaic import for_eye
from geo.types import BoolArray, FloatArray, Raster
from models.cards.architecture import DetectorArchitecture, NetworkArchitecture
from models.cards.card import ModelCard, Score
from models.cards.inputs import CardInput
from models.cards.registry import SHELF
from models.datasets.catalog import PICTURES, Kind
from models.evaluation.metrics import ECE_BINS, Agreement, TileCounts, pooled, spread
from models.evaluation.model_page_measure import (
    PagePlan,
    Row,
    SetMeasured,
    SetPlan,
    Shown,
    bullets,
    duration,
    images,
    parts,
    percent,
    plain,
    sentence,
    table,
)


def head(card: ModelCard, plan: PagePlan) -> str:
    """Return what the model is."""
    rows = [
        ("task", card.task),
        ("architecture", _architecture(card)),
        ("inputs", "; ".join(_input(entry) for entry in card.inputs)),
        ("pixel", f"{card.resolution_m:g} m" if card.resolution_m else "the image's own"),
        ("answers from", ", ".join(f"{c.name} at {c.threshold:g}" for c in card.classes)),
        ("version", card.version),
        ("sha256 of the weights", f"`{card.weights_sha256}`" if card.weights_sha256 else "none"),
    ]
    return parts(
        f"# {card.name}",
        card.summary,
        plan.about.strip(),
        table(("", ""), rows),
        _command(card),
    )


def learned(card: ModelCard) -> str:
    """Return what it learned from, and what that took."""
    text = f"{sentence(card.trained_on)}"
    if card.training is None:
        return parts("## What it learned from", text)
    training = card.training
    left_out = f" `{training.left_out}` was left out, to choose by." if training.left_out else ""
    energy = (
        f"{training.energy_wh:.3g} Wh"
        if training.energy_wh is not None
        else "not measured: the machine shows no counter"
    )
    rows = [
        ("time", duration(training.wall_s)),
        ("energy", energy),
        ("device", training.device),
        ("epochs", training.epochs),
        ("seed", training.seed),
        ("libraries", ", ".join(training.libraries)),
        ("digest of the config", f"`{training.config_sha256}`"),
        ("digest of the data", f"`{training.data_sha256}`"),
    ]
    return parts(
        "## What it learned from",
        f"{text} {training.tiles} tiles.{left_out}",
        "What the training took:",
        table(("", ""), rows),
        _levels(card),
    )


def scores(card: ModelCard, part: SetMeasured) -> str:
    """Return the table of a set: a row a choice of images."""
    header = ("given", "IoU", "precision", "recall", "F1", "IoU a tile", "ECE", "answered")
    rows = []
    for row in part.rows:
        found = row.agreement.as_json()
        figures = (found[k] for k in ("precision", "recall", "f1", "iou_per_tile_mean"))
        given = ", ".join(row.evaluation.filled)
        rows.append(
            (
                f"{row.subset.name} ({given})",
                _with_seeds(card, part, row, "iou"),
                *map(plain, figures),
                _with_seeds(card, part, row, "ece"),
                percent(found["answered_share"]),
            )
        )
    plan, n = part.plan, len(part.rows[0].agreement.tiles)
    return parts(
        f"### {plan.name}, {part.split}: {images(n)}",
        plan.about.strip(),
        table(header, rows),
        _folds(card, part),
        f"```console\n$ {_evaluate(card, plan, part.split)}\n```",
    )


def worst(part: SetMeasured, picture: str) -> str:
    """Return where it fails, with its picture."""
    shown = "images, label, probability and answer" if part.plan.thumbnails else (
        "label, probability and answer; the images are not shown, their licence does not say "
        "that they may be"
    )  # fmt: skip
    names = ", ".join(tile.tile.name for tile in part.worst)
    return parts(
        f"### {part.plan.name}, {part.split}",
        f"The tiles with the least IoU ({names}), {part.rows[0].subset.name}: {shown}. In the "
        "answer, blue was found, orange was missed, red was found and is not in the label.",
        f"![The worst tiles]({picture})",
        f"Origin: {part.plan.origin}. Licence: {part.plan.licence}.",
    )


def calibration(card: ModelCard, part: SetMeasured, picture: str) -> str:
    """Return how far the probabilities can be believed."""
    ece = part.rows[0].agreement.ece
    said = "" if ece is None else f"Expected calibration error {ece:.3f} in 15 bins. "
    if card.calibration is None:
        fitted = "Its probabilities are not calibrated: read them as an order."
    else:
        temperature = ", ".join(f"{t:g}" for t in card.calibration.parameters.temperature)
        fitted = f"Logits are divided by {temperature}, fitted on {card.calibration.fitted_on}."
    return parts(
        f"### {part.plan.name}, {part.split}",
        said + fitted,
        f"![Share that is right by probability]({picture})",
    )


def tail(card: ModelCard, plan: PagePlan) -> str:
    """Return limits and licences."""
    data = [(s.name, s.split, s.origin, s.licence) for s in plan.sets]
    return parts(
        "## Limits",
        bullets(card.limits),
        "## What not to use it for",
        bullets(plan.not_for),
        "## Licence",
        f"{sentence(card.licence)} Of the data that it is shown on:",
        table(("data", "split", "origin", "licence as stated there"), data),
        "## References" if card.references else "",
        bullets(card.references),
    )


def _architecture(card: ModelCard) -> str:
    network = card.architecture
    if isinstance(network, NetworkArchitecture):
        return f"{network.arch} on {network.encoder}"
    return network.parameters.method if isinstance(network, DetectorArchitecture) else network.kind


def _input(entry: CardInput) -> str:
    needed = "" if entry.required else ", may be missing"
    bands = ", ".join(entry.bands)
    return f"{entry.name} ({bands}; {entry.units}; {', '.join(entry.sensors)}{needed})"


def _command(card: ModelCard) -> str:
    return (
        f"This page is written by `aftermap page --model {card.name} --root FOLDER`, where FOLDER "
        "holds the data; its words are in `card.json` and `page.toml`. Every score is of pixels "
        "pooled over the images, unless it says otherwise."
    )


def _levels(card: ModelCard) -> str:
    rows = [
        (entry.name, band, f"{s.mean:.4g}", f"{s.std:.4g}", *(f"{p:.4g}" for p in s.percentiles))
        for entry in card.inputs
        for band, s in zip(entry.bands, entry.training_statistics or (), strict=False)
    ]
    if not rows:
        return ""
    header = ("input", "band", "mean", "deviation", "1 %", "50 %", "99 %")
    return parts("The values that it learned from:", table(header, rows))


def _with_seeds(card: ModelCard, part: SetMeasured, row: Row, measure: str) -> str:
    """Return a figure of the shipped weights and, where the card has them, of other seeds."""
    on_card = (s for s in _of(card, part) if (s.drop, s.measure) == (row.subset.drop, measure))
    score = next(on_card, None)
    figure = plain(row.agreement.as_json()[measure])
    if score is None or score.trainings_differ_in != "seed":
        return figure
    mean, deviation = np.mean(score.trainings), spread(score.trainings) or 0.0
    return f"{figure}; {len(score.trainings)} seeds {mean:.3f} ± {deviation:.3f}"


def _of(card: ModelCard, part: SetMeasured) -> Iterable[Score]:
    return (s for s in card.scores if (s.dataset, s.split) == (part.plan.name, part.split))


def _folds(card: ModelCard, part: SetMeasured) -> str:
    """Return the score over all folds, where the card has it."""
    if part.plan.split != "left-out":
        return ""
    found = [
        s for s in card.scores
        if s.dataset == part.plan.name and s.trainings_differ_in == "fold"
    ]  # fmt: skip
    return "\n".join(
        f"All {s.n} images, in {s.split}: IoU {s.value:.3f} ("
        + ", ".join(f"{value:.3f}" for value in s.trainings)
        + "). Each training chose its threshold and its temperature on what it left out."
        for s in found
    )


def _evaluate(card: ModelCard, plan: SetPlan, split: str) -> str:
    """Return the command that repeats the first row of a set."""
    arguments = ["aftermap", "evaluate", "--model", card.name, "--dataset", plan.kind.value]
    arguments += ["--root", f"FOLDER/{plan.folder}", "--split", split]
    if plan.kind is Kind.PAIRS and plan.options != PICTURES:
        options = plan.options
        arguments += ["--sensor", options.sensor, "--bands", ",".join(options.bands)]
        arguments += ["--block", str(options.block)] if options.block > 1 else []
        arguments += ["--groups", _in_checkout(options.groups)] if options.groups else []
    for name in plan.subsets[0].drop:
        arguments += ["--drop", name]
    return shlex.join([*arguments, "--json"])


def _in_checkout(path: Path) -> str:
    """Return a path from the folder that a checkout is entered by."""
    top = SHELF.parents[1]
    resolved = path.resolve()
    return str(resolved.relative_to(top)) if resolved.is_relative_to(top) else path.name


DPI = 100
THUMBNAIL_PX = 96
"""Edge of a tile in the picture of the worst: an eye's help, no copy of the data."""
_ROOM_PX = 18
_NAMED_GROUPS = 40
BLUE, ORANGE, RED, GREY = "#0072b2", "#e69f00", "#d55e00", "#8c8c8c"
"""Of Okabe and Ito (2008), told apart by those who are colour-blind."""
_SKIN = {"font.size": 8.0, "text.parse_math": False, "axes.linewidth": 0.6}


def draw_calibration(agreement: Agreement, finding: str) -> bytes:
    """Return the reliability diagram (Niculescu-Mizil and Caruana 2005) as PNG."""
    with matplotlib.style.context(["default", _SKIN]):
        figure, (curve, shares) = _figure(480, 420, heights=(3, 1))
        table = agreement.reliability
        full = table.pixels > 0
        promised = table.promised[full] / table.pixels[full]
        curve.plot([0, 1], [0, 1], color=GREY, linewidth=0.8)
        curve.plot(promised, table.positive[full] / table.pixels[full], "o-", color=BLUE)
        curve.set(xlim=(0, 1), ylim=(0, 1), ylabel=f"share that is {finding}")
        curve.set_title(f"expected calibration error {table.ece:.3f}", fontsize=8)
        edges = (np.arange(ECE_BINS) + 0.5) / ECE_BINS
        shares.bar(edges, table.pixels / table.pixels.sum(), width=0.9 / ECE_BINS, color=GREY)
        shares.set(xlim=(0, 1), xlabel="probability", ylabel="share of pixels")
        return _png(figure)


def draw_places(agreement: Agreement) -> bytes:
    """Return the IoU of each group, the worst first, as PNG."""
    scores = {name: pooled(tiles).iou for name, tiles in agreement.by_group.items()}
    known = sorted((iou, name) for name, iou in scores.items() if iou is not None)
    with matplotlib.style.context(["default", _SKIN]):
        figure, (axes,) = _figure(720, 300, heights=(1,))
        ious = [iou for iou, _ in known]
        axes.plot(range(len(ious)), ious, "o", color=BLUE, markersize=4)
        axes.axhline(float(np.median(ious)), color=GREY, linewidth=0.8)
        whole = agreement.pooled.iou or 0.0
        axes.axhline(whole, color=ORANGE, linewidth=0.8)
        axes.set(ylim=(0, 1), ylabel="IoU", xlim=(-0.5, len(ious) - 0.5))
        axes.set_title(
            f"{len(ious)} groups; grey: median {np.median(ious):.2f}, orange: pixels pooled "
            f"{whole:.2f}",
            fontsize=8,
        )
        named = len(known) <= _NAMED_GROUPS
        names = [name for _, name in known] if named else []
        axes.set_xticks(range(len(names)), names, rotation=90, fontsize=7)
        return _png(figure)


def draw_worst(shown: Sequence[Shown], *, threshold: float, imagery: bool) -> bytes:
    """Return the worst tiles as JPEG: a row each, images, label, probability, answer.

    Args:
        shown: of one set.
        threshold: probability from which a pixel is answered.
        imagery: whether the images are drawn.
    """
    titles = [*(shown[0].images if imagery else ()), "label", "probability", "answer"]
    with matplotlib.style.context(["default", _SKIN]):
        figure = _sheet(len(shown), len(titles))
        for row, tile in enumerate(shown):
            pictures = [_for_eye(raster) for raster in tile.images.values()] if imagery else []
            parts = (_label(tile), _grey(tile.probability), _verdict(tile, threshold))
            for col, picture in enumerate([*pictures, *parts]):
                axes = _place(figure, row, col, rows=len(shown), cols=len(titles))
                axes.imshow(picture, interpolation="antialiased", vmin=0, vmax=1)
                if row == 0:
                    axes.set_title(titles[col], fontsize=7, pad=2)
                if col == 0:
                    axes.set_xlabel(_caption(tile), fontsize=7, labelpad=2, loc="left")
        return _jpeg(figure)


def _caption(shown: Shown) -> str:
    counts = shown.tile.counts
    return f"{shown.tile.name}: IoU {counts.iou or 0:.2f}"


def _for_eye(raster: Raster) -> FloatArray:
    """Return (rows, cols, 3), 0 to 1."""
    return np.moveaxis(np.where(raster.valid, for_eye(raster), np.float32(1)), 0, -1)


def _label(shown: Shown) -> FloatArray:
    return _coloured(np.ones_like(shown.probability), (shown.target & shown.known, BLUE))


def _grey(probability: FloatArray) -> FloatArray:
    """Return (rows, cols, 3); black is 1, white 0 or no answer."""
    return np.repeat(1 - np.nan_to_num(probability)[..., None], 3, axis=-1)


def _verdict(shown: Shown, threshold: float) -> FloatArray:
    """Return (rows, cols, 3): found blue, missed orange, wrongly found red."""
    found = np.nan_to_num(shown.probability) >= threshold
    true = shown.target & shown.known
    return _coloured(
        np.ones_like(shown.probability),
        (found & true, BLUE),
        (true & ~found, ORANGE),
        (found & shown.known & ~true, RED),
    )


def _coloured(white: FloatArray, *parts: tuple[BoolArray, str]) -> FloatArray:
    picture = np.repeat(white[..., None], 3, axis=-1)
    for mask, colour in parts:
        picture[mask] = matplotlib.colors.to_rgb(colour)
    return picture


def _figure(width: int, height: int, *, heights: Sequence[int]) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=(width / DPI, height / DPI), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0]
    return figure, list(axes)


def _sheet(rows: int, cols: int) -> Figure:
    step = THUMBNAIL_PX + _ROOM_PX
    size = (cols * (THUMBNAIL_PX + 6) / DPI, (rows * step + _ROOM_PX) / DPI)
    figure = Figure(figsize=size, dpi=DPI)
    FigureCanvasAgg(figure)
    return figure


def _place(figure: Figure, row: int, col: int, *, rows: int, cols: int) -> Axes:
    width, height = cols * (THUMBNAIL_PX + 6), rows * (THUMBNAIL_PX + _ROOM_PX) + _ROOM_PX
    left = col * (THUMBNAIL_PX + 6) + 3
    top = _ROOM_PX + row * (THUMBNAIL_PX + _ROOM_PX)
    box = (left / width, 1 - (top + THUMBNAIL_PX) / height)
    axes = figure.add_axes((*box, THUMBNAIL_PX / width, THUMBNAIL_PX / height))
    axes.set(xticks=[], yticks=[])
    return axes


def _png(figure: Figure) -> bytes:
    # Without the version of matplotlib, which would make the same picture another file.
    return _drawn(figure, format="png", metadata={"Software": None})


def _jpeg(figure: Figure) -> bytes:
    return _drawn(figure, format="jpeg", pil_kwargs={"quality": 80, "optimize": True})


def _drawn(figure: Figure, **options: Any) -> bytes:
    file = io.BytesIO()
    figure.savefig(file, dpi=DPI, **options)
    return file.getvalue()


_FULL_TABLE = 40
"""Groups; of more, the page lists the five worst, the median and the five best."""


def places(part: SetMeasured, picture: str) -> str:
    """Return how the model's worth differs between places."""
    agreement, plan = part.rows[0].agreement, part.plan
    groups = agreement.by_group
    known = sorted(
        (iou, name) for name, tiles in groups.items() if (iou := pooled(tiles).iou) is not None
    )
    ious = [iou for iou, _ in known]
    lowest, low, middle, high, highest = np.percentile(ious, (0, 10, 50, 90, 100))
    summary = (
        f"A group is {plan.groups}. {len(groups)} groups, {len(known)} of them with water in the "
        f"label or the answer. IoU by group: worst {lowest:.3f}, a tenth below {low:.3f}, median "
        f"{middle:.3f}, a tenth above {high:.3f}, best {highest:.3f}; mean {np.mean(ious):.3f}, "
        f"standard deviation {spread(ious) or 0:.3f}. {_bias(groups)}"
    )
    listed = [name for _, name in known]
    if len(listed) > _FULL_TABLE:
        listed = [*listed[:5], listed[len(listed) // 2], *listed[-5:]]
    return parts(
        f"### {plan.name}, {part.split}",
        summary,
        f"![IoU of each group, the worst first]({picture})",
        _places_table(groups, listed),
    )


def _bias(groups: Mapping[str, Sequence[TileCounts]]) -> str:
    """Return how the area that is found compares with the area of the label, by group."""
    each = (pooled(tiles) for tiles in groups.values())
    labelled = [c for c in each if c.true_positive + c.false_negative]
    ratios = [
        (c.true_positive + c.false_positive) / (c.true_positive + c.false_negative)
        for c in labelled
    ]
    if not ratios:
        return "No label has any."
    low, middle, high = np.percentile(ratios, (10, 50, 90))
    return (
        f"Area found for each area labelled, by group: a tenth below {low:.2f}, median "
        f"{middle:.2f}, a tenth above {high:.2f}."
    )


def _places_table(groups: Mapping[str, Sequence[TileCounts]], listed: Sequence[str]) -> str:
    header = ("group", "tiles", "labelled", "found", "IoU", "precision", "recall")
    return table(header, [_place_of(name, groups[name]) for name in listed])


def _place_of(name: str, tiles: Sequence[TileCounts]) -> tuple[object, ...]:
    counts = pooled(tiles)
    labelled = counts.true_positive + counts.false_negative
    found = counts.true_positive + counts.false_positive
    shares = (percent(part / counts.n) for part in (labelled, found))
    ratios = (plain(value) for value in (counts.iou, counts.precision, counts.recall))
    return (name, len(tiles), *shares, *ratios)
