"""How the worth of a model differs between places, in words."""

from collections.abc import Mapping, Sequence

import numpy as np

from models.agreement import TileCounts, pooled, spread
from models.page.markdown import parts, percent, plain, table
from models.page.measure import SetMeasured

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
    return table(header, [_place(name, groups[name]) for name in listed])


def _place(name: str, tiles: Sequence[TileCounts]) -> tuple[object, ...]:
    counts = pooled(tiles)
    labelled = counts.true_positive + counts.false_negative
    found = counts.true_positive + counts.false_positive
    shares = (percent(part / counts.n) for part in (labelled, found))
    ratios = (plain(value) for value in (counts.iou, counts.precision, counts.recall))
    return (name, len(tiles), *shares, *ratios)
