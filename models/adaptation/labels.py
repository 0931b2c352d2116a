"""Labels of a new event, as QGIS saves them: which polygon says what."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely

from geo.types import BoolArray, CodeArray, IntArray, ObjectArray
from geo.vector.area_of_interest import AreaOfInterest
from geo.vector.buildings import Footprints, read_footprints
from models.datasets.vocabulary import Vocabulary
from models.errors import LabelsInvalid
from models.evaluation.score_product import covering

NONE = 255
"""Code of a polygon that says nothing."""
LEAST, MOST = 3, 200
"""Labels that a model learns on from; above, train one."""

UNLABELLED = "without a label"
UNSAID = "said to be unknown"
UNREVIEWED = "made by a machine and not reviewed"
MISFIT = "on no building"
UNSEEN = "too small, or not seen before and after"
"""Why polygons are not learned from."""


@dataclass(frozen=True, eq=False)
class Labels:
    """Polygons, and what each says."""

    file: str
    """Its name, without the folder."""
    sha256: str
    column: str
    vocabulary: Vocabulary
    outlines: ObjectArray
    """(polygons,) lon-lat WGS 84, valid, each once; of the labels or of given buildings."""
    codes: CodeArray
    """(polygons,), a number of the vocabulary's names; `NONE` where it says nothing."""
    skipped: dict[str, int]
    """Polygons that say nothing, or whose word is not used, by the reason."""
    notes: tuple[str, ...]
    """What was left out or mended, as sentences."""

    @property
    def labelled(self) -> IntArray:
        """Which polygons say something, ascending."""
        return np.flatnonzero(self.codes != NONE)

    def counts(self, used: IntArray) -> dict[str, int]:
        """Return how many of some polygons say what."""
        each = Counter(self.codes[used].tolist())
        return {self.vocabulary.names[code]: each[code] for code in sorted(each)}

    def without(self, used: IntArray, reason: str) -> dict[str, int]:
        """Return why polygons are not learned from, once only some are used, for one reason."""
        lost = len(self.labelled) - len(used)
        return self.skipped | ({reason: lost} if lost else {})


def read_labels(path: Path, area: AreaOfInterest, vocabulary: Vocabulary) -> Labels:
    """Return the polygons of a file that meet an area, and what they say.

    Args:
        path: as `geo.vector.buildings.read_footprints` takes it; one layer.
        area: of the map.
        vocabulary: its columns and words.

    Raises:
        FootprintsInvalid: where it cannot be read as polygons, or none meets the area.
        LabelsInvalid: where there is no such file, column or word, or labels contradict each other.
    """
    require_file(path)
    polygons = read_footprints(path, area, once=False)
    column = _column(path, polygons.own, vocabulary)
    codes, skipped = _codes(path, polygons.own, column, vocabulary)
    names = [vocabulary.names[code] if code != NONE else None for code in codes]
    first = _once(path, polygons.geometries, names)
    return Labels(
        file=path.name,
        sha256=polygons.sha256,
        column=str(column),
        vocabulary=vocabulary,
        outlines=polygons.geometries[first],
        codes=codes[first],
        skipped=skipped,
        notes=(*polygons.notes, *_repeated(path, len(codes) - len(first))),
    )


def require_file(path: Path) -> None:
    """Check that there is a file of labels, before anything else is read.

    Raises:
        LabelsInvalid: where there is none.
    """
    if not path.is_file():
        raise LabelsInvalid(f"there is no file of labels at {path}; check the path")


def on_buildings(labels: Labels, buildings: Footprints) -> Labels:
    """Return what labels say of buildings, each of the one that covers most of it.

    Raises:
        LabelsInvalid: where no label lies on a building, or two on one contradict each other.
    """
    labelled = labels.labelled
    match = covering(_in_metres(labels.outlines[labelled]), _in_metres(buildings.geometries))
    there = match >= 0
    if len(labelled) and not there.any():
        raise LabelsInvalid(
            f"none of the {len(labelled)} labels of {labels.file} lies on one of the "
            f"{len(buildings.geometries)} buildings given; label their outlines, or leave "
            "out --buildings to take the labels' own"
        )
    codes = np.full(len(buildings.geometries), NONE, np.uint8)
    for label, building in zip(labelled[there], match[there], strict=True):
        code = labels.codes[label]
        if codes[building] not in (NONE, code):
            said = (labels.vocabulary.names[c] for c in (codes[building], code))
            raise _contradiction(labels.file, labels.outlines[label], *said)
        codes[building] = code
    lost = int((~there).sum())
    return Labels(
        file=labels.file,
        sha256=labels.sha256,
        column=labels.column,
        vocabulary=labels.vocabulary,
        outlines=buildings.geometries,
        codes=codes,
        skipped=labels.skipped | ({MISFIT: lost} if lost else {}),
        notes=(*labels.notes, *buildings.notes),
    )


def require_enough(labels: Labels, used: IntArray, skipped: dict[str, int]) -> None:
    """Check that something can be learned from polygons.

    Args:
        labels: of the file.
        used: which polygons would be learned from.
        skipped: why others are not.

    Raises:
        LabelsInvalid: where they are too few, too many, or say all the same.
    """
    left_out = ", ".join(f"{count} {reason}" for reason, count in skipped.items())
    but = f" ({left_out})" if left_out else ""
    if len(used) < LEAST:
        raise LabelsInvalid(
            f"{labels.file} has {len(used)} labels in {labels.column} that can be learned from"
            f"{but}; give at least {LEAST}"
        )
    if len(used) > MOST:
        raise LabelsInvalid(
            f"{labels.file} has {len(used)} labels in {labels.column}, and at most {MOST} are "
            "learned on from; leave the others empty, or train a model with aftermap train"
        )
    counts = labels.counts(used)
    if len(counts) < 2:
        raise LabelsInvalid(
            f"all {len(used)} labels of {labels.file} that can be learned from{but} say "
            f"{next(iter(counts))}; label others, too: what does not look like it"
        )


def _in_metres(outlines: ObjectArray) -> ObjectArray:
    """Return lon-lat outlines in a projection that keeps areas."""
    return np.asarray(gpd.GeoSeries(outlines, crs="EPSG:4326").to_crs("EPSG:6933").to_numpy())


def _column(path: Path, own: pd.DataFrame, vocabulary: Vocabulary) -> str:
    """Return the first column of the vocabulary that says anything, else the first there is."""
    there = {str(name).casefold(): name for name in own.columns}
    found = [there[name] for name in vocabulary.columns if name in there]
    if not found:
        raise LabelsInvalid(
            f"{path} has no column {' or '.join(vocabulary.columns)}, it has "
            f"{', '.join(map(str, own.columns)) or 'none'}; add one, and say in it what you see"
        )
    return next((name for name in found if own[name].notna().any()), found[0])


def _codes(
    path: Path, own: pd.DataFrame, column: str, vocabulary: Vocabulary
) -> tuple[CodeArray, dict[str, int]]:
    """Return the code of each row, and how many rows have none, by the reason."""
    machine = _unreviewed(own)
    codes = np.full(len(own), NONE, np.uint8)
    skipped: Counter[str] = Counter()
    unknown: list[str] = []
    for row, value in enumerate(own[column]):
        word = "" if pd.isna(value) else str(value).strip()
        if not word:
            skipped[UNLABELLED] += 1
            continue
        try:
            code = vocabulary.meaning(word)
        except KeyError:
            unknown.append(word)
            continue
        if code is None:
            skipped[UNSAID] += 1
        elif machine[row]:
            skipped[UNREVIEWED] += 1
        else:
            codes[row] = code
    if unknown:
        several = list(dict.fromkeys(unknown))
        more = f" and {len(several) - 3} other words" if len(several) > 3 else ""
        raise LabelsInvalid(
            f"{path} says {', '.join(map(repr, several[:3]))}{more} in {column}; the words are "
            f"{', '.join(vocabulary.words)}, or nothing"
        )
    return codes, dict(skipped)


def _unreviewed(own: pd.DataFrame) -> BoolArray:
    """Return which rows come from a product and were not reviewed: no label of anybody."""
    if not {"det_method", "status"} <= set(own.columns):
        return np.zeros(len(own), np.bool_)
    made = (own["det_method"] == "Automatic extraction") & (own["status"] != "reviewed")
    return made.to_numpy(np.bool_)


def _once(path: Path, outlines: ObjectArray, names: Sequence[str | None]) -> IntArray:
    """Return which polygons are kept of each outline: one with a label where there is one."""
    shapes = shapely.to_wkb(shapely.normalize(outlines))
    kept: dict[bytes, int] = {}
    for number, shape in enumerate(shapes):
        before = names[kept[shape]] if shape in kept else None
        said = names[number]
        if before is not None and said is not None and before != said:
            raise _contradiction(path.name, outlines[number], before, said)
        if shape not in kept or before is None:
            kept[shape] = number
    return np.sort(np.fromiter(kept.values(), np.int64))


def _contradiction(file: str, outline: shapely.Geometry, one: str, other: str) -> LabelsInvalid:
    middle = shapely.point_on_surface(outline)
    return LabelsInvalid(
        f"{file} says both {one} and {other} of one place, at longitude {middle.x:.5f}, latitude "
        f"{middle.y:.5f}; keep one"
    )


def _repeated(path: Path, count: int) -> tuple[str, ...]:
    if not count:
        return ()
    return (f"{count} polygons of {path.name} repeat others and were counted once",)
