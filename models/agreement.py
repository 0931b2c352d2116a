"""Agreement: answers held against labels, tile by tile; it adds up over sets and models."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from models.metrics import Counts
from models.reliability import Reliability

Number: TypeAlias = float | int | str | list[str] | None
Detail: TypeAlias = Literal["group", "tile"]
NOTHING = Counts(0, 0, 0, 0)


@dataclass(frozen=True)
class TileCounts:
    """One labelled tile."""

    name: str
    group: str
    """Neighbours share it."""
    counts: Counts


@dataclass(frozen=True)
class Agreement:
    """What an answer is worth on labelled tiles."""

    tiles: tuple[TileCounts, ...]
    """One a sample; what got no answer counts as not found."""
    answered_pixels: int
    """Labelled pixels that got an answer."""
    reliability: Reliability
    """Of the pixels that got an answer."""

    @classmethod
    def empty(cls) -> "Agreement":
        """Return one without a tile."""
        return cls((), 0, Reliability.empty())

    def __add__(self, other: "Agreement") -> "Agreement":
        """Return the tiles of both."""
        return Agreement(
            self.tiles + other.tiles,
            self.answered_pixels + other.answered_pixels,
            self.reliability + other.reliability,
        )

    @property
    def pooled(self) -> Counts:
        """The pixels of all tiles together."""
        return sum((tile.counts for tile in self.tiles), NOTHING)

    @property
    def iou_per_tile_mean(self) -> float | None:
        """Mean over the tiles that have an IoU: a label or an answer."""
        scores = [tile.counts.iou for tile in self.tiles if tile.counts.iou is not None]
        return float(np.mean(scores)) if scores else None

    @property
    def ece(self) -> float | None:
        """Expected calibration error; None where nothing was answered."""
        return self.reliability.ece if self.answered_pixels else None

    @property
    def by_group(self) -> Mapping[str, Sequence[TileCounts]]:
        """Tiles by their group, both in order of name."""
        groups: dict[str, list[TileCounts]] = {name: [] for name in sorted(self._groups)}
        for tile in self.tiles:
            groups[tile.group].append(tile)
        return groups

    @property
    def _groups(self) -> set[str]:
        return {tile.group for tile in self.tiles}

    def as_json(self) -> dict[str, Number]:
        """Return its scores as plain numbers."""
        pooled = self.pooled
        return {
            "n": len(self.tiles),
            "pixels": pooled.n,
            "answered_share": self.answered_pixels / pooled.n if pooled.n else None,
            "iou": pooled.iou,
            "precision": pooled.precision,
            "recall": pooled.recall,
            "f1": pooled.f1,
            "iou_per_tile_mean": self.iou_per_tile_mean,
            "ece": self.ece,
        }

    def rows(self, by: Detail) -> list[dict[str, Number]]:
        """Return counts and scores of each group or tile as plain numbers."""
        if by == "tile":
            return [{"tile": t.name, "group": t.group, **_row([t])} for t in self.tiles]
        return [{"group": name, **_row(tiles)} for name, tiles in self.by_group.items()]


def _row(tiles: Sequence[TileCounts]) -> dict[str, Number]:
    counts = pooled(tiles)
    return {
        "n": len(tiles),
        "true_positive": counts.true_positive,
        "false_positive": counts.false_positive,
        "false_negative": counts.false_negative,
        "true_negative": counts.true_negative,
        "iou": counts.iou,
        "precision": counts.precision,
        "recall": counts.recall,
    }


def pooled(tiles: Sequence[TileCounts]) -> Counts:
    """Return the pixels of tiles together."""
    return sum((tile.counts for tile in tiles), NOTHING)


def spread(values: Sequence[float]) -> float | None:
    """Return the standard deviation of a sample; None of fewer than two values."""
    return float(np.std(values, ddof=1)) if len(values) > 1 else None
