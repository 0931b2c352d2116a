"""The scores of a card, as its page measured them."""

from collections.abc import Sequence

from models.agreement import Agreement
from models.card import ModelCard, Score
from models.evaluation import Evaluation
from models.page.markdown import images
from models.page.measure import Measured, Row, SetMeasured

_SAME = 0.0005
"""A figure that was measured again is the one on the card, within the rounding of both."""


def scored(card: ModelCard, measured: Measured) -> ModelCard:
    """Return a card with what was measured as its scores, and with nothing else.

    Figures of other seeds and other folds stay where they were not measured anew and the
    model's own figure is still the same: whoever has the shipped weights alone can repeat the
    page.
    """
    rows = [score for part in measured.sets for score in _set_scores(card, part)]
    fields = {
        "scores": tuple(_remembered(score, card.scores) for score in rows)
        + (() if any(part.folds for part in measured.sets) else _folds_on(card)),
        "tested_on": "; ".join(_tested_on(part) for part in measured.sets),
    }
    return ModelCard.model_validate({**dict(card), **fields})


def _set_scores(card: ModelCard, part: SetMeasured) -> list[Score]:
    scores = [score for row in part.rows for score in _row_scores(part, row)]
    if part.folds:
        scores.append(_fold_score(card, part))
    return scores


def _row_scores(part: SetMeasured, row: Row) -> list[Score]:
    """Return the IoU of a choice of images, and of the first also the calibration error."""
    finding = row.evaluation.card.classes[0].name
    images = " + ".join(row.evaluation.filled)
    each = [row.evaluation, *row.seeds]
    kinds = [("iou", f"IoU of {finding}, pooled pixels, from {images}", _ious(each))]
    if row is part.rows[0]:
        eces = [e.agreement.ece for e in each]
        kinds.append(("ece", f"Expected calibration error of {finding}, from {images}", eces))
    return [
        Score(
            dataset=part.plan.name,
            split=part.split,
            metric=metric,
            value=_rounded(values)[0],
            n=len(row.agreement.tiles),
            measure=measure,
            drop=row.subset.drop,
            trainings=_rounded(values) if row.seeds else (),
            trainings_differ_in="seed" if row.seeds else None,
        )
        for measure, metric, values in kinds
        if values[0] is not None
    ]


def _fold_score(card: ModelCard, part: SetMeasured) -> Score:
    agreement = sum((fold.agreement for fold in part.folds), Agreement.empty())
    return Score(
        dataset=part.plan.name,
        split=f"{len(part.folds)} folds, each scored by a training that left it out",
        metric=f"IoU of {card.classes[0].name}, pixels of all folds pooled",
        value=_rounded([agreement.pooled.iou])[0],
        n=len(agreement.tiles),
        drop=part.rows[0].subset.drop,
        trainings=_rounded(_ious(part.folds)),
        trainings_differ_in="fold",
    )


def _remembered(score: Score, before: Sequence[Score]) -> Score:
    """Return a score with the figures of other seeds that the card has of it."""
    if score.trainings:
        return score
    for old in before:
        if _key(old) == _key(score) and abs(old.value - score.value) <= _SAME:
            kept = {"trainings": old.trainings, "trainings_differ_in": old.trainings_differ_in}
            return score.model_copy(update=kept)
    return score


def _key(score: Score) -> tuple[object, ...]:
    return (score.dataset, score.split, score.measure, frozenset(score.drop))


def _folds_on(card: ModelCard) -> tuple[Score, ...]:
    return tuple(score for score in card.scores if score.trainings_differ_in == "fold")


def _tested_on(part: SetMeasured) -> str:
    n = len(part.rows[0].agreement.tiles)
    return f"{part.plan.name}, {part.split} ({images(n)})"


def _ious(each: Sequence[Evaluation]) -> list[float | None]:
    return [evaluation.agreement.pooled.iou for evaluation in each]


def _rounded(values: Sequence[float | None]) -> tuple[float, ...]:
    return tuple(round(value, 4) for value in values if value is not None)
