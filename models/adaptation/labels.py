"""Labels of a new event, as QGIS saves them: polygons, and the class of each."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from odc.geo.geobox import GeoBox

from geo.types import CodeArray, IntArray, ObjectArray
from geo.vector.area_of_interest import AreaOfInterest
from geo.vector.buildings import Footprints, read_footprints
from models.cards.card import ModelCard
from models.damage.alignment import BlockView, PlacedBuildings, place
from models.damage.buildings import Buildings, Pair
from models.datasets.vocabulary import Vocabulary
from models.errors import LabelsInvalid
from models.evaluation.score_product import covering
from models.inference.windows import ProgressReceiver

NONE = 255
"""Code of a polygon without a class."""
LEAST, MOST = 3, 200
"""Labels that a model is adapted to; above, train one."""

UNLABELLED = "without a label"
UNKNOWN = "labelled as unknown"
UNREVIEWED = "extracted automatically and not reviewed"
MISFIT = "on no building"
NOT_OBSERVED = "too small, or not observed before and after"
"""Why polygons are not used."""


@dataclass(frozen=True, eq=False)
class Labels:
    """Polygons, and the class of each."""

    file: str
    """Its name, without the folder."""
    sha256: str
    column: str
    vocabulary: Vocabulary
    outlines: ObjectArray
    """(polygons,) lon-lat WGS 84, valid, each once; of the labels or of given buildings."""
    codes: CodeArray
    """(polygons,), a number of the vocabulary's names; `NONE` without a class."""
    skipped: dict[str, int]
    """Polygons that are not used, by the reason."""
    notes: tuple[str, ...]
    """What was left out or repaired, as sentences."""

    @property
    def labelled(self) -> IntArray:
        """Which polygons have a class, ascending."""
        return np.flatnonzero(self.codes != NONE)

    def counts(self, used: IntArray) -> dict[str, int]:
        """Return how many of some polygons are of each class."""
        each = Counter(self.codes[used].tolist())
        return {self.vocabulary.names[code]: each[code] for code in sorted(each)}

    def not_used(self, used: IntArray) -> dict[str, int]:
        """Return the number of polygons that are not used, by the reason."""
        lost = len(self.labelled) - len(used)
        return self.skipped | ({NOT_OBSERVED: lost} if lost else {})


def read_labels(path: Path, area: AreaOfInterest, vocabulary: Vocabulary) -> Labels:
    """Return the polygons of a file that meet an area, and their classes.

    Raises:
        FootprintsInvalid: where it cannot be read as polygons, or none meets the area.
        LabelsInvalid: where there is no such file, column or word, or labels contradict each other.
    """
    require_file(path)
    polygons = read_footprints(path, area, once=False)
    column = _column(path, polygons.own, vocabulary)
    codes, skipped = _codes(path, polygons.own, column, vocabulary)
    names = [vocabulary.names[code] if code != NONE else None for code in codes]
    first = _unique(path, polygons.geometries, names)
    lost = len(codes) - len(first)
    repeated = [f"{lost} polygons of {path.name} repeat others and were counted once"][:lost]
    return Labels(
        file=path.name,
        sha256=polygons.sha256,
        column=str(column),
        vocabulary=vocabulary,
        outlines=polygons.geometries[first],
        codes=codes[first],
        skipped=skipped,
        notes=(*polygons.notes, *repeated),
    )


def require_file(path: Path) -> None:
    """Raise LabelsInvalid where there is no file of labels."""
    if not path.is_file():
        raise LabelsInvalid(f"there is no file of labels at {path}; check the path")


def labels_of_buildings(labels: Labels, buildings: Footprints) -> Labels:
    """Return the labels of buildings, each given to the building that covers most of it.

    Raises:
        LabelsInvalid: where no label is on a building, or two on one contradict each other.
    """
    labelled = labels.labelled
    match = covering(_in_metres(labels.outlines[labelled]), _in_metres(buildings.geometries))
    there = match >= 0
    if len(labelled) and not there.any():
        raise LabelsInvalid(
            f"none of the {len(labelled)} labels of {labels.file} is on one of the "
            f"{len(buildings.geometries)} buildings given; label their outlines, or leave "
            "out --buildings to take the labels' own"
        )
    codes = np.full(len(buildings.geometries), NONE, np.uint8)
    for label, building in zip(labelled[there], match[there], strict=True):
        code = labels.codes[label]
        if codes[building] not in (NONE, code):
            names = (labels.vocabulary.names[c] for c in (codes[building], code))
            raise _contradiction(labels.file, labels.outlines[label], *names)
        codes[building] = code
    lost = int((~there).sum())
    return replace(
        labels,
        outlines=buildings.geometries,
        codes=codes,
        skipped=labels.skipped | ({MISFIT: lost} if lost else {}),
        notes=(*labels.notes, *buildings.notes),
    )


def require_enough(labels: Labels, used: IntArray) -> None:
    """Raise LabelsInvalid where the used polygons are too few, too many, or all of one class."""
    left_out = ", ".join(f"{n} {reason}" for reason, n in labels.not_used(used).items())
    but = f" ({left_out})" if left_out else ""
    if len(used) < LEAST:
        raise LabelsInvalid(
            f"{labels.file} has {len(used)} usable labels in {labels.column}{but}; "
            f"give at least {LEAST}"
        )
    if len(used) > MOST:
        raise LabelsInvalid(
            f"{labels.file} has {len(used)} labels in {labels.column}, the most is "
            f"{MOST}; leave the others empty, or train a model with aftermap train"
        )
    counts = labels.counts(used)
    if len(counts) < 2:
        raise LabelsInvalid(
            f"all {len(used)} usable labels of {labels.file}{but} are {next(iter(counts))}; label "
            "polygons of another class, too"
        )


def _in_metres(outlines: ObjectArray) -> ObjectArray:
    """Return lon-lat outlines in a projection that keeps areas."""
    return np.asarray(gpd.GeoSeries(outlines, crs="EPSG:4326").to_crs("EPSG:6933").to_numpy())


def _column(path: Path, own: pd.DataFrame, vocabulary: Vocabulary) -> str:
    """Return the first column of the vocabulary that is not empty, else the first there is."""
    there = {str(name).casefold(): name for name in own.columns}
    found = [there[name] for name in vocabulary.columns if name in there]
    if not found:
        raise LabelsInvalid(
            f"{path} has no column {' or '.join(vocabulary.columns)}, it has "
            f"{', '.join(map(str, own.columns)) or 'none'}; add one with the class of each polygon"
        )
    return next((name for name in found if own[name].notna().any()), found[0])


def _codes(
    path: Path, own: pd.DataFrame, column: str, vocabulary: Vocabulary
) -> tuple[CodeArray, dict[str, int]]:
    unreviewed = np.zeros(len(own), np.bool_)
    if {"det_method", "status"} <= set(own.columns):
        automatic = own["det_method"] == "Automatic extraction"
        unreviewed = (automatic & (own["status"] != "reviewed")).to_numpy(np.bool_)
    words = own[column].map(lambda word: "" if pd.isna(word) else str(word).strip())
    unknown = [word for word in dict.fromkeys(words) if word and word not in vocabulary]
    if unknown:
        more = f" and {len(unknown) - 3} other words" if len(unknown) > 3 else ""
        raise LabelsInvalid(
            f"{path} has {', '.join(map(repr, unknown[:3]))}{more} in {column}; the words are "
            f"{', '.join(vocabulary.words)}, or nothing"
        )
    codes = np.full(len(own), NONE, np.uint8)
    skipped: Counter[str] = Counter()
    for row, word in enumerate(words):
        code = vocabulary.meaning(word) if word else None
        if code is None:
            skipped[UNKNOWN if word else UNLABELLED] += 1
        elif unreviewed[row]:
            skipped[UNREVIEWED] += 1
        else:
            codes[row] = code
    return codes, dict(skipped)


def _unique(path: Path, outlines: ObjectArray, names: Sequence[str | None]) -> IntArray:
    """Return which polygons are kept of each outline: one with a label where there is one."""
    shapes = shapely.to_wkb(shapely.normalize(outlines))
    kept: dict[bytes, int] = {}
    for number, shape in enumerate(shapes):
        before = names[kept[shape]] if shape in kept else None
        name = names[number]
        if before is not None and name is not None and before != name:
            raise _contradiction(path.name, outlines[number], before, name)
        if shape not in kept or before is None:
            kept[shape] = number
    return np.sort(np.fromiter(kept.values(), np.int64))


def _contradiction(file: str, outline: shapely.Geometry, one: str, other: str) -> LabelsInvalid:
    middle = shapely.point_on_surface(outline)
    return LabelsInvalid(
        f"{file} has both {one} and {other} for one place, at longitude {middle.x:.5f}, latitude "
        f"{middle.y:.5f}; keep one"
    )


@dataclass(frozen=True, eq=False)
class LabelledBuildings:
    """A pair of images and all buildings in them, of which some have a label."""

    pair: Pair
    geobox: GeoBox
    placed: PlacedBuildings
    labels: Labels
    """Their outlines are all buildings: the neighbours of a building count in its features."""

    @classmethod
    def of(
        cls,
        pair: Pair,
        geobox: GeoBox,
        labels: Labels,
        *,
        checked: bool,
        progress: ProgressReceiver,
    ) -> "LabelledBuildings":
        """Align the pair and the buildings, as for a map; see `models.damage.alignment.place`."""
        buildings = Buildings.on(geobox, labels.outlines)
        placement = place(pair, geobox, buildings, checked=checked, progress=progress)
        return cls(pair, geobox, PlacedBuildings.of(buildings, placement), labels)

    def views(self, card: ModelCard, progress: ProgressReceiver) -> Iterator[BlockView]:
        """Yield the blocks of a map that hold a label, with the pixels of both images."""
        labelled = self.labels.codes != NONE
        blocks = [block for block in self.placed.blocks(card) if labelled[block].any()]
        progress.start("reading labels", len(blocks))
        for block in blocks:
            yield self.placed.view(block, card, self.pair, self.geobox)
            progress.advance()

    def labelled(self, view: BlockView) -> tuple[IntArray, IntArray]:
        """Return the labelled buildings of a view, and which of its numbers, from 0, they have."""
        own = view.own[self.labels.codes[view.own] != NONE]
        return own, np.searchsorted(view.drawn, own)
