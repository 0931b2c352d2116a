"""The page of a model in Markdown: text of its `page.toml`, scores as tables and pictures."""

import io
import re
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import matplotlib.style
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from pydantic import Field, ValidationError, model_validator

from geo.imagery.mosaic import as_picture
from geo.store.atomic_io import make_folder, replace_file, writing
from geo.types import BoolArray, FloatArray, Raster
from models.cards.architecture import DetectorArchitecture, NetworkArchitecture, Part
from models.cards.card import CARD_NAME, ModelCard, Score, card_bytes
from models.cards.registry import CardRef
from models.datasets.base import LabelledSet, Sample
from models.datasets.catalog import ALL, PICTURES, Kind, SetOptions, open_set
from models.errors import PageInvalid
from models.evaluation.evaluate import (
    LEFT_OUT,
    Evaluation,
    PixelScores,
    TileCounts,
    evaluate,
    images_for,
    pooled,
    predict_sample,
    split_for,
)
from models.evaluation.metrics import ECE_BINS, sample_deviation
from models.inference.model import Model
from models.inference.windows import ProgressReceiver

PLAN_NAME, PAGE_NAME = "page.toml", "README.md"


class Subset(Part):
    """Some images of the data."""

    name: str = Field(description="Such as: radar, after only.")
    drop: tuple[str, ...] = Field(default=(), description="Images that the model is not given.")


class SetPlan(Part):
    """One set of labelled images, and what a reader must know of it."""

    name: str
    kind: Kind
    folder: str = Field(description="In the folder that holds all data.")
    split: str = Field(default=ALL, description="Of the set; left-out: as the card says.")
    options: SetOptions = Field(default=PICTURES, description="Of pairs; groups: beside the plan.")
    about: str = Field(description="What it is: sentences.")
    groups: str = Field(description="What a group of tiles is here, such as: a flood event.")
    origin: str
    licence: str = Field(description="As stated there.")
    pictures: bool = Field(default=True, description="Whether the tiles of least IoU are drawn.")
    thumbnails: bool = Field(default=False, description="With their images: the licence allows it.")
    subsets: tuple[Subset, ...] = Field(default=(Subset(name="all images"),), min_length=1)


class PagePlan(Part):
    """The page of a model."""

    about: str = Field(description="What led to it: Markdown.")
    not_for: tuple[str, ...] = Field(min_length=1, description="Sentences.")
    sets: tuple[SetPlan, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _check_sets(self) -> Self:
        keys = [f"{entry.name} {entry.split}" for entry in self.sets]
        if twice := [key for key in keys if keys.count(key) > 1]:
            raise ValueError(f"{twice[0]} is there more than once")
        return self


def read_plan(path: Path) -> PagePlan:
    """Read a plan; its files of groups are taken from its folder.

    Raises:
        PageInvalid: where it cannot be read, or a field is wrong.
    """
    try:
        plan = PagePlan.model_validate(tomllib.loads(path.read_text("utf-8")))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = "".join(f"{part}." for part in first["loc"])[:-1]
        message = first["msg"].removeprefix("Value error, ")
        raise PageInvalid(": ".join(filter(None, (str(path), place, message)))) from error
    except (OSError, ValueError) as error:
        raise PageInvalid(
            f"the plan of the page {path} cannot be read as TOML: {error}; write one, see "
            "models.evaluation.model_page.PagePlan"
        ) from error

    def placed(entry: SetPlan) -> SetPlan:
        groups = entry.options.groups and path.parent / entry.options.groups
        options = entry.options.model_copy(update={"groups": groups})
        return entry.model_copy(update={"options": options})

    return plan.model_copy(update={"sets": tuple(map(placed, plan.sets))})


WORST = 6


@dataclass(frozen=True, eq=False)
class ShownTile:
    """A tile as it is drawn."""

    counts: TileCounts
    images: Sequence[Raster]
    """As far as the plan allows to show them."""
    sample: Sample
    probability: FloatArray
    """(rows, cols); NaN where there is no prediction."""


@dataclass(frozen=True, eq=False)
class SetMeasured:
    """What a page shows of one set."""

    plan: SetPlan
    split: str
    rows: tuple[Evaluation, ...]
    """By subset of the plan."""
    worst: tuple[ShownTile, ...]

    @property
    def scores(self) -> PixelScores:
        """Of the first subset."""
        return self.rows[0].scores

    @property
    def title(self) -> str:
        """Name and split."""
        return f"{self.plan.name}, {self.split}"

    @property
    def size(self) -> str:
        """How many images, in words."""
        n = len(self.scores.tiles)
        return "1 image" if n == 1 else f"{n} images"

    @property
    def group_ious(self) -> list[tuple[float, str]]:
        """IoU and name of each group that has one, worst first."""
        each = [(pooled(tiles).iou, name) for name, tiles in self.scores.by_group.items()]
        return sorted((iou, name) for iou, name in each if iou is not None)

    @property
    def has_groups(self) -> bool:
        """Whether there are several groups, and one of them has an IoU."""
        return len(self.scores.by_group) > 1 and bool(self.group_ious)

    def file(self, ending: str) -> str:
        """Return the name of a picture."""
        name = re.sub(r"[^a-z0-9]+", "-", f"{self.plan.name} {self.split}".lower())
        return f"{name.strip('-')}-{ending}"


def measure(
    model: Model, plan: PagePlan, *, root: Path, progress: ProgressReceiver
) -> tuple[SetMeasured, ...]:
    """Score a model on every set of its plan; `root` holds the folders of the data."""

    def measured(entry: SetPlan, split: str, labelled: LabelledSet) -> SetMeasured:
        rows = tuple(
            evaluate(model, labelled, split=split, drop=subset.drop, progress=progress)
            for subset in entry.subsets
        )
        worst = _worst(model, labelled, entry, rows[0]) if entry.pictures else ()
        return SetMeasured(entry, split, rows, worst)

    splits = [split_for(model.card, entry.split) for entry in plan.sets]
    # Every set is opened first: hours of scoring shall not end on a folder that is not there.
    sets = [
        (
            entry,
            split,
            open_set(entry.kind, root / entry.folder, split=split, options=entry.options),
        )
        for entry, split in zip(plan.sets, splits, strict=True)
    ]
    return tuple(measured(*each) for each in sets)


def _worst(
    model: Model, labelled: LabelledSet, plan: SetPlan, evaluation: Evaluation
) -> tuple[ShownTile, ...]:
    """Return the tiles with the least IoU; of equal ones, that with most wrong pixels first."""
    filled = images_for(model.card, labelled, plan.subsets[0].drop)

    def shown(index: int, tile: TileCounts) -> ShownTile:
        sample = labelled[index]
        probability = predict_sample(model, sample, filled)
        names = dict.fromkeys(filled.values()) if plan.thumbnails else ()
        return ShownTile(
            tile,
            [sample.images[name] for name in names],
            sample,
            np.where(sample.known, probability, np.float32(np.nan)),
        )

    def order(entry: tuple[int, TileCounts]) -> tuple[float, int]:
        counts = entry[1].counts
        return counts.iou or 0.0, -counts.false_positive - counts.false_negative

    scored = [(i, t) for i, t in enumerate(evaluation.scores.tiles) if t.counts.iou is not None]
    return tuple(shown(*entry) for entry in sorted(scored, key=order)[:WORST])


_SAME = 0.0005
"""A figure that was measured again is the one on the card, within the rounding of both."""


def with_scores(card: ModelCard, sets: Sequence[SetMeasured]) -> ModelCard:
    """Return a card with what was measured as its scores."""
    # Figures of folds stay; those of seeds where the figure is the same.
    folds = [score for score in card.scores if score.trainings_differ_in == "fold"]
    scores = [_with_kept_seeds(score, card.scores) for part in sets for score in _set_scores(part)]
    tested_on = "; ".join(f"{part.title} ({part.size})" for part in sets)
    fields = {"scores": (*scores, *folds), "tested_on": tested_on}
    return ModelCard.model_validate({**dict(card), **fields})


def _set_scores(part: SetMeasured) -> Iterator[Score]:
    for row, subset in zip(part.rows, part.plan.subsets, strict=True):
        finding, images = row.card.classes[0].name, " + ".join(row.filled)
        metrics = {"iou": f"IoU of {finding}, pooled pixels, from {images}"}
        if row is part.rows[0]:
            metrics["ece"] = f"Expected calibration error of {finding}, from {images}"
        for name, metric in metrics.items():
            value = row.scores.as_json()[name]
            if isinstance(value, float):
                yield Score(
                    dataset=part.plan.name, split=part.split, metric=metric, measure=name,
                    value=round(value, 4), n=len(row.scores.tiles), drop=subset.drop,
                )  # fmt: skip


def _with_kept_seeds(score: Score, before: Sequence[Score]) -> Score:
    def key(of: Score) -> tuple[object, ...]:
        return (of.dataset, of.split, of.measure, frozenset(of.drop))

    for old in before:
        if key(old) == key(score) and abs(old.value - score.value) <= _SAME:
            kept = {"trainings": old.trainings, "trainings_differ_in": old.trainings_differ_in}
            return score.model_copy(update=kept)
    return score


def write_page(plan: PagePlan, sets: Sequence[SetMeasured], ref: CardRef, folder: Path) -> Path:
    """Write pictures, card and page, the page last, and return it."""
    card = with_scores(ref.card, sets)
    first = card.classes[0]
    files: dict[str, bytes] = {}
    for part in sets:
        files[part.file("calibration.png")] = draw_calibration(part.scores, first.name)
        if part.has_groups:
            files[part.file("places.png")] = draw_groups(part)
        if part.worst:
            files[part.file("worst.jpg")] = draw_worst(part.worst, threshold=first.threshold)
    files |= {CARD_NAME: card_bytes(card), PAGE_NAME: page_text(card, plan, sets).encode()}
    with writing(folder):
        make_folder(folder.absolute())
    for name, content in files.items():
        with writing(folder / name):
            replace_file(folder / name, content)
    return folder / PAGE_NAME


def page_text(card: ModelCard, plan: PagePlan, sets: Sequence[SetMeasured]) -> str:
    """Return the page of a card with the scores that were measured, as Markdown."""
    data = [(s.name, s.split, s.origin, s.licence) for s in plan.sets]
    sections = [
        *_head(card, plan),
        "## Training data",
        *_training(card),
        "## Scores",
        *(text for part in sets for text in _set_text(card, part)),
        "## Limits",
        _bullets(card.limits),
        "## What not to use it for",
        _bullets(plan.not_for),
        "## Licence",
        f"{_sentence(card.licence)} Of the data that it is shown on:",
        _table(("data", "split", "origin", "licence as stated there"), data),
        "## References" if card.references else "",
        _bullets(card.references),
    ]
    return "\n\n".join(text for text in sections if text) + "\n"


def _head(card: ModelCard, plan: PagePlan) -> list[str]:
    network = card.architecture
    architecture: str = network.kind
    if isinstance(network, NetworkArchitecture):
        architecture = f"{network.arch} on {network.encoder}"
    elif isinstance(network, DetectorArchitecture):
        architecture = network.parameters.method
    inputs = [
        f"{e.name} ({', '.join(e.bands)}; {e.units}; {', '.join(e.sensors)}"
        + (")" if e.required else ", may be missing)")
        for e in card.inputs
    ]
    rows = [
        ("task", card.task),
        ("architecture", architecture),
        ("inputs", "; ".join(inputs)),
        ("pixel", f"{card.resolution_m:g} m" if card.resolution_m else "the image's own"),
        ("thresholds", ", ".join(f"{c.name} at {c.threshold:g}" for c in card.classes)),
        ("version", card.version),
        ("sha256 of the weights", f"`{card.weights_sha256}`" if card.weights_sha256 else "none"),
    ]
    return [
        f"# {card.name}",
        card.summary,
        plan.about.strip(),
        _table(("", ""), rows),
        f"This page is written by `aftermap page --model {card.name} --root FOLDER`, where FOLDER "
        "holds the data; its text is in `card.json` and `page.toml`. Every score is of pixels "
        "pooled over the images, unless it says otherwise.",
    ]


def _training(card: ModelCard) -> list[str]:
    text, training = _sentence(card.trained_on), card.training
    if training is None:
        return [text]
    left_out = f" `{training.left_out}` was left out, to choose by." if training.left_out else ""
    record = training.model_dump(exclude={"tiles", "left_out"}, exclude_none=True)
    record["libraries"] = ", ".join(training.libraries)
    return [f"{text} {training.tiles} tiles.{left_out}", _table(("", ""), record.items())]


_HIDDEN = "; the images are not shown, their licence does not say that they may be"
_WORST_TEXT = (
    "The tiles with the least IoU ({names}), {subset}: label, probability and answer{hidden}. In "
    "the answer, blue was found, orange was missed, red was found and is not in the label. Origin: "
    "{origin}. Licence: {licence}.\n\n![The worst tiles]({picture})"
)


def _set_text(card: ModelCard, part: SetMeasured) -> list[str]:
    header = ("given", "IoU", "precision", "recall", "F1", "IoU a tile", "ECE", "answered")
    rows = []
    for row, subset in zip(part.rows, part.plan.subsets, strict=True):
        found = row.scores.as_json()
        seeds = {name: _seeds(card, part, subset, name) for name in ("iou", "ece")}
        names = ("iou", "precision", "recall", "f1", "iou_per_tile_mean", "ece")
        figures = [_figure(found[name]) + seeds.get(name, "") for name in names]
        given = f"{subset.name} ({', '.join(row.filled)})"
        rows.append((given, *figures, _percent(found["answered_share"])))
    folds = [
        f"All {s.n} images, in {s.split}: IoU {s.value:.3f} ("
        f"{', '.join(f'{value:.3f}' for value in s.trainings)}). Each training chose its threshold "
        "and its temperature on what it left out."
        for s in card.scores
        if (s.dataset, s.trainings_differ_in, part.plan.split) == (part.plan.name, "fold", LEFT_OUT)
    ]
    return [
        f"### {part.title}: {part.size}",
        part.plan.about.strip(),
        _table(header, rows),
        "\n".join(folds),
        *(_groups(part) if part.has_groups else ()),
        _calibration(card, part),
        f"![Share that is right by probability]({part.file('calibration.png')})",
        *([_WORST_TEXT.format(
            names=", ".join(tile.counts.name for tile in part.worst),
            subset=part.plan.subsets[0].name,
            hidden="" if part.plan.thumbnails else _HIDDEN,
            origin=part.plan.origin, licence=part.plan.licence, picture=part.file("worst.jpg"),
        )] if part.worst else ()),
    ]  # fmt: skip


def _seeds(card: ModelCard, part: SetMeasured, subset: Subset, measure_name: str) -> str:
    key = (part.plan.name, part.split, subset.drop, measure_name, "seed")
    for s in card.scores:
        if (s.dataset, s.split, s.drop, s.measure, s.trainings_differ_in) == key:
            mean, deviation = np.mean(s.trainings), sample_deviation(s.trainings) or 0.0
            return f"; {len(s.trainings)} seeds {mean:.3f} ± {deviation:.3f}"
    return ""


def _groups(part: SetMeasured) -> list[str]:
    ious = [iou for iou, _ in part.group_ious]
    low, middle, high = np.percentile(ious, (10, 50, 90))
    return [
        f"A group is {part.plan.groups}. {len(part.scores.by_group)} groups, {len(ious)} of them "
        f"with water in the label or the answer. IoU by group: a tenth below {low:.3f}, median "
        f"{middle:.3f}, a tenth above {high:.3f}.",
        f"![IoU of each group, the worst first]({part.file('places.png')})",
    ]


def _calibration(card: ModelCard, part: SetMeasured) -> str:
    ece = part.scores.ece
    error = "" if ece is None else f"Expected calibration error {ece:.3f} in {ECE_BINS} bins. "
    if card.calibration is None:
        return f"{error}Its probabilities are not calibrated: read them as an order."
    temperature = ", ".join(f"{t:g}" for t in card.calibration.parameters.temperature)
    return f"{error}Logits are divided by {temperature}, fitted on {card.calibration.fitted_on}."


def _table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def _bullets(sentences: Sequence[str]) -> str:
    return "\n".join(f"- {entry}" for entry in sentences)


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}".rstrip(".") + "."


def _figure(value: object) -> str:
    return f"{value:.3f}" if isinstance(value, float) else "none"


def _percent(value: object) -> str:
    return f"{100 * value:.0f} %" if isinstance(value, float) else "none"


DPI = 100
_TILE_PX = 96
"""Edge of a tile in the picture of the worst: for a glance, no copy of the data."""
_NAMED_GROUPS = 40
BLUE, ORANGE, RED, GREY = "#0072b2", "#e69f00", "#d55e00", "#8c8c8c"
"""Of Okabe and Ito (2008), told apart by those who are colour-blind."""
_STYLE: list[str | Path | dict[str, Any]] = [
    "default", {"font.size": 8.0, "text.parse_math": False, "axes.linewidth": 0.6}
]  # fmt: skip


def draw_calibration(scores: PixelScores, finding: str) -> bytes:
    """Return the reliability diagram (Niculescu-Mizil and Caruana 2005) as PNG."""
    with matplotlib.style.context(_STYLE):
        figure, axes = _subplots((480, 420), 2, 1, height_ratios=(3, 1))
        (curve, shares), table = axes[:, 0], scores.reliability
        full = table.pixels > 0
        mean = table.probability_sum[full] / table.pixels[full]
        curve.plot([0, 1], [0, 1], color=GREY, linewidth=0.8)
        curve.plot(mean, table.positive[full] / table.pixels[full], "o-", color=BLUE)
        curve.set(xlim=(0, 1), ylim=(0, 1), ylabel=f"share that is {finding}")
        curve.set_title(f"expected calibration error {table.ece:.3f}", fontsize=8)
        middles = (np.arange(ECE_BINS) + 0.5) / ECE_BINS
        shares.bar(middles, table.pixels / table.pixels.sum(), width=0.9 / ECE_BINS, color=GREY)
        shares.set(xlim=(0, 1), xlabel="probability", ylabel="share of pixels")
        # Without the version of matplotlib, which would make the same picture another file.
        return _saved(figure, format="png", metadata={"Software": None})


def draw_groups(part: SetMeasured) -> bytes:
    """Return the IoU of each group, the worst first, as PNG."""
    ious, whole = [iou for iou, _ in part.group_ious], part.scores.pooled.iou or 0.0
    names = [name for _, name in part.group_ious] if len(ious) <= _NAMED_GROUPS else []
    with matplotlib.style.context(_STYLE):
        figure, axes = _subplots((720, 300), 1, 1)
        axes[0, 0].plot(range(len(ious)), ious, "o", color=BLUE, markersize=4)
        axes[0, 0].axhline(whole, color=ORANGE, linewidth=0.8)
        axes[0, 0].set(ylim=(0, 1), ylabel="IoU", xlim=(-0.5, len(ious) - 0.5))
        axes[0, 0].set_title(f"{len(ious)} groups; orange: pixels pooled {whole:.2f}", fontsize=8)
        axes[0, 0].set_xticks(range(len(names)), names, rotation=90, fontsize=7)
        return _saved(figure, format="png", metadata={"Software": None})


def draw_worst(shown: Sequence[ShownTile], *, threshold: float) -> bytes:
    """Return the worst tiles as JPEG: a row each, images, label, probability, answer."""
    columns = len(shown[0].images) + 3
    size = (columns * (_TILE_PX + 8), len(shown) * (_TILE_PX + 24))
    with matplotlib.style.context(_STYLE):
        figure, grid = _subplots(size, len(shown), columns)
        for tile, axes in zip(shown, grid, strict=True):
            pictures = [*map(_display, tile.images), *_masks(tile, threshold)]
            for each, picture in zip(axes, pictures, strict=True):
                each.imshow(picture, interpolation="antialiased", vmin=0, vmax=1)
                each.set(xticks=[], yticks=[])
            caption = f"{tile.counts.name}: IoU {tile.counts.counts.iou or 0:.2f}"
            axes[0].set_xlabel(caption, fontsize=7, labelpad=2, loc="left")
        for axes, title in zip(grid[0, -3:], ("label", "probability", "answer"), strict=True):
            axes.set_title(title, fontsize=7, pad=2)
        return _saved(figure, format="jpeg", pil_kwargs={"quality": 80, "optimize": True})


def _display(raster: Raster) -> FloatArray:
    """Return (rows, cols, 3), 0 to 1."""
    return np.moveaxis(np.where(raster.valid, as_picture(raster), np.float32(1)), 0, -1)


def _masks(shown: ShownTile, threshold: float) -> Iterator[FloatArray]:
    """Yield label, probability and prediction as pictures, (rows, cols, 3), 0 to 1."""
    known, probability = shown.sample.known, np.nan_to_num(shown.probability)
    found, true = probability >= threshold, shown.sample.target & known
    yield _coloured((true, BLUE))
    yield np.repeat(1 - probability[..., None], 3, axis=-1)
    yield _coloured((found & true, BLUE), (true & ~found, ORANGE), (found & known & ~true, RED))


def _coloured(*parts: tuple[BoolArray, str]) -> FloatArray:
    picture = np.ones((*parts[0][0].shape, 3), np.float32)
    for mask, colour in parts:
        picture[mask] = matplotlib.colors.to_rgb(colour)
    return picture


def _subplots(size_px: tuple[int, int], rows: int, cols: int, **options: Any) -> tuple[Figure, Any]:
    inches = (size_px[0] / DPI, size_px[1] / DPI)
    figure = Figure(figsize=inches, dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots(rows, cols, squeeze=False, **options)


def _saved(figure: Figure, **options: Any) -> bytes:
    file = io.BytesIO()
    figure.savefig(file, dpi=DPI, **options)
    return file.getvalue()
