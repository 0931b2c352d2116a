"""The shelf: the models that are shipped, the user's own, and which of them fits."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from geo.scene import Phase
from geo.schema import Hazard
from models.card import CARD_NAME, WEIGHTS_NAME, CardInput, ModelCard, read_card
from models.errors import InputsMismatch, ModelUnknown, NameTaken
from models.terms import InputPhase, Task

SHELF = Path(__file__).parent / "shelf"

TASKS_OF: dict[Hazard, tuple[Task, ...]] = {
    Hazard.FLOOD: (Task.FLOOD_CHANGE, Task.WATER),
    Hazard.STORM: (Task.FLOOD_CHANGE, Task.WATER),
    Hazard.TSUNAMI: (Task.FLOOD_CHANGE, Task.WATER),
    Hazard.WILDFIRE: (Task.BURNT,),
    Hazard.EARTHQUAKE: (),
    Hazard.LANDSLIDE: (),
    Hazard.VOLCANO: (),
}
"""What to look for, by hazard."""

PREFERENCE = (
    "sar-change",
    "sar-change-vv",
    "mndwi-water",
    "ndwi-water",
    "sar-water",
    "sar-water-vv",
    "ndwi-picture-water",
    "nbr-change",
    "ndvi-change",
)
"""Shipped models, the first choice first.

Radar sees through the cloud of a flood; a pair of dates tells flood from standing water.
MNDWI goes before NDWI because it holds on turbid water and in towns (Xu 2006), NBR before
NDVI because the short-wave infrared sees the char (Key and Benson 2006). A model that is
not listed is the user's own, and goes before all of them.
"""


@dataclass(frozen=True)
class CardRef:
    """A card and the folder that it lies in."""

    card: ModelCard
    folder: Path

    @property
    def weights(self) -> Path:
        """Where the weights lie; detectors have none."""
        return self.folder / WEIGHTS_NAME


@dataclass(frozen=True)
class Available:
    """What one scene can give."""

    phase: Phase
    sensor: str
    """Name in `geo.sensors.SENSORS`."""
    bands: tuple[str, ...]
    """Common names."""


@dataclass(frozen=True)
class Misfit:
    """A card that does not fit, and why."""

    ref: CardRef
    reason: str
    """A sentence: what the card wants, what is there."""


@dataclass(frozen=True)
class Matching:
    """The cards that fit the imagery, and the reasons of those that do not."""

    fits: tuple[CardRef, ...]
    """The first choice first."""
    misfits: tuple[Misfit, ...]


def all_cards(extra: Path | None = None) -> tuple[CardRef, ...]:
    """Return every model of the shelf and of the user's folder, sorted by name.

    Args:
        extra: a folder with a card, or a folder of such folders.

    Raises:
        ModelUnknown: where `extra` holds no card.
        CardInvalid: where a card cannot be read.
        NameTaken: where two models share a name.
    """
    folders = [path.parent for path in SHELF.glob(f"*/{CARD_NAME}")]
    if extra is not None:
        folders += _card_folders(extra)
    refs: dict[str, CardRef] = {}
    for ref in map(_ref, folders):
        name = ref.card.name
        if name in refs:
            raise NameTaken(
                f"two models are named {name!r}: {refs[name].folder} and {ref.folder}; rename one"
            )
        refs[name] = ref
    return tuple(refs[name] for name in sorted(refs))


def find(name_or_path: str | Path, *, extra: Path | None = None) -> CardRef:
    """Return the model of that name, or the one in that folder.

    Raises:
        ModelUnknown: with the names that exist.
        CardInvalid: where its card cannot be read.
        NameTaken: where two models share a name.
    """
    named = {ref.card.name: ref for ref in all_cards(extra)}
    if str(name_or_path) in named:
        return named[str(name_or_path)]
    folder = Path(name_or_path)
    if (folder / CARD_NAME).is_file():
        return _ref(folder)
    raise ModelUnknown(
        f"no model is named {str(name_or_path)!r}, and no folder there holds a {CARD_NAME}; "
        f"the models are {', '.join(named)}"
    )


def matching(
    cards: Sequence[CardRef], *, hazard: Hazard, available: Sequence[Available]
) -> Matching:
    """Return which cards fit the imagery, the first choice first, and why the others do not.

    Args:
        cards: as `all_cards` returns them.
        hazard: decides the tasks, see `TASKS_OF`.
        available: one entry a scene.
    """
    tasks = TASKS_OF[hazard]
    fits: list[CardRef] = []
    misfits: list[Misfit] = []
    for ref in sorted(cards, key=_preference):
        reason = _off_task(ref.card, hazard=hazard, tasks=tasks) or misfit(ref.card, available)
        if reason:
            misfits.append(Misfit(ref, reason))
        else:
            fits.append(ref)
    return Matching(tuple(fits), tuple(misfits))


def misfit(card: ModelCard, available: Sequence[Available]) -> str | None:
    """Return why the imagery cannot fill the card's slots, or None where it can.

    A required slot must be filled, and at least one slot of any kind. A card that sees one
    image at a time needs an after image; a before image is taken where there is one.
    """
    filled = [entry for entry in card.inputs if _fill(entry, available)]
    for entry in card.inputs:
        if entry.required and entry not in filled:
            return _unfilled(card, entry, available)
    return None if filled else _unfilled(card, card.inputs[0], available)


def require_fit(card: ModelCard, available: Sequence[Available]) -> None:
    """Check that the imagery fills the card's slots.

    Raises:
        InputsMismatch: with what the card wants and what is there.
    """
    reason = misfit(card, available)
    if reason:
        raise InputsMismatch(reason)


def accepts(entry: CardInput, scene: Available) -> bool:
    """Whether a scene can fill a slot: its phase, its sensor and all of the bands."""
    return (
        entry.phase.takes(scene.phase)
        and scene.sensor in entry.sensors
        and set(entry.bands) <= set(scene.bands)
    )


def _fill(entry: CardInput, available: Sequence[Available]) -> list[Available]:
    scenes = [scene for scene in available if accepts(entry, scene)]
    if entry.phase is InputPhase.EACH and all(scene.phase is Phase.BEFORE for scene in scenes):
        return []
    return scenes


def _unfilled(card: ModelCard, entry: CardInput, available: Sequence[Available]) -> str:
    wanted = "after" if entry.phase is InputPhase.EACH else entry.phase.value
    there = [
        f"{scene.sensor} ({', '.join(scene.bands)})"
        for scene in available
        if scene.phase.value == wanted
    ]
    return (
        f"{card.name} wants, {wanted} the event, {' or '.join(entry.sensors)} with the bands "
        f"{', '.join(entry.bands)}; there is {', '.join(dict.fromkeys(there)) or 'no image'}"
    )


def _off_task(card: ModelCard, *, hazard: Hazard, tasks: tuple[Task, ...]) -> str | None:
    if card.task in tasks:
        return None
    looked_for = " or ".join(tasks) or "none yet"
    return f"{card.name} is for {card.task}; the task of the hazard {hazard} is {looked_for}"


def _preference(ref: CardRef) -> tuple[int, str]:
    name = ref.card.name
    return (PREFERENCE.index(name) if name in PREFERENCE else -1, name)


def _card_folders(extra: Path) -> list[Path]:
    if (extra / CARD_NAME).is_file():
        return [extra]
    folders = sorted(path.parent for path in extra.glob(f"*/{CARD_NAME}"))
    if not folders:
        raise ModelUnknown(
            f"the folder of models {extra} holds no {CARD_NAME}, nor does any folder in it"
        )
    return folders


def _ref(folder: Path) -> CardRef:
    return CardRef(read_card(folder / CARD_NAME), folder)
