"""xBD: pairs of very-high-resolution images before and after disasters, with graded buildings.

Gupta et al. 2019, arXiv:1911.09296. A folder as distributed holds `images/`, `labels/` and mostly
`targets/`, or one such folder a split; the flat form has all files side by side. A tile is
EVENT_NUMBER_post_disaster and what belongs to it.
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import shapely
from rasterio.features import rasterize

from geo.scenes.scene import Phase
from geo.types import CodeArray, FloatArray, Int32Array, ObjectArray, Raster
from models.cards.inputs import UNCLASSIFIED
from models.damage.grader import GRADES
from models.datasets.base import (
    FileSet,
    ImageKind,
    LabelledSet,
    Sample,
    read_codes,
    read_pixels,
    require_one_shape,
)
from models.errors import DataInvalid
from models.networks.tensors import raster_without_location

CODE_OF = {name: code for code, name in enumerate(GRADES, 1)} | {"un-classified": UNCLASSIFIED}
PIXEL_M = 0.5
"""Nominal: the files as distributed are not georeferenced, and are 0.3 to 0.8 m by sensor."""
BANDS = ("red", "green", "blue")
ALL = "all"
_POST = "_post_disaster"
_IMAGES = (".png", ".tif")


@dataclass(frozen=True, eq=False)
class DamageTile:
    """One place before and after a disaster, and the grade of each of its buildings."""

    name: str
    """EVENT_NUMBER."""
    event: str
    before: Raster
    """Red, green and blue; brightness 0 to 255."""
    after: Raster
    mask: CodeArray
    """(rows, cols): 0 background, 1 to 4 as `GRADES`, 255 un-classified."""
    polygons: ObjectArray
    """(buildings,) shapely polygons; columns and rows of pixels, from the upper left corner."""
    grades: CodeArray
    """(buildings,): 1 to 4 as `GRADES`, 255 un-classified."""

    @property
    def images(self) -> tuple[FloatArray, FloatArray]:
        """Pixels before and after, (3, rows, cols) each, NaN where not observed."""
        return self.before.pixels, self.after.pixels

    @property
    def buildings(self) -> Int32Array:
        """(rows, cols): 0 none, k the k-th building; a pixel is of the one that has its centre."""
        return draw_polygons(self.polygons, np.arange(1, len(self.polygons) + 1), self.mask.shape)


@dataclass(frozen=True, kw_only=True)
class DamageTiles(FileSet[DamageTile]):
    """Tiles of graded buildings; the group of a tile is its event."""

    names: tuple[str, ...]


@dataclass(frozen=True)
class _TilePaths:
    images: Path
    labels: Path
    targets: Path
    name: str

    @property
    def event(self) -> str:
        return self.name.rpartition("_")[0]

    @property
    def number(self) -> str:
        return self.name.rpartition("_")[2]

    @property
    def split(self) -> str:
        return (self.labels.parent if self.labels.name == "labels" else self.labels).name

    @property
    def label(self) -> Path:
        return self.labels / f"{self.name}{_POST}.json"

    def image(self, when: str) -> Path:
        paths = [self.images / f"{self.name}_{when}_disaster{ending}" for ending in _IMAGES]
        found = [path for path in paths if path.is_file()]
        if not found:
            raise DataInvalid(
                f"{self.label} has no image {self.name}_{when}_disaster.png or .tif in "
                f"{self.images}; fetch the pair again"
            )
        return found[0]

    @property
    def target(self) -> Path | None:
        """The mask; a release without `targets/` has none."""
        paths = [self.targets / f"{self.name}{_POST}_target{ending}" for ending in _IMAGES]
        return next((path for path in paths if path.is_file()), None)

    @property
    def paths(self) -> tuple[Path, ...]:
        first = (self.image("pre"), self.image("post"), self.label)
        return first if self.target is None else (*first, self.target)


def open_xbd(root: Path, split: str = ALL) -> DamageTiles:
    """Return the tiles of a split, sorted by name.

    Args:
        root: a folder in either form, or one that holds such folders.
        split: "all", a folder under the root, an event, or a tile by its name or number.

    Raises:
        DataInvalid: where there is no tile, or no such split.
    """
    if not root.is_dir():
        raise DataInvalid(f"there is no folder {root}; give the folder of the xbd data")
    folders = (root, *(path for path in sorted(root.iterdir()) if path.is_dir()))
    every = [tile for folder in folders for tile in _tiles(folder)]
    if not every:
        raise DataInvalid(
            f"{root} holds no *{_POST}.json, in labels/ or beside its images; give the folder "
            "of xBD as distributed"
        )
    chosen = [t for t in every if split in (ALL, t.split, t.event, t.name, t.number)]
    if not chosen:
        there = sorted({part for t in every for part in (t.split, t.event)})
        raise DataInvalid(
            f"xbd has the splits and events {ALL}, {', '.join(there)} and tiles such as "
            f"{every[0].name}, not {split!r}"
        )
    tiles = sorted(chosen, key=lambda tile: (tile.name, tile.split))
    return DamageTiles(
        names=tuple(tile.name for tile in tiles),
        groups=tuple(tile.event for tile in tiles),
        files=tuple(path for tile in tiles for path in tile.paths),
        read=lambda index: _read(tiles[index]),
    )


def _read(paths: _TilePaths) -> DamageTile:
    before, after = (_read_image(paths.image(when)) for when in ("pre", "post"))
    polygons, grades = _read_labels(paths.label)
    mask = _mask(paths, polygons, grades, after.valid.shape)
    shapes = {paths.image("post"): after.valid.shape, paths.image("pre"): before.valid.shape}
    require_one_shape(shapes | ({} if paths.target is None else {paths.target: mask.shape}))
    return DamageTile(paths.name, paths.event, before, after, mask, polygons, grades)


def draw_polygons(
    polygons: ObjectArray, values: npt.NDArray[np.integer], shape: tuple[int, ...]
) -> Int32Array:
    """Return polygons in pixel coordinates as an image, later ones on top, 0 where none is."""
    pairs = [(polygon, int(value)) for polygon, value in zip(polygons, values, strict=True)]
    if not pairs:
        return np.zeros(shape, np.int32)
    image: Int32Array = rasterize(pairs, out_shape=shape, dtype="int32")
    return image


def _tiles(folder: Path) -> list[_TilePaths]:
    deep = (folder / "labels").is_dir()
    images, labels, targets = (
        folder / name if deep else folder for name in ("images", "labels", "targets")
    )
    if folder.name in {"images", "labels", "targets"}:
        return []
    names = [path.stem.removesuffix(_POST) for path in labels.glob(f"*{_POST}.json")]
    return [_TilePaths(images, labels, targets, n) for n in names if re.search(r"._\d+$", n)]


def _read_image(path: Path) -> Raster:
    stored = read_pixels(path, bands=BANDS)
    # Pixels without observation are black in all three bands.
    observed = stored.valid & (stored.values > 0).any(axis=0)
    return raster_without_location(
        stored.values, valid=observed, bands=BANDS, source=path.stem, pixel_m=PIXEL_M
    )


def _read_labels(path: Path) -> tuple[ObjectArray, CodeArray]:
    try:
        rows = json.loads(path.read_text("utf-8"))["features"]["xy"]
        names = [row["properties"]["subtype"] for row in rows]
        polygons = np.array([shapely.from_wkt(row["wkt"]) for row in rows], dtype=object)
    except (OSError, ValueError, KeyError, TypeError, shapely.errors.GEOSException) as error:
        raise DataInvalid(
            f"the label {path} cannot be read as that of xbd, features.xy with wkt and subtype: "
            f"{type(error).__name__} {error}; fetch it again"
        ) from error
    unknown = [name for name in names if name not in CODE_OF]
    if unknown:
        raise DataInvalid(
            f"{path} grades a building {unknown[0]!r}; the grades of xbd are {', '.join(CODE_OF)}"
        )
    return polygons, np.array([CODE_OF[name] for name in names], np.uint8)


def _mask(
    paths: _TilePaths,
    polygons: ObjectArray,
    grades: CodeArray,
    shape: tuple[int, ...],
) -> CodeArray:
    """Return the mask as distributed; without one, the polygons drawn, which is the same."""
    if paths.target is None:
        return draw_polygons(polygons, grades, shape).astype(np.uint8)
    codes = read_codes(paths.target)
    unknown = sorted(set(np.unique(codes).tolist()) - {0, *CODE_OF.values()})
    if unknown:
        raise DataInvalid(
            f"the mask {paths.target} holds {', '.join(map(str, unknown))}; one of xbd holds 0 to "
            f"{len(GRADES)} and {UNCLASSIFIED}"
        )
    return codes.astype(np.uint8)


SENSOR = "vhr-rgb"


def building_pixels(tiles: DamageTiles) -> LabelledSet:
    """Return graded tiles as samples whose pixels are a building or not, and graded.

    The outlines are those of the image before: a building that is gone is one still.
    """

    def read(index: int) -> Sample:
        tile = tiles[index]
        images = {Phase.BEFORE.value: tile.before, Phase.AFTER.value: tile.after}
        built = tile.mask > 0
        return Sample(tile.name, tile.event, images, built, np.ones_like(built), tile.mask)

    kinds = {phase.value: ImageKind(phase, SENSOR, BANDS) for phase in (Phase.BEFORE, Phase.AFTER)}
    return LabelledSet(kinds=kinds, groups=tiles.groups, files=tiles.files, read=read)
