"""xBD: pairs of very-high-resolution images before and after disasters, with graded buildings.

Gupta et al. 2019, arXiv:1911.09296. A folder as distributed holds `images/`, `labels/` and, in
most of its releases, `targets/`, or one such folder a split (`train`, `tier3`, `test`, `hold`);
the flat form has all files side by side. A tile is EVENT_NUMBER_post_disaster and what belongs
to it.

Buildings: graded tiles as samples whose pixels are a building or not, and graded.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import shapely
from rasterio.features import rasterize

from geo.scenes.scene import Phase
from geo.types import CodeArray, FloatArray, Int32Array, ObjectArray, Raster
from models.cards.inputs import UNCLASSIFIED
from models.damage.grades import GRADES
from models.datasets.base import ImageKind, Sample, read_codes, read_pixels
from models.errors import DataInvalid
from models.networks.tensors import raster_without_location

CODE_OF = {name: code for code, name in enumerate(GRADES, 1)} | {"un-classified": UNCLASSIFIED}
PIXEL_M = 0.5
"""Nominal: the files as distributed lie nowhere on the Earth, and are 0.3 to 0.8 m by sensor."""
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
        """Pixels before and after, (3, rows, cols) each, NaN where not seen."""
        return self.before.pixels, self.after.pixels

    @property
    def buildings(self) -> Int32Array:
        """(rows, cols): 0 none, k the k-th building; a pixel is of the one that has its centre."""
        return drawn(self.polygons, np.arange(1, len(self.polygons) + 1), self.mask.shape)


class GradedTiles(Protocol):
    """Tiles in an order that never changes."""

    @property
    def names(self) -> tuple[str, ...]:
        """The name of each tile, without reading it."""
        ...

    @property
    def groups(self) -> tuple[str, ...]:
        """The event of each tile, without reading it; see `models.datasets.base.left_out`."""
        ...

    @property
    def files(self) -> tuple[Path, ...]:
        """Every file that is read, in order; see `models.datasets.base.data_digest`."""
        ...

    def __len__(self) -> int:
        """Return how many tiles there are."""
        ...

    def __getitem__(self, index: int, /) -> DamageTile:
        """Read a tile.

        Raises:
            DataInvalid: where it cannot be read.
        """
        ...


@dataclass(frozen=True)
class _Place:
    """Where the files of a tile lie."""

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
        """The folder of the split, or of the flat form."""
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


@dataclass(frozen=True)
class Xbd:
    """Tiles of xBD, sorted by name."""

    places: tuple[_Place, ...]

    @classmethod
    def open(cls, root: Path, split: str = ALL) -> "Xbd":
        """Find the tiles of a split.

        Args:
            root: a folder in either form, or one that holds such folders.
            split: "all", a folder under the root, an event, or a tile by its name or number.

        Raises:
            DataInvalid: where there is no tile, or no such split.
        """
        if not root.is_dir():
            raise DataInvalid(f"there is no folder {root}; give the folder of the xbd data")
        every = [place for folder in (root, *_subfolders(root)) for place in _places(folder)]
        if not every:
            raise DataInvalid(
                f"{root} holds no *{_POST}.json, in labels/ or beside its images; give the folder "
                "of xBD as distributed"
            )
        chosen = [p for p in every if split in (ALL, p.split, p.event, p.name, p.number)]
        if not chosen:
            raise DataInvalid(
                f"xbd has the splits {ALL}, {_some([p.split for p in every])}, the events "
                f"{_some([p.event for p in every])} and the tiles {_some([p.name for p in every])}"
                f", not {split!r}"
            )
        return cls(tuple(sorted(chosen, key=lambda place: (place.name, place.split))))

    @property
    def names(self) -> tuple[str, ...]:
        """EVENT_NUMBER of each tile, without reading it."""
        return tuple(place.name for place in self.places)

    @property
    def groups(self) -> tuple[str, ...]:
        """The event of each tile, without reading it; see `models.datasets.base.left_out`."""
        return tuple(place.event for place in self.places)

    @property
    def files(self) -> tuple[Path, ...]:
        """Every file that is read, in order; see `models.datasets.base.data_digest`."""
        return tuple(
            path
            for place in self.places
            for path in (place.image("pre"), place.image("post"), place.label, place.target)
            if path is not None
        )

    def __len__(self) -> int:
        """Return how many tiles there are."""
        return len(self.places)

    def __getitem__(self, index: int, /) -> DamageTile:
        """Read a tile.

        Raises:
            DataInvalid: where a file is missing, damaged or of another shape than the others.
        """
        place = self.places[index]
        before, after = (_read_image(place.image(when)) for when in ("pre", "post"))
        polygons, grades = _read_labels(place.label)
        mask = _mask(place, polygons, grades, after.valid.shape)
        for path, shape in ((place.image("pre"), before.valid.shape), (place.target, mask.shape)):
            if shape != after.valid.shape:
                raise DataInvalid(
                    f"{path} is {shape}, {place.image('post')} is {after.valid.shape} rows and "
                    "columns; fetch the pair again"
                )
        return DamageTile(place.name, place.event, before, after, mask, polygons, grades)


def drawn(
    polygons: ObjectArray, values: npt.NDArray[np.integer], shape: tuple[int, ...]
) -> Int32Array:
    """Return polygons in pixel coordinates as an image, later ones on top, 0 where there is none.

    Args:
        polygons: (n,).
        values: (n,), what each is drawn with.
        shape: rows, cols.
    """
    pairs = [(polygon, int(value)) for polygon, value in zip(polygons, values, strict=True)]
    if not pairs:
        return np.zeros(shape, np.int32)
    image: Int32Array = rasterize(pairs, out_shape=shape, dtype="int32")
    return image


def _subfolders(root: Path) -> list[Path]:
    return [path for path in sorted(root.iterdir()) if path.is_dir()]


def _places(folder: Path) -> list[_Place]:
    """Return the tiles of one folder in either form."""
    deep = (folder / "labels").is_dir()
    images, labels, targets = (
        folder / name if deep else folder for name in ("images", "labels", "targets")
    )
    if folder.name in {"images", "labels", "targets"}:
        return []
    names = [path.stem.removesuffix(_POST) for path in labels.glob(f"*{_POST}.json")]
    return [_Place(images, labels, targets, n) for n in names if re.search(r"._\d+$", n)]


def _some(names: Sequence[str]) -> str:
    """Return names for a message, the first few of many."""
    several = sorted(set(names))
    more = f" and {len(several) - 4} more" if len(several) > 4 else ""
    return f"{', '.join(several[:4])}{more}"


def _read_image(path: Path) -> Raster:
    stored = read_pixels(path)
    if len(stored.values) != len(BANDS):
        raise DataInvalid(f"{path} has {len(stored.values)} bands, xbd has red, green and blue")
    # What the satellite did not cover is black in all three.
    seen = stored.valid & (stored.values > 0).any(axis=0)
    return raster_without_location(
        stored.values, valid=seen, bands=BANDS, source=path.stem, pixel_m=PIXEL_M
    )


def _read_labels(path: Path) -> tuple[ObjectArray, CodeArray]:
    """Return the polygons of a label in pixels, and their grades."""
    try:
        rows = json.loads(path.read_text("utf-8"))["features"]["xy"]
        texts = [row["wkt"] for row in rows]
        grades = [_grade(row["properties"], path) for row in rows]
        polygons = np.array([shapely.from_wkt(text) for text in texts], dtype=object)
    except (OSError, ValueError, KeyError, TypeError, shapely.errors.GEOSException) as error:
        raise DataInvalid(
            f"the label {path} cannot be read as that of xbd, features.xy with wkt and subtype: "
            f"{type(error).__name__} {error}; fetch it again"
        ) from error
    return polygons, np.array(grades, np.uint8)


def _grade(properties: Any, path: Path) -> int:
    name = properties["subtype"]
    if name not in CODE_OF:
        raise DataInvalid(
            f"{path} grades a building {name!r}; the grades of xbd are {', '.join(CODE_OF)}"
        )
    return CODE_OF[name]


def _mask(
    place: _Place,
    polygons: ObjectArray,
    grades: CodeArray,
    shape: tuple[int, ...],
) -> CodeArray:
    """Return the mask as distributed; without one, the polygons drawn, which is the same."""
    if place.target is None:
        return drawn(polygons, grades, shape).astype(np.uint8)
    codes = read_codes(place.target)
    unknown = sorted(set(np.unique(codes).tolist()) - {0, *CODE_OF.values()})
    if unknown:
        raise DataInvalid(
            f"the mask {place.target} holds {', '.join(map(str, unknown))}; one of xbd holds 0 to "
            f"{len(GRADES)} and {UNCLASSIFIED}"
        )
    return codes.astype(np.uint8)


SENSOR = "vhr-rgb"


@dataclass(frozen=True)
class Buildings:
    """What `models.datasets.base.LabelledSet` asks for, of the pixels of graded tiles.

    The outlines are those of the image before: a building that is gone is one still.
    """

    tiles: GradedTiles

    @property
    def kinds(self) -> Mapping[str, ImageKind]:
        """Two images."""
        return {
            phase.value: ImageKind(phase, SENSOR, BANDS) for phase in (Phase.BEFORE, Phase.AFTER)
        }

    @property
    def groups(self) -> tuple[str, ...]:
        """The event of each tile."""
        return self.tiles.groups

    @property
    def files(self) -> tuple[Path, ...]:
        """Images and labels."""
        return self.tiles.files

    def __len__(self) -> int:
        """Return how many tiles there are."""
        return len(self.tiles)

    def __getitem__(self, index: int, /) -> Sample:
        """Read a tile; see `LabelledSet`."""
        tile = self.tiles[index]
        images = {Phase.BEFORE.value: tile.before, Phase.AFTER.value: tile.after}
        built = tile.mask > 0
        return Sample(tile.name, tile.event, images, built, np.ones_like(built), tile.mask)
