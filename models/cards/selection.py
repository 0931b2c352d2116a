"""Which models fit the imagery, which of them goes first, and why the others do not.

How large a pixel a network is given where its card leaves that to the image.

Whether scenes hold the natural colours that a model learned from.

Whether buildings can be graded in a pair of images: they overlap, and are fine enough.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile

import shapely

from geo.errors import NotOverlapping
from geo.scenes.radiometry import RGB, Colours
from geo.scenes.scene import Phase, Scene
from geo.scenes.sensors import SENSORS, Backscatter, Family
from geo.vector.area_of_interest import AreaOfInterest, extent_text
from geo.vector.hazards import HAZARDS, Hazard
from models.cards.architecture import NetworkArchitecture
from models.cards.card import ModelCard
from models.cards.inputs import CardInput, InputPhase, Physical, Task
from models.cards.registry import CardRef
from models.errors import InputsMismatch

TASKS_OF: dict[Hazard, tuple[Task, ...]] = {
    hazard: tuple(map(Task, entry.maps)) for hazard, entry in HAZARDS.items()
}
"""What to look for, by hazard; damage only where there are footprints to grade, or they are to be
found."""

PREFERENCE = (
    "damage-features",
    "damage-vhr",
    "flood-s1s2",
    "water-multispectral",
    "sar-change",
    "sar-change-vv",
    "mndwi-water",
    "ndwi-water",
    "sar-water",
    "sar-water-vv",
    "ndwi-picture-water",
    "flood-rgb",
    "nbr-change",
    "ndvi-change",
)
"""Shipped models, the first choice first.

Who gives footprints wants them graded, where the imagery shows them; of the two graders
damage-features is right more often on the tile that it did not learn from (AUC 0.95, 0.90).
Radar sees through the cloud of a flood; a pair of dates tells flood from standing water.
MNDWI goes before NDWI because it holds on turbid water and in towns (Xu 2006), NBR before
NDVI because the short-wave infrared sees the char (Key and Benson 2006). Water is black in the
near infrared, and has any colour in a picture without it. A model that is not listed is the
user's own, and goes before all of them.
"""

PREFERENCE_UNDATED = (
    *PREFERENCE[:2], "water-multispectral", *PREFERENCE[4:], "flood-s1s2",
)  # fmt: skip
"""The same for models that find no image before the event.

Without one all water is found, and none of it can be called flood: that is what a model of water
answers, and what a model of flood learned to leave out. On the radar of the Spain chip of
Sen1Floods11, where nearly all water is flood, they come out alike (`aftermap score`: IoU 0.585 by
sar-water, 0.597 by flood-s1s2). Whatever can tell the two apart, because it finds an image before,
goes before them.
"""


@dataclass(frozen=True)
class Available:
    """What one scene can give."""

    phase: Phase
    sensor: str
    """Name in `geo.scenes.sensors.SENSORS`."""
    bands: tuple[str, ...]
    """Common names."""
    backscatter: Backscatter | None = None
    """Of radar; None for other sensors, and where nobody knows it."""


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


def matching(
    cards: Sequence[CardRef],
    *,
    hazard: Hazard,
    available: Sequence[Available],
    buildings: bool = False,
) -> Matching:
    """Return which cards fit the imagery, the first choice first, and why the others do not.

    Args:
        cards: as `all_cards` returns them.
        hazard: decides the tasks, see `TASKS_OF`.
        available: one entry a scene.
        buildings: whether there are footprints to grade, or are to be found.
    """
    tasks = TASKS_OF[hazard]
    fits: list[CardRef] = []
    misfits: list[Misfit] = []
    for ref in sorted(cards, key=lambda ref: _preference(ref, available)):
        reason = (
            _off_task(ref.card, hazard=hazard, tasks=tasks)
            or misfit(ref.card, available)
            or _without_footprints(ref.card, buildings=buildings)
        )
        if reason:
            misfits.append(Misfit(ref, reason))
        else:
            fits.append(ref)
    return Matching(tuple(fits), tuple(misfits))


def finders(
    cards: Sequence[CardRef], *, available: Sequence[Available], resolution_m: float | None
) -> tuple[CardRef, ...]:
    """Return the models that find buildings in the imagery, the first choice first.

    Args:
        cards: as `all_cards` returns them.
        available: one entry a scene.
        resolution_m: of the grid that they must want.
    """
    return tuple(
        ref
        for ref in sorted(cards, key=lambda ref: _preference(ref, available))
        if ref.card.finds_buildings
        and ref.card.resolution_m == resolution_m
        and misfit(ref.card, available) is None
    )


def misfit(card: ModelCard, available: Sequence[Available]) -> str | None:
    """Return why the imagery cannot fill the card's slots, or None where it can.

    A required slot must be filled, and at least one slot after the event. A before image is
    taken where there is one.
    """
    empty = _unfilled(card, available)
    for entry in empty:
        if entry.required:
            return _said_of_empty(card, entry, available)
    if all(entry in empty for entry in card.after_inputs):
        return _said_of_empty(card, _nearest(card.after_inputs, available), available)
    return None


def is_dated(card: ModelCard, available: Sequence[Available]) -> bool:
    """Whether a model is given an image before the event."""
    return any(
        scene.phase is Phase.BEFORE and accepts(entry, scene)
        for entry in card.inputs
        for scene in available
    )


def lacking(card: ModelCard, available: Sequence[Available]) -> tuple[str, ...]:
    """Return, as sentences for the product, which optional images a model does without."""
    return tuple(
        f"mapped without {_shared_title(entry.sensors)} {entry.phase} the event: "
        f"{_said_of_empty(card, entry, available)}"
        for entry in _unfilled(card, available)
        if not entry.required
    )


def require_fit(card: ModelCard, available: Sequence[Available]) -> None:
    """Check that the imagery fills the card's slots.

    Raises:
        InputsMismatch: with what the card wants and what is there.
    """
    reason = misfit(card, available)
    if reason:
        raise InputsMismatch(reason)


def accepts(entry: CardInput, scene: Available) -> bool:
    """Whether a scene can fill a slot: its phase, sensor, bands and kind of backscatter."""
    return (
        entry.phase.takes(scene.phase)
        and scene.sensor in entry.sensors
        and set(entry.bands) <= set(scene.bands)
        and entry.backscatter in (None, scene.backscatter)
    )


def _fill(entry: CardInput, available: Sequence[Available]) -> list[Available]:
    scenes = [scene for scene in available if accepts(entry, scene)]
    if entry.phase is InputPhase.EACH and all(scene.phase is Phase.BEFORE for scene in scenes):
        return []
    return scenes


def _unfilled(card: ModelCard, available: Sequence[Available]) -> list[CardInput]:
    """Return the slots of a card that no scene fills."""
    return [entry for entry in card.inputs if not _fill(entry, available)]


def _nearest(entries: Sequence[CardInput], available: Sequence[Available]) -> CardInput:
    """Return the slot whose sensor is there, or else the first: its lack says most."""
    there = {scene.sensor for scene in available}
    return next((entry for entry in entries if there & set(entry.sensors)), entries[0])


def _shared_title(sensors: Sequence[str]) -> str:
    """Return the words that the titles of sensors begin with, or all titles."""
    titles = [SENSORS[name].title for name in sensors]
    columns = zip(*(title.split() for title in titles), strict=False)
    shared = [words[0] for words in takewhile(lambda words: len(set(words)) == 1, columns)]
    return " ".join(shared) or " or ".join(titles)


def _said_of_empty(card: ModelCard, entry: CardInput, available: Sequence[Available]) -> str:
    """Return what a slot that no scene fills wants, and what is there."""
    wanted = "after" if entry.phase is InputPhase.EACH else entry.phase.value
    there = [_said_of(scene, entry) for scene in available if scene.phase.value == wanted]
    return (
        f"{card.name} wants, {wanted} the event, {' or '.join(entry.sensors)} with the bands "
        f"{', '.join(entry.bands)}{f' in {entry.backscatter}' if entry.backscatter else ''}; there "
        f"is {', '.join(dict.fromkeys(there)) or 'no image'}{_cure(entry, available)}"
    )


def _said_of(scene: Available, entry: CardInput) -> str:
    """Return what a scene offers to a slot; its backscatter only where the slot asks for it."""
    kind = f" in {scene.backscatter or 'sigma0 or gamma0'}" if entry.backscatter else ""
    return f"{scene.sensor} ({', '.join(scene.bands)}{kind})"


def _cure(entry: CardInput, available: Sequence[Available]) -> str:
    """Return what to do where the kind of backscatter is all that is wrong."""
    anyhow = entry.model_copy(update={"backscatter": None})
    if not any(accepts(anyhow, scene) for scene in available):
        return ""
    return (
        f"; the one does not become the other without the angle of incidence: give images in "
        f"{entry.backscatter}, or say so with --backscatter if they are"
    )


def _off_task(card: ModelCard, *, hazard: Hazard, tasks: tuple[Task, ...]) -> str | None:
    if card.task in tasks and hazard in (card.hazards or tuple(Hazard)):
        return None
    if card.task in tasks:
        return (
            f"{card.name} is taken unasked for {' and '.join(card.hazards or ())} only; name it "
            f"with --model to use it for a {hazard}"
        )
    looked_for = " or ".join(tasks) or "none yet"
    return f"{card.name} is for {card.task}; the task of the hazard {hazard} is {looked_for}"


def _without_footprints(card: ModelCard, *, buildings: bool) -> str | None:
    if card.task is not Task.DAMAGE or buildings:
        return None
    return (
        f"{card.name} grades buildings: give footprints with --buildings, or have them found with "
        "--find-buildings"
    )


def _preference(ref: CardRef, available: Sequence[Available]) -> tuple[bool, bool, int, str]:
    name, dated = ref.card.name, is_dated(ref.card, available)
    if name not in PREFERENCE:
        return False, False, 0, name
    order = PREFERENCE if dated else PREFERENCE_UNDATED
    return True, not dated, order.index(name), name


PHOTO_PIXEL_M = 0.2
"""Networks of pictures learn from photos of some 640 pixels across. A common drone camera (84
degrees across the diagonal) shows 130 m of ground from 90 m above it: 0.2 m a pixel. Chosen by
that, and not measured: at centimetres a window holds one roof, or one shade of water."""


def pixel_for(card: ModelCard, lead: Scene) -> float | None:
    """Return the pixel that a model should be given, metres; None: the image's own.

    Args:
        card: of the model.
        lead: the scene whose pixels matter most.
    """
    if card.resolution_m is not None:
        return card.resolution_m
    return PHOTO_PIXEL_M if _is_finer(card, lead) else None


def pixel_note(card: ModelCard, lead: Scene) -> str | None:
    """Return a sentence where `pixel_for` chose a pixel that the card does not name."""
    if card.resolution_m is not None or not _is_finer(card, lead):
        return None
    return (
        f"{lead.id} has pixels of {lead.gsd_m:.2g} m and was mapped at {PHOTO_PIXEL_M:g} m, as "
        f"{card.name} learned from photos that show about so much; --resolution says otherwise"
    )


def _is_finer(card: ModelCard, lead: Scene) -> bool:
    is_network = isinstance(card.architecture, NetworkArchitecture)
    return is_network and lead.sensor.family is Family.PICTURE and lead.gsd_m < PHOTO_PIXEL_M


_SAID = {
    Colours.GREY: "is grey: its bands red, green and blue hold the same values",
    Colours.INFRARED: "looks like near infrared, red and green stored as red, green and blue: "
    "its plants are purple-red",
}
_CURE = {
    Colours.GREY: "give the picture in colours",
    Colours.INFRARED: "say --bands nir,red,green, or give the picture in natural colours; "
    "--no-domain-check takes it as it is",
}


def require_natural(card: ModelCard, scenes: Sequence[Scene], *, checked: bool) -> None:
    """Check that most scenes of a phase are in natural colours, where the model wants these.

    One tile of many can be grey by what it shows, a roof say, and is no reason to refuse all.

    Args:
        checked: False lets those pass that only look as if they were not.

    Raises:
        InputsMismatch: where they are not.
    """
    if not any(e.units is Physical.BRIGHTNESS and set(RGB) <= set(e.bands) for e in card.inputs):
        return
    for phase in Phase:
        told = [s for s in scenes if s.phase is phase and s.colours is not None]
        for kind in (Colours.GREY, Colours.INFRARED) if checked else (Colours.GREY,):
            odd = [scene for scene in told if scene.colours is kind]
            if 2 * len(odd) > len(told):
                raise InputsMismatch(
                    f"{odd[0].id} {_SAID[kind]}; {card.name} wants natural colours; {_CURE[kind]}"
                )


COARSEST = 2.0
"""Pixels that are so many times as large as those the grader learned from are too large."""


def require_suited(card: ModelCard, scenes: Sequence[Scene], area: AreaOfInterest) -> None:
    """Check the imagery that a grader is to read.

    Raises:
        InputsMismatch: where pixels are too large.
        NotOverlapping: where no place of the area was seen before and after.
    """
    for scene in scenes:
        _require_fine(card, scene)
    _require_overlap(scenes, area)


def _require_fine(card: ModelCard, scene: Scene) -> None:
    limit = COARSEST * (card.resolution_m or scene.gsd_m)
    if scene.gsd_m > limit * 1.001:
        raise InputsMismatch(
            f"{scene.id} has pixels of {scene.gsd_m:.3g} m, and {card.name} grades buildings in "
            f"pixels of at most {limit:.3g} m; give finer images {scene.phase} the event"
        )


def _require_overlap(scenes: Sequence[Scene], area: AreaOfInterest) -> None:
    before, after = (
        shapely.union_all([scene.footprint for scene in scenes if scene.phase is phase])
        for phase in Phase
    )
    if before.intersection(after).intersection(area.geometry).area > 0:
        return
    raise NotOverlapping(
        f"no place of the area lies in the images before ({extent_text(before)}) and after "
        f"({extent_text(after)}); give a pair of one place"
    )
