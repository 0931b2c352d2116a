"""Footprints: imagery before and after, and a file of building outlines, as labelled tiles.

A folder holds `before/` and `after/` (or `pre/` and `post/`), each as `aftermap map` takes them,
and a file `buildings.*` that `geo.vector.buildings` reads, graded by a column of
`models.datasets.vocabulary.DAMAGE`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import shapely
from odc.geo.geobox import GeoBox

from geo.errors import GeoError
from geo.imagery.mosaic import SceneMosaic
from geo.raster.grid import GridChoice, lay_grid
from geo.scenes.discovery import scenes_of
from geo.scenes.scene import Phase, Scene, ordered
from geo.scenes.source import Preference, Source
from geo.types import CodeArray
from geo.vector.area_of_interest import AreaOfInterest, parse_area
from geo.vector.buildings import read_footprints
from models.cards.inputs import UNCLASSIFIED
from models.damage.alignment import PlacedBuildings, place, window_of
from models.damage.buildings import Buildings, Pair
from models.datasets.vocabulary import DAMAGE
from models.datasets.xbd import BANDS, DamageTile, DamageTiles, draw_polygons
from models.errors import DataInvalid
from models.inference.scene_inputs import CoverageOnly, SceneInput
from models.inference.windows import NoProgress

TILE_PX = 1024
"""Longest side of a tile, that of xBD's."""
Bounds = tuple[float, float, float, float]
_FOLDERS = {Phase.BEFORE: ("before", "pre"), Phase.AFTER: ("after", "post")}


def open_footprints(
    root: Path, *, resolution_m: float, bounds: Bounds | None = None, without_event: bool = False
) -> DamageTiles:
    """Align imagery and outlines, and return the ground that was observed before and after.

    The outlines are moved onto the image before, and the image after is read where it shows them,
    as for a map; see `models.damage.alignment`. Tiles are named by folder, first row and column.

    Args:
        bounds: west, south, east, north in degrees; the rest is left out.
        without_event: True takes the image before for the one after, too, with no damage.

    Raises:
        DataInvalid: where imagery or outlines are missing or cannot be read.
    """
    file = _buildings_file(root)
    try:
        before = scenes_of(Source(str(_folder(root, Phase.BEFORE))), Phase.BEFORE)
        after = before
        if not without_event:
            after = scenes_of(Source(str(_folder(root, Phase.AFTER))), Phase.AFTER)
        area = _area(before, after, bounds)
        footprints = read_footprints(file, area)
        geobox = lay_grid(area, before, GridChoice(resolution_m=resolution_m))
        given = Buildings.on(geobox, footprints.geometries)
        pair = _pair(before, after)
        placement = place(pair, geobox, given, checked=False, progress=NoProgress())
    except GeoError as error:
        raise DataInvalid(f"{root} cannot be read as labelled footprints: {error}") from error
    placed = PlacedBuildings.of(given, placement)
    codes = np.ones(len(given), np.uint8) if without_event else _codes(footprints.own, file)
    paths = {path for scene in (*before, *after) for path in scene.paths}
    edges = (
        np.linspace(0, side, -(-side // TILE_PX) + 1).round().astype(int).tolist()
        for side in (geobox.height, geobox.width)
    )
    rows, cols = ([slice(*ends) for ends in pairwise(each)] for each in edges)
    squares = [(row, col) for row in rows for col in cols]
    names = tuple(f"{root.name}_{row.start}_{col.start}" for row, col in squares)
    scene = _Scene(pair, geobox, placed, codes)
    return DamageTiles(
        names=names,
        groups=(root.name,) * len(names),
        files=(*sorted(paths), file),
        read=lambda index: scene.tile(names[index], root.name, squares[index]),
    )


@dataclass(frozen=True, eq=False)
class _Scene:
    pair: Pair
    geobox: GeoBox
    placed: PlacedBuildings
    codes: CodeArray
    """(buildings,): 1 to 4, 255 where not graded."""

    def tile(self, name: str, event: str, slices: tuple[slice, slice]) -> DamageTile:
        """Read a tile; a building belongs to the tile that its middle is in."""
        rows, cols = slices
        buildings = self.placed.buildings
        met = buildings.within(slices)
        off = np.median(self.placed.shifts[met], axis=0) if len(met) else np.zeros(2)
        try:
            before = self.pair.before.read(window_of(self.geobox, slices, (0.0, 0.0)))
            after = self.pair.after.read(window_of(self.geobox, slices, tuple(np.nan_to_num(off))))
        except GeoError as error:
            raise DataInvalid(f"{name} cannot be read: {error}") from error
        corner = np.array([cols.start, rows.start])
        outlines = shapely.transform(buildings.outlines[met], lambda points: points - corner)
        mask = draw_polygons(outlines, self.codes[met], before.valid.shape).astype(np.uint8)
        middles = buildings.middles[met] - corner[::-1]
        own = ((middles >= 0) & (middles < before.valid.shape)).all(axis=1)
        return DamageTile(
            name=name,
            event=event,
            before=before,
            after=replace(after, geobox=before.geobox),
            mask=mask,
            polygons=outlines[own],
            grades=self.codes[met][own],
        )


def _folder(root: Path, phase: Phase) -> Path:
    names = _FOLDERS[phase]
    found = next((root / name for name in names if (root / name).is_dir()), None)
    if found is None:
        raise DataInvalid(
            f"{root} has no folder {' nor '.join(names)}; put the imagery {phase} the event there"
        )
    return found


def _buildings_file(root: Path) -> Path:
    found = sorted(root.glob("buildings.*"))
    if len(found) != 1:
        raise DataInvalid(
            f"{root} holds {len(found)} files buildings.*; put one of outlines there, such as "
            "buildings.gpkg"
        )
    return found[0]


def _area(before: Sequence[Scene], after: Sequence[Scene], bounds: Bounds | None) -> AreaOfInterest:
    parts = [shapely.union_all([scene.footprint for scene in scenes]) for scenes in (before, after)]
    if bounds is not None:
        parts.append(parse_area(bounds).geometry)
    common = shapely.intersection_all(parts)
    if common.area == 0:
        raise DataInvalid(
            "the imagery before and after and the bounds share no ground; check that they are of "
            "the same place"
        )
    return parse_area(shapely.geometry.mapping(common))


def _pair(before: Sequence[Scene], after: Sequence[Scene]) -> Pair:
    mosaics = [SceneMosaic(ordered(each, Preference.NEWEST), BANDS) for each in (before, after)]
    readings = tuple(
        SceneInput(phase.value, phase, mosaic) for phase, mosaic in zip(Phase, mosaics, strict=True)
    )
    return Pair(mosaics[0], mosaics[1], CoverageOnly(readings, compares=True))


def _codes(own: pd.DataFrame, file: Path) -> CodeArray:
    """Return the grades that a column states; 255 for all where there is none."""
    column = next((name for name in DAMAGE.columns if name in own.columns), None)
    codes = np.full(len(own), UNCLASSIFIED, np.uint8)
    for row, word in enumerate([] if column is None else own[column]):
        try:
            grade = None if pd.isna(word) else DAMAGE.meaning(str(word))
        except KeyError as error:
            raise DataInvalid(
                f"{file} has {word!r} in {column}; the words are {', '.join(DAMAGE.words)}, or "
                "nothing"
            ) from error
        if grade is not None:
            codes[row] = grade + 1
    return codes
