"""LabelledSet: images with labels of any source, read and split for training and validation."""

import hashlib
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt
import rasterio
from rasterio.errors import NotGeoreferencedWarning, RasterioIOError

from geo.scenes.scene import Phase
from geo.scenes.sensors import SENSORS
from geo.types import BoolArray, CodeArray, FloatArray, Raster
from models.cards.inputs import BandStatistics, CardInput, InputPhase
from models.cards.suitability import Available, accepts
from models.errors import DataInvalid, InputsMismatch
from models.networks.tensors import Inputs, select


@dataclass(frozen=True)
class ImageKind:
    """What the images of one name are, in every sample of a set."""

    phase: Phase
    sensor: str
    """Name in `geo.scenes.sensors.SENSORS`."""
    bands: tuple[str, ...]
    """Common names, in the order of the pixels."""


@dataclass(frozen=True, eq=False)
class Sample:
    """One labelled place."""

    name: str
    group: str
    """Neighbours share it: they are in the same fold."""
    images: Mapping[str, Raster]
    """By the names of the set, such as "s1-before"; all on one grid."""
    target: BoolArray
    """(rows, cols); True where the label is flood, or water."""
    known: BoolArray
    """(rows, cols); True where there is a label: other pixels are neither trained on nor scored."""
    grades: CodeArray | None = None
    """(rows, cols): 0 none, 1 to 4 on the Joint Damage Scale, 255 not graded; or no grades."""


Item_co = TypeVar("Item_co", covariant=True)


@dataclass(frozen=True, kw_only=True)
class FileSet(Generic[Item_co]):
    """Labelled places that are read from files, in an order that never changes."""

    groups: tuple[str, ...]
    """The group of each place: neighbours share it, and are in the same fold."""
    files: tuple[Path, ...]
    """Every file that is read, in order."""
    read: Callable[[int], Item_co]

    def __len__(self) -> int:
        return len(self.groups)

    def __getitem__(self, index: int, /) -> Item_co:
        """Read a place; raise DataInvalid where a file is missing, damaged or of another shape."""
        if not 0 <= index < len(self):
            raise IndexError(index)
        return self.read(index)


@dataclass(frozen=True, kw_only=True)
class LabelledSet(FileSet[Sample]):
    """Images with labels."""

    kinds: Mapping[str, ImageKind]
    """What its images are, by name."""


def fill_inputs(
    inputs: Sequence[CardInput], kinds: Mapping[str, ImageKind], *, model: str
) -> dict[str, str]:
    """Return, by input of a model, the name of the images of its phase, sensor and bands.

    An input of any phase takes the image after the event. Inputs that nothing fills are left out.

    Raises:
        InputsMismatch: where a required input, or every input after the event, stays empty.
    """
    filled = {entry.name: name for entry in inputs if (name := _image_for(entry, kinds))}
    empty = [entry for entry in inputs if entry.required and entry.name not in filled]
    after = [entry for entry in inputs if entry.phase is not InputPhase.BEFORE]
    if empty or not any(entry.name in filled for entry in after):
        wanted = (empty or after)[0]
        there = [f"{name}: {kind.sensor} ({', '.join(kind.bands)})" for name, kind in kinds.items()]
        raise InputsMismatch(
            f"{model} wants {' or '.join(wanted.sensors)} with the bands "
            f"{', '.join(wanted.bands)} for {wanted.name}; there is {'; '.join(there) or 'nothing'}"
        )
    return filled


def inputs_of(sample: Sample, filled: Mapping[str, str]) -> Inputs:
    """Return the images of a sample by input, see `fill_inputs`."""
    return {entry: sample.images[name] for entry, name in filled.items()}


def _image_for(entry: CardInput, kinds: Mapping[str, ImageKind]) -> str | None:
    for name, kind in kinds.items():
        dated_right = entry.phase is not InputPhase.EACH or kind.phase is Phase.AFTER
        backscatter = SENSORS[kind.sensor].backscatter
        offer = Available(kind.phase, kind.sensor, kind.bands, backscatter)
        if dated_right and accepts(entry, offer):
            return name
    return None


STATISTICS_SAMPLES = 200
"""Samples, spread over a set, that the statistics are taken from."""
_EVERY = 7
"""Of their pixels, one in so many: no divisor of a tile's width, so no column is favoured."""


def band_statistics(
    inputs: Sequence[CardInput], labelled: LabelledSet, *, model: str
) -> dict[str, tuple[BandStatistics, ...]]:
    """Return the statistics of each band, by input, in physical units."""
    filled = fill_inputs(inputs, labelled.kinds, model=model)
    count = min(len(labelled), STATISTICS_SAMPLES)
    spread = np.linspace(0, len(labelled) - 1, count).round().astype(int)
    kept: dict[str, list[FloatArray]] = {name: [] for name in filled}
    for sample in (labelled[int(index)] for index in spread):
        for entry in inputs:
            if entry.name in filled:
                raster = sample.images[filled[entry.name]]
                kept[entry.name].append(select(entry, raster)[:, raster.valid][:, ::_EVERY])
    return {
        name: tuple(_statistics(row, name=name) for row in np.concatenate(parts, axis=1))
        for name, parts in kept.items()
    }


def _statistics(values: FloatArray, *, name: str) -> BandStatistics:
    if not values.size:
        raise DataInvalid(f"not one pixel of the images for {name} is valid; check their nodata")
    low, middle, high = (float(value) for value in np.percentile(values, (1, 50, 99)))
    return BandStatistics(
        mean=float(values.mean()),
        std=float(values.std()) or 1.0,
        percentiles=(low, middle, high),
    )


def data_digest(*sets: FileSet[Any]) -> str:
    """Return the sha256 of the names and bytes of the files of one or several sets, in order."""
    digest = hashlib.sha256()
    for path in (path for one in sets for path in one.files):
        digest.update(f"{path.name}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\0".encode())
    return digest.hexdigest()


def fold_indices(groups: Sequence[str], *, folds: int, number: int) -> tuple[int, ...]:
    """Return the indices of a fold, every k-th group: some of every region of an ordered set.

    Raises:
        DataInvalid: where there are fewer groups than folds, or no such fold.
    """
    _require_fold(folds, number)
    names = sorted(set(groups))
    if len(names) < folds:
        raise DataInvalid(
            f"{len(names)} groups of neighbours do not make {folds} folds; ask for fewer"
        )
    chosen = set(names[number::folds])
    return tuple(index for index, group in enumerate(groups) if group in chosen)


def split_fold(whole: LabelledSet, *, folds: int, number: int) -> tuple[LabelledSet, LabelledSet]:
    """Return the samples for training and those of the held-out fold."""
    fold = fold_indices(whole.groups, folds=folds, number=number)
    return _subset(whole, sorted(set(range(len(whole))) - set(fold))), _subset(whole, fold)


def _subset(whole: LabelledSet, indices: Sequence[int]) -> LabelledSet:
    groups = tuple(whole.groups[index] for index in indices)
    return replace(whole, groups=groups, read=lambda index: whole[indices[index]])


def split_blocks(
    whole: LabelledSet, *, block_px: int, folds: int, number: int
) -> tuple[LabelledSet, LabelledSet]:
    """Return a set with labels on some squares of every sample, and one with those held out.

    For a set of one or two large samples; the images stay whole.
    """

    def part(index: int, *, in_fold: bool) -> Sample:
        sample = whole[index]
        inside = block_fold(sample.known.shape, block_px, folds=folds, number=number)
        return replace(sample, known=sample.known & (inside == in_fold))

    return (
        replace(whole, read=lambda index: part(index, in_fold=False)),
        replace(whole, read=lambda index: part(index, in_fold=True)),
    )


def block_fold(shape: tuple[int, int], block_px: int, *, folds: int, number: int) -> BoolArray:
    """Return which pixels belong to a fold, (rows, cols); its squares lie on diagonals.

    Raises:
        DataInvalid: where a fold would hold no square, or there is no such fold.
    """
    _require_fold(folds, number)
    rows, cols = (np.arange(side) // block_px for side in shape)
    if rows[-1] + cols[-1] + 1 < folds:
        raise DataInvalid(
            f"a tile of {shape[0]} by {shape[1]} px has too few squares of {block_px} px for "
            f"{folds} folds; make them smaller"
        )
    chosen: BoolArray = (rows[:, None] + cols) % folds == number
    return chosen


def _require_fold(folds: int, number: int) -> None:
    if not 0 <= number < folds or folds < 2:
        raise DataInvalid(f"there is no fold {number} of {folds}; name one from 0, of two or more")


_MAGIC = {
    b"II*\0": "GTiff", b"MM\0*": "GTiff", b"II+\0": "GTiff", b"MM\0+": "GTiff",
    b"\x89PNG": "PNG", b"\xff\xd8\xff\xe0": "JPEG", b"\xff\xd8\xff\xe1": "JPEG",
    b"\xff\xd8\xff\xdb": "JPEG", b"\xff\xd8\xff\xee": "JPEG", b"\xff\xd8\xff\xe2": "JPEG",
}  # fmt: skip
"""Driver by the first four bytes; nothing else is opened: a VRT could name any file as pixels."""


@dataclass(frozen=True, eq=False)
class Pixels:
    """One file as it is stored."""

    values: FloatArray
    """(bands, rows, cols)."""
    valid: BoolArray
    """(rows, cols); False by the file's own mask, nodata or alpha."""


def read_pixels(path: Path, *, bands: tuple[str, ...] | None = None) -> Pixels:
    """Read a file; an alpha band becomes validity.

    Raises:
        DataInvalid: where it is missing, no PNG, JPEG or GeoTIFF, damaged, or has other bands.
    """
    driver = _driver(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            with rasterio.open(path, driver=driver) as dataset:
                alpha = [i for i in dataset.indexes if dataset.colorinterp[i - 1].name == "alpha"]
                image = [i for i in dataset.indexes if i not in alpha]
                values = dataset.read(image).astype(np.float32)
                valid = (dataset.read_masks(image) > 0).all(axis=0)
    except RasterioIOError as error:
        raise DataInvalid(
            f"{path} cannot be read as a PNG, JPEG or GeoTIFF ({error}); fetch it again"
        ) from error
    if bands is not None and len(values) != len(bands):
        raise DataInvalid(
            f"{path} has {len(values)} bands, {len(bands)} are expected ({', '.join(bands)}); "
            "check the file, or name its bands in their order"
        )
    return Pixels(values, valid & np.isfinite(values).all(axis=0))


def require_one_shape(shapes: Mapping[Path, tuple[int, ...]]) -> None:
    """Raise DataInvalid unless the files of a sample have the same rows and columns."""
    first, *others = shapes.items()
    for path, shape in others:
        if shape != first[1]:
            raise DataInvalid(
                f"{path} has {shape[0]} by {shape[1]} pixels, {first[0]} has {first[1][0]} by "
                f"{first[1][1]}; bring both to one grid"
            )


def _driver(path: Path) -> str:
    try:
        with path.open("rb") as file:
            magic = file.read(4)
    except OSError as error:
        raise DataInvalid(f"{path} cannot be read: {error.strerror}") from error
    if magic not in _MAGIC:
        raise DataInvalid(f"{path} is no PNG, JPEG or GeoTIFF; convert it to one of them")
    return _MAGIC[magic]


def read_codes(path: Path) -> npt.NDArray[np.int16]:
    """Read the first band of a file of labels, (rows, cols)."""
    codes: npt.NDArray[np.int16] = read_pixels(path).values[0].astype(np.int16)
    return codes


def read_mask(path: Path) -> BoolArray:
    """Read a mask of 0 and 255, or 0 and 1, as (rows, cols); raise DataInvalid for another."""
    codes = read_codes(path)
    found = set(np.unique(codes).tolist())
    if not (found <= {0, 1} or found <= {0, 255}):
        listed = ", ".join(str(code) for code in sorted(found)[:6])
        raise DataInvalid(f"the mask {path} holds {listed}; a mask holds 0 and 255, or 0 and 1")
    return codes > 0
