"""LabelledSet: images with labels, and nothing of how a source lays out its files.

Parts of a set: what is learned from, and what is left out to choose by.

Blocks: a fold that is squares of every sample, for a set of one or two large ones.

Files of labelled data: PNG, JPEG and GeoTIFF, with what is missing in them.
"""

import hashlib
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
import rasterio
from rasterio.errors import NotGeoreferencedWarning, RasterioIOError

from geo.scenes.scene import Phase
from geo.scenes.sensors import SENSORS
from geo.types import BoolArray, CodeArray, FloatArray, Raster
from models.cards.inputs import CardInput, InputPhase
from models.cards.suitability import Available, accepts
from models.errors import DataInvalid, InputsMismatch
from models.networks.tensors import Inputs


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
    """Neighbours share it: they are learned from together or left out together."""
    images: Mapping[str, Raster]
    """By the names of the set, such as "s1-before"; all on one grid."""
    target: BoolArray
    """(rows, cols); True where the label says flood, or water."""
    known: BoolArray
    """(rows, cols); True where there is a label: nothing is learned or scored elsewhere."""
    grades: CodeArray | None = None
    """(rows, cols); of buildings on the Joint Damage Scale: 0 none, 1 no damage, 2 minor, 3 major,
    4 destroyed, 255 not graded. None: the labels have no grades."""


class LabelledSet(Protocol):
    """Labelled places, in an order that never changes."""

    @property
    def kinds(self) -> Mapping[str, ImageKind]:
        """What its images are, by name."""
        ...

    @property
    def groups(self) -> tuple[str, ...]:
        """The group of each sample, without reading it."""
        ...

    @property
    def files(self) -> tuple[Path, ...]:
        """Every file that it reads, in order."""
        ...

    def __len__(self) -> int:
        """Return how many samples there are."""
        ...

    def __getitem__(self, index: int, /) -> Sample:
        """Read a sample.

        Raises:
            DataInvalid: where a file is missing, damaged or of another shape than its label.
        """
        ...


def fill_slots(
    slots: Sequence[CardInput], kinds: Mapping[str, ImageKind], *, model: str
) -> dict[str, str]:
    """Return, by slot of a model, the name of the images that fill it.

    A slot takes images of its phase and sensor that have its bands; one that sees any phase
    takes the image after the event. Slots that nothing fills are left out.

    Args:
        slots: of the model's card.
        kinds: the images of a set, by name.
        model: its name, for the message.

    Raises:
        InputsMismatch: where a required slot, or every slot after the event, stays empty.
    """
    filled = {entry.name: name for entry in slots if (name := _image_for(entry, kinds))}
    empty = [entry for entry in slots if entry.required and entry.name not in filled]
    after = [entry for entry in slots if entry.phase is not InputPhase.BEFORE]
    if empty or not any(entry.name in filled for entry in after):
        wanted = (empty or after)[0]
        there = [f"{name}: {kind.sensor} ({', '.join(kind.bands)})" for name, kind in kinds.items()]
        raise InputsMismatch(
            f"{model} wants {' or '.join(wanted.sensors)} with the bands "
            f"{', '.join(wanted.bands)} for {wanted.name}; there is {'; '.join(there) or 'nothing'}"
        )
    return filled


def inputs_of(sample: Sample, filled: Mapping[str, str]) -> Inputs:
    """Return the images of a sample by slot, as `fill_slots` says."""
    return {slot: sample.images[name] for slot, name in filled.items()}


def _image_for(entry: CardInput, kinds: Mapping[str, ImageKind]) -> str | None:
    for name, kind in kinds.items():
        dated_right = entry.phase is not InputPhase.EACH or kind.phase is Phase.AFTER
        backscatter = SENSORS[kind.sensor].backscatter
        offer = Available(kind.phase, kind.sensor, kind.bands, backscatter)
        if dated_right and accepts(entry, offer):
            return name
    return None


_MAGIC = {
    b"II*\0": "GTiff", b"MM\0*": "GTiff", b"II+\0": "GTiff", b"MM\0+": "GTiff",
    b"\x89PNG": "PNG", b"\xff\xd8\xff\xe0": "JPEG", b"\xff\xd8\xff\xe1": "JPEG",
    b"\xff\xd8\xff\xdb": "JPEG", b"\xff\xd8\xff\xee": "JPEG", b"\xff\xd8\xff\xe2": "JPEG",
}  # fmt: skip
"""Driver by the first four bytes. Nothing else is opened, whatever its ending: a VRT could name
any file of the machine as its pixels."""


@dataclass(frozen=True, eq=False)
class Pixels:
    """One file as it is stored."""

    values: FloatArray
    """(bands, rows, cols)."""
    valid: BoolArray
    """(rows, cols); False where the file's own mask, nodata or alpha says so."""


def read_pixels(path: Path) -> Pixels:
    """Read a file; an alpha band becomes validity.

    Raises:
        DataInvalid: where it is missing, no PNG, JPEG or GeoTIFF, or damaged.
    """
    driver = _driver(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            with rasterio.open(path, driver=driver) as dataset:
                alpha = [i for i in dataset.indexes if dataset.colorinterp[i - 1].name == "alpha"]
                bands = [i for i in dataset.indexes if i not in alpha]
                values = dataset.read(bands).astype(np.float32)
                valid = (dataset.read_masks(bands) > 0).all(axis=0)
    except RasterioIOError as error:
        raise DataInvalid(
            f"{path} cannot be read as a PNG, JPEG or GeoTIFF ({error}); fetch it again"
        ) from error
    return Pixels(values, valid & np.isfinite(values).all(axis=0))


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
    """Read the first band of a file of labels, (rows, cols).

    Raises:
        DataInvalid: see `read_pixels`.
    """
    codes: npt.NDArray[np.int16] = read_pixels(path).values[0].astype(np.int16)
    return codes


def read_mask(path: Path) -> BoolArray:
    """Read a mask of 0 and 255, or 0 and 1, as (rows, cols).

    Raises:
        DataInvalid: where it holds anything else, or cannot be read.
    """
    codes = read_codes(path)
    found = set(np.unique(codes).tolist())
    if not (found <= {0, 1} or found <= {0, 255}):
        listed = ", ".join(str(code) for code in sorted(found)[:6])
        raise DataInvalid(f"the mask {path} holds {listed}; a mask holds 0 and 255, or 0 and 1")
    return codes > 0


class OnDisk(Protocol):
    """A set of any kind that knows its files."""

    @property
    def files(self) -> tuple[Path, ...]:
        """Every file that it reads, in order."""
        ...


@dataclass(frozen=True)
class Part:
    """Some samples of a set."""

    whole: LabelledSet
    indices: tuple[int, ...]

    @property
    def kinds(self) -> Mapping[str, ImageKind]:
        """As in the whole."""
        return self.whole.kinds

    @property
    def groups(self) -> tuple[str, ...]:
        """The group of each sample."""
        groups = self.whole.groups
        return tuple(groups[index] for index in self.indices)

    @property
    def files(self) -> tuple[Path, ...]:
        """Those of the whole."""
        return self.whole.files

    def __len__(self) -> int:
        """Return how many samples there are."""
        return len(self.indices)

    def __getitem__(self, index: int, /) -> Sample:
        """Read a sample; see `LabelledSet`."""
        return self.whole[self.indices[index]]


@dataclass(frozen=True)
class Fold:
    """A set cut in two, no group in both."""

    learned_from: Part
    left_out: Part


def left_out(groups: Sequence[str], *, folds: int, number: int) -> tuple[int, ...]:
    """Return the indices of a fold: every k-th group, beginning with the given one.

    Taking groups at a distance leaves out some of every region of a set that is in order,
    and each group as a whole.

    Args:
        groups: of each sample.
        folds: how many there are.
        number: of the fold, from 0.

    Raises:
        DataInvalid: where there are fewer groups than folds, or no such fold.
    """
    names = sorted(set(groups))
    if not 0 <= number < folds or folds < 2:
        raise DataInvalid(f"there is no fold {number} of {folds}; name one from 0, of two or more")
    if len(names) < folds:
        raise DataInvalid(
            f"{len(names)} groups of neighbours do not make {folds} folds; ask for fewer"
        )
    chosen = set(names[number::folds])
    return tuple(index for index, group in enumerate(groups) if group in chosen)


def fold(whole: LabelledSet, *, folds: int, number: int) -> Fold:
    """Cut a set in two; see `left_out`."""
    out = left_out(whole.groups, folds=folds, number=number)
    rest = tuple(sorted(set(range(len(whole))) - set(out)))
    return Fold(Part(whole, rest), Part(whole, out))


def data_digest(*sets: OnDisk) -> str:
    """Return the sha256 of the names and bytes of the files of one or several sets, in order."""
    digest = hashlib.sha256()
    for path in (path for one in sets for path in one.files):
        digest.update(f"{path.name}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\0".encode())
    return digest.hexdigest()


@dataclass(frozen=True)
class Blocks:
    """The samples of a set, with labels on some of their squares only.

    The images stay whole: what surrounds a square is seen, and its labels are not.
    """

    whole: LabelledSet
    block_px: int
    folds: int
    number: int
    left_out: bool
    """Whether the labels are those of the fold, or all others."""

    @property
    def kinds(self) -> Mapping[str, ImageKind]:
        """As in the whole."""
        return self.whole.kinds

    @property
    def groups(self) -> tuple[str, ...]:
        """Those of the whole."""
        return self.whole.groups

    @property
    def files(self) -> tuple[Path, ...]:
        """Those of the whole."""
        return self.whole.files

    def __len__(self) -> int:
        """Return how many samples there are."""
        return len(self.whole)

    def __getitem__(self, index: int, /) -> Sample:
        """Read a sample; see `LabelledSet`."""
        sample = self.whole[index]
        inside = in_fold(sample.known.shape, self.block_px, folds=self.folds, number=self.number)
        return replace(sample, known=sample.known & (inside == self.left_out))


def in_fold(shape: tuple[int, int], block_px: int, *, folds: int, number: int) -> BoolArray:
    """Return which pixels belong to a fold, (rows, cols).

    The squares of a fold lie on diagonals: some in every row and in every column.

    Raises:
        DataInvalid: where a fold would hold no square, or there is no such fold.
    """
    if not 0 <= number < folds or folds < 2:
        raise DataInvalid(f"there is no fold {number} of {folds}; name one from 0, of two or more")
    rows, cols = (np.arange(side) // block_px for side in shape)
    if rows[-1] + cols[-1] + 1 < folds:
        raise DataInvalid(
            f"a tile of {shape[0]} by {shape[1]} px has too few squares of {block_px} px for "
            f"{folds} folds; make them smaller"
        )
    chosen: BoolArray = (rows[:, None] + cols) % folds == number
    return chosen


def fold_in_blocks(
    whole: LabelledSet, *, block_px: int, folds: int, number: int
) -> tuple[Blocks, Blocks]:
    """Return what is learned from and what is left out, each with the labels of its squares."""
    return (
        Blocks(whole, block_px, folds, number, left_out=False),
        Blocks(whole, block_px, folds, number, left_out=True),
    )
