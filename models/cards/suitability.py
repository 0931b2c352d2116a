"""Whether imagery suits a card: its sensors, bands, dates, colours, pixel size and overlap."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING

from geo.errors import NotOverlapping
from geo.scenes.radiometry import RGB, Colours
from geo.scenes.scene import Phase, Scene
from geo.scenes.sensors import SENSORS, Backscatter, Family
from models.cards.architecture import NetworkArchitecture
from models.cards.card import ModelCard
from models.cards.inputs import CardInput, InputPhase, Physical
from models.errors import InputsMismatch

if TYPE_CHECKING:
    from geo.vector.area_of_interest import AreaOfInterest


@dataclass(frozen=True)
class Available:
    """What one scene can give to a model."""

    phase: Phase
    sensor: str
    """Name in `geo.scenes.sensors.SENSORS`."""
    bands: tuple[str, ...]
    """Common names."""
    backscatter: Backscatter | None = None
    """Of radar; None for other sensors, and where it is unknown."""


def available(scene: Scene) -> Available:
    """Return what a scene can give to a model."""
    return Available(scene.phase, scene.sensor_name, scene.bands, scene.backscatter)


def accepts(entry: CardInput, scene: Available) -> bool:
    """Whether a scene can fill a model input: its phase, sensor, bands and kind of backscatter."""
    return (
        entry.phase.takes(scene.phase)
        and scene.sensor in entry.sensors
        and set(entry.bands) <= set(scene.bands)
        and entry.backscatter in (None, scene.backscatter)
    )


def reads(card: ModelCard, scene: Available) -> bool:
    """Whether a model takes a scene for any of its inputs."""
    return any(accepts(entry, scene) for entry in card.inputs)


def misfit(card: ModelCard, scenes: Sequence[Available]) -> str | None:
    """Return why the required inputs, or all after the event, stay empty; None: they do not."""
    empty = _unfilled(card, scenes)
    required = [entry for entry in empty if entry.required]
    if not required and not all(entry in empty for entry in card.after_inputs):
        return None
    # Of several that would do, the input whose sensor is there: its lack says most.
    there = {scene.sensor for scene in scenes}
    near = [entry for entry in card.after_inputs if there & set(entry.sensors)]
    return _lack(card, [*required, *near, *card.after_inputs][0], scenes)


def require_fit(card: ModelCard, scenes: Sequence[Available]) -> None:
    """Raise InputsMismatch where the imagery does not fill the card's inputs, with both sides."""
    if reason := misfit(card, scenes):
        raise InputsMismatch(reason)


def lacking(card: ModelCard, scenes: Sequence[Available]) -> tuple[str, ...]:
    """Return, as sentences for the product, which optional images a model does without."""
    return tuple(
        f"mapped without {_shared_title(entry.sensors)} {entry.phase} the event: "
        f"{_lack(card, entry, scenes)}"
        for entry in _unfilled(card, scenes)
        if not entry.required
    )


def _unfilled(card: ModelCard, scenes: Sequence[Available]) -> list[CardInput]:
    """Return the inputs of a card that no scene fills; a before image alone fills none of each."""

    def filled(entry: CardInput) -> bool:
        phases = {scene.phase for scene in scenes if accepts(entry, scene)}
        return Phase.AFTER in phases or (entry.phase is not InputPhase.EACH and bool(phases))

    return [entry for entry in card.inputs if not filled(entry)]


def _shared_title(sensors: Sequence[str]) -> str:
    titles = [SENSORS[name].title for name in sensors]
    columns = zip(*(title.split() for title in titles), strict=False)
    shared = [words[0] for words in takewhile(lambda words: len(set(words)) == 1, columns)]
    return " ".join(shared) or " or ".join(titles)


def _lack(card: ModelCard, entry: CardInput, scenes: Sequence[Available]) -> str:
    wanted = "after" if entry.phase is InputPhase.EACH else entry.phase.value
    there = []
    for scene in (scene for scene in scenes if scene.phase.value == wanted):
        kind = f" in {scene.backscatter or 'sigma0 or gamma0'}" if entry.backscatter else ""
        there.append(f"{scene.sensor} ({', '.join(scene.bands)}{kind})")
    anyhow = entry.model_copy(update={"backscatter": None})
    text = (
        f"{card.name} wants, {wanted} the event, {' or '.join(entry.sensors)} with the bands "
        f"{', '.join(entry.bands)}{f' in {entry.backscatter}' if entry.backscatter else ''}; there "
        f"is {', '.join(dict.fromkeys(there)) or 'no image'}"
    )
    if any(accepts(anyhow, scene) for scene in scenes):
        text += f"; give images in {entry.backscatter}, or say --backscatter if they are"
    return text


PHOTO_PIXEL_M = 0.2
"""Networks of pictures are trained on photos of some 640 pixels across. A common drone camera (84
degrees across the diagonal) shows 130 m of ground from 90 m above it: 0.2 m a pixel. Chosen by
that, and not measured: at centimetres a window holds one roof, or one shade of water."""


def pixel_for(card: ModelCard, lead: Scene) -> float | None:
    """Return the pixel size that a model should be given, metres; None: that of the lead scene."""
    is_network = isinstance(card.architecture, NetworkArchitecture)
    finer = is_network and lead.sensor.family is Family.PICTURE and lead.gsd_m < PHOTO_PIXEL_M
    return card.resolution_m or (PHOTO_PIXEL_M if finer else None)


def pixel_note(card: ModelCard, lead: Scene) -> str | None:
    """Return a sentence where `pixel_for` chose a pixel size that the card does not name."""
    if card.resolution_m is not None or pixel_for(card, lead) is None:
        return None
    return (
        f"{lead.id} has pixels of {lead.gsd_m:.2g} m and was mapped at {PHOTO_PIXEL_M:g} m, as "
        f"{card.name} was trained on photos that show about so much; --resolution sets another"
    )


_UNNATURAL = {
    Colours.GREY: (
        "is grey: its bands red, green and blue hold the same values",
        "give the picture in colours",
    ),
    Colours.INFRARED: (
        "looks like near infrared, red and green stored as red, green and blue: its plants are "
        "purple-red",
        "say --bands nir,red,green, or give the picture in natural colours; --no-domain-check "
        "takes it as it is",
    ),
}


def require_natural(card: ModelCard, scenes: Sequence[Scene], *, checked: bool) -> None:
    """Raise InputsMismatch where most scenes of a phase lack natural colours that a model wants.

    One tile can be grey by what it shows. Without `checked`, what only looks infrared passes.
    """
    if not any(e.units is Physical.BRIGHTNESS and set(RGB) <= set(e.bands) for e in card.inputs):
        return
    for phase in Phase:
        known = [s for s in scenes if s.phase is phase and s.colours is not None]
        for kind in (Colours.GREY, Colours.INFRARED) if checked else (Colours.GREY,):
            odd = [scene for scene in known if scene.colours is kind]
            if 2 * len(odd) > len(known):
                fault, cure = _UNNATURAL[kind]
                raise InputsMismatch(
                    f"{odd[0].id} {fault}; {card.name} wants natural colours; {cure}"
                )


COARSEST = 2.0
"""Pixels that are so many times as large as those the grader was trained on are too large."""


def require_gradable(card: ModelCard, scenes: Sequence[Scene], area: "AreaOfInterest") -> None:
    """Raise InputsMismatch for too large pixels, NotOverlapping for a pair that shares no place."""
    # Only here: nothing else in this module needs geometries.
    import shapely  # noqa: PLC0415

    from geo.vector.area_of_interest import extent_text  # noqa: PLC0415

    for scene in scenes:
        limit = COARSEST * (card.resolution_m or scene.gsd_m)
        if scene.gsd_m > limit * 1.001:
            raise InputsMismatch(
                f"{scene.id} has pixels of {scene.gsd_m:.3g} m, and {card.name} grades buildings "
                f"in pixels of at most {limit:.3g} m; give finer images {scene.phase} the event"
            )
    before, after = (
        shapely.union_all([scene.footprint for scene in scenes if scene.phase is phase])
        for phase in Phase
    )
    if not before.intersection(after).intersection(area.geometry).area:
        raise NotOverlapping(
            f"no place of the area lies in the images before ({extent_text(before)}) and after "
            f"({extent_text(after)}); give a pair of one place"
        )
