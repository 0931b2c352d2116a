"""LabelledSet: images with labels, and nothing of how a source lays out its files."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from geo.raster import BoolArray, CodeArray, Raster
from geo.scene import Phase
from geo.sensors import SENSORS
from models.errors import InputsMismatch
from models.inputs import Inputs
from models.matching import Available, accepts
from models.slot import CardInput
from models.terms import InputPhase


@dataclass(frozen=True)
class ImageKind:
    """What the images of one name are, in every sample of a set."""

    phase: Phase
    sensor: str
    """Name in `geo.sensors.SENSORS`."""
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
    filled = {entry.slot: name for entry in slots if (name := _image_for(entry, kinds))}
    empty = [entry for entry in slots if entry.required and entry.slot not in filled]
    after = [entry for entry in slots if entry.phase is not InputPhase.BEFORE]
    if empty or not any(entry.slot in filled for entry in after):
        wanted = (empty or after)[0]
        there = [f"{name}: {kind.sensor} ({', '.join(kind.bands)})" for name, kind in kinds.items()]
        raise InputsMismatch(
            f"{model} wants {' or '.join(wanted.sensors)} with the bands "
            f"{', '.join(wanted.bands)} for {wanted.slot}; there is {'; '.join(there) or 'nothing'}"
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
