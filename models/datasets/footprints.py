"""Outlines: imagery before and after as it comes, and a file of buildings, as tiles to learn from.

A folder holds `before/` and `after/` (or `pre/` and `post/`), each as `aftermap map` takes them,
and a file `buildings.` with outlines: GeoPackage, GeoJSON, Parquet or another that
`geo.vector.buildings` reads. A column of
`models.datasets.vocabulary.DAMAGE`, such as `damage_gra`, grades
them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Self

import numpy as np
import pandas as pd
import shapely
from odc.geo.geobox import GeoBox

from geo.errors import GeoError
from geo.imagery.mosaic import SceneMosaic, ordered
from geo.raster.grid import GridChoice, lay_grid
from geo.scenes.discovery import scenes_of
from geo.scenes.scene import Phase, Scene
from geo.scenes.source import Preference, Source
from geo.types import CodeArray, Float64Array
from geo.vector.area_of_interest import AreaOfInterest, parse_area
from geo.vector.buildings import read_footprints
from models.cards.inputs import UNCLASSIFIED
from models.damage.alignment import Placed, place, window_of
from models.damage.buildings import Buildings as OnGrid
from models.damage.buildings import Pair
from models.datasets.vocabulary import DAMAGE
from models.datasets.xbd import BANDS, DamageTile, drawn
from models.errors import DataInvalid
from models.inference.map_scenes import NoProgress
from models.inference.scene_inputs import CoverageOnly, SceneInput

TILE_PX = 1024
"""Longest side of a tile, that of xBD's."""
Bounds = tuple[float, float, float, float]
_FOLDERS = {Phase.BEFORE: ("before", "pre"), Phase.AFTER: ("after", "post")}


@dataclass(frozen=True, eq=False)
class Outlines:
    """Squares of the ground that was seen before and after, by row and column.

    The outlines are moved onto the image before, and the image after is read where it lies on
    that, both as the main job does; see `models.damage.alignment`.
    """

    root: Path
    pair: Pair
    geobox: GeoBox
    buildings: OnGrid
    """Where the image before shows them."""
    lying: Float64Array
    """(buildings, 2); how far (down, right), in pixels, the image after shows each from there."""
    codes: CodeArray
    """(buildings,): 1 to 4 as `models.datasets.xbd.GRADES`, 255 where not graded."""
    files: tuple[Path, ...]
    """Imagery and outlines, sorted."""

    @classmethod
    def open(
        cls, root: Path, *, resolution_m: float, bounds: Bounds | None = None, calm: bool = False
    ) -> Self:
        """Find imagery and outlines, and measure how they lie on each other.

        Args:
            root: see above.
            resolution_m: of the tiles.
            bounds: west, south, east, north in degrees; what lies beyond is left out, such as
                ground where the outlines are of another year than the image before.
            calm: nothing happened: the image before stands for the one after, and no building
                is damaged.

        Raises:
            DataInvalid: where imagery or outlines are missing or cannot be read.
        """
        file = _buildings_file(root)
        try:
            before = scenes_of(Source(str(_folder(root, Phase.BEFORE))), Phase.BEFORE)
            after = before
            if not calm:
                after = scenes_of(Source(str(_folder(root, Phase.AFTER))), Phase.AFTER)
            area = _area(before, after, bounds)
            footprints = read_footprints(file, area)
            geobox = lay_grid(area, before, GridChoice(resolution_m=resolution_m))
            given = OnGrid.on(geobox, footprints.geometries)
            pair = _pair(before, after)
            placement = place(pair, geobox, given, checked=False, progress=NoProgress())
        except GeoError as error:
            raise DataInvalid(f"{root} cannot be learned from: {error}") from error
        placed = Placed.of(given, placement)
        codes = np.ones(len(given), np.uint8) if calm else _codes(footprints.own, file)
        paths = {path for scene in (*before, *after) for path in scene.paths}
        return cls(root, pair, geobox, placed.there, placed.lying, codes, (*sorted(paths), file))

    @cached_property
    def _squares(self) -> tuple[tuple[slice, slice], ...]:
        rows, cols = (_cuts(side) for side in (self.geobox.height, self.geobox.width))
        return tuple((row, col) for row in rows for col in cols)

    @property
    def names(self) -> tuple[str, ...]:
        """Folder, first row and first column of each tile."""
        return tuple(f"{self.root.name}_{rows.start}_{cols.start}" for rows, cols in self._squares)

    @property
    def groups(self) -> tuple[str, ...]:
        """One event."""
        return (self.root.name,) * len(self)

    def __len__(self) -> int:
        """Return how many tiles there are."""
        return len(self._squares)

    def __getitem__(self, index: int, /) -> DamageTile:
        """Read a tile; a building belongs to the tile that its middle lies in.

        Raises:
            DataInvalid: where pixels cannot be decoded.
        """
        rows, cols = slices = self._squares[index]
        met = self.buildings.within(slices)
        off = np.median(self.lying[met], axis=0) if len(met) else np.zeros(2)
        try:
            before = self.pair.before.read(window_of(self.geobox, slices, (0.0, 0.0)))
            after = self.pair.after.read(window_of(self.geobox, slices, tuple(np.nan_to_num(off))))
        except GeoError as error:
            raise DataInvalid(f"{self.names[index]} cannot be read: {error}") from error
        corner = np.array([cols.start, rows.start])
        outlines = shapely.transform(self.buildings.outlines[met], lambda points: points - corner)
        mask = drawn(outlines, self.codes[met], before.valid.shape).astype(np.uint8)
        middles = self.buildings.middles[met] - corner[::-1]
        own = ((middles >= 0) & (middles < before.valid.shape)).all(axis=1)
        return DamageTile(
            name=self.names[index],
            event=self.root.name,
            before=before,
            after=replace(after, geobox=before.geobox),
            mask=mask,
            polygons=outlines[own],
            grades=self.codes[met][own],
        )


def _cuts(side: int) -> list[slice]:
    """Return a side cut into equal parts of at most `TILE_PX`."""
    edges = np.linspace(0, side, -(-side // TILE_PX) + 1).round().astype(int).tolist()
    return [slice(*pair) for pair in pairwise(edges)]


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
    """Return the ground that was seen before and after, within the bounds.

    Raises:
        DataInvalid: where there is none.
        AreaInvalid: where the bounds are none.
    """
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
    """Return the grades that a column states; 255 for all where there is none.

    Raises:
        DataInvalid: where it holds a word that is no grade.
    """
    column = next((name for name in DAMAGE.columns if name in own.columns), None)
    codes = np.full(len(own), UNCLASSIFIED, np.uint8)
    for row, word in enumerate([] if column is None else own[column]):
        try:
            grade = None if pd.isna(word) else DAMAGE.meaning(str(word))
        except KeyError as error:
            raise DataInvalid(
                f"{file} has {word!r} in {column}; it may hold {', '.join(DAMAGE.words)}, or "
                "nothing"
            ) from error
        if grade is not None:
            codes[row] = grade + 1
    return codes
