"""A validation in words and tables, for people."""

from flows.validation.evaluate import Validation
from geo.schema import DAMAGE_GRA
from models.validation import Agreement, Amount, Counts, Share
from models.validation.grades import GRADES

Row = dict[str, object]


def headline(validation: Validation) -> str:
    """Return what was found, in a few sentences."""
    found, answers = validation.estimate, validation.answers
    whole, graded = found.all_buildings, found.graded_buildings
    lines = [
        f"{len(answers.seen)} of the {len(validation.record.ids)} buildings that were drawn are "
        f"answered; {answers.untold} are left out (? or empty), as if they were like the "
        "others of their published grade.",
        _counted("of all buildings", whole),
    ]
    if 0 < graded.buildings < whole.buildings:
        lines.append(_counted("of those that the product grades", graded))
    if whole.damaged.estimate is None:
        lines.append(
            "No answer speaks for some of the buildings: there is no estimate for these, and the "
            "interval holds both that none and that all of them are damaged."
        )
    lines.append(_agreed(found.agreement, graded.buildings))
    return "\n".join(lines)


def _agreed(agreement: Agreement, graded: int) -> str:
    if graded == 0:
        return "The product grades no building: there is no accuracy."
    return (
        f"Accuracy {_share(agreement.accuracy)}, macro F1 {_figure(agreement.macro_f1)}; damaged "
        f"or not: accuracy {_share(agreement.accuracy_damaged)} (of the buildings that the "
        "product grades; of the answers alone, accuracy "
        f"{_figure(agreement.accuracy_counted)}, macro F1 {_figure(agreement.macro_f1_counted)})."
    )


def amount_rows(validation: Validation) -> list[Row]:
    """Return a row a grade: how many buildings, by the product and by the eye."""
    amounts = validation.estimate.all_buildings.by_grade
    return [
        {
            "grade": grade,
            "in the product": validation.published[grade],
            "by eye": _number(amounts[grade].estimate) if grade in amounts else "",
            "95 % interval": _ends(amounts[grade]) if grade in amounts else "",
        }
        for grade in DAMAGE_GRA
    ]


def score_rows(validation: Validation) -> list[Row]:
    """Return a row a grade: how right it is; none where the product grades no building."""
    if validation.estimate.graded_buildings.buildings == 0:
        return []
    return [
        {
            "grade": score.grade,
            "user's accuracy": "none published"
            if score.users_accuracy is None
            else _share(score.users_accuracy),
            "producer's accuracy": _figure(score.producers_accuracy),
            "F1": _figure(score.f1),
        }
        for score in validation.estimate.agreement.grades
    ]


def confusion_rows(validation: Validation) -> list[Row]:
    """Return a row a published grade: answers, and the share of all buildings that they are."""
    found = validation.estimate
    rows = zip(DAMAGE_GRA, found.confusion_counted, found.confusion_share, strict=True)
    return [
        {
            "in the product \\ by eye": published,
            **{
                grade: f"{count} ({'?' if share is None else f'{share:.1%}'})"
                for grade, count, share in zip(GRADES, counts, shares, strict=True)
            },
        }
        for published, counts, shares in rows
        if validation.published[published]
    ]


def _counted(of: str, counts: Counts) -> str:
    return (
        f"Damaged or destroyed, {of}: {_number(counts.damaged.estimate)} of "
        f"{counts.buildings:,} (95 % interval {_ends(counts.damaged)})."
    )


def _ends(amount: Amount) -> str:
    return f"{amount.low:,} to {amount.high:,}"


def _share(share: Share) -> str:
    return f"{_figure(share.estimate)} ({share.low:.3f} to {share.high:.3f})"


def _number(value: float | None) -> str:
    return "not known" if value is None else f"{value:,.0f}"


def _figure(value: float | None) -> str:
    return "not known" if value is None else f"{value:.3f}"
