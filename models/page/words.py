"""The text of a page: Markdown from the card, the plan and what was measured."""

import shlex
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from models.agreement import spread
from models.architecture import DetectorArchitecture, NetworkArchitecture
from models.card import ModelCard, Score
from models.data.kinds import PICTURES, Kind
from models.page.markdown import bullets, duration, images, parts, percent, plain, sentence, table
from models.page.measure import Row, SetMeasured
from models.page.plan import PagePlan, SetPlan
from models.registry import SHELF
from models.slot import CardInput


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
    return f"{entry.slot} ({bands}; {entry.units}; {', '.join(entry.sensors)}{needed})"


def _command(card: ModelCard) -> str:
    return (
        f"This page is written by `aftermap page --model {card.name} --root FOLDER`, where FOLDER "
        "holds the data; its words are in `card.json` and `page.toml`. Every score is of pixels "
        "pooled over the images, unless it says otherwise."
    )


def _levels(card: ModelCard) -> str:
    rows = [
        (entry.slot, band, f"{s.mean:.4g}", f"{s.std:.4g}", *(f"{p:.4g}" for p in s.percentiles))
        for entry in card.inputs
        for band, s in zip(entry.bands, entry.learned_from or (), strict=False)
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
