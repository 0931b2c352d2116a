"""Which model maps an event, which finds buildings, which masks clouds: the first that fits."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from geo.scenes.scene import Phase, Scene
from geo.scenes.sensors import SENSORS, Family
from geo.scenes.source import Clouds
from geo.vector.hazards import HAZARDS, Hazard
from models.cards.card import ModelCard
from models.cards.inputs import Task
from models.cards.registry import CardRef, all_cards, find
from models.cards.suitability import Available, available, misfit, reads, require_fit
from models.errors import InputsMismatch, NoModelFits

TASKS_OF: dict[Hazard, tuple[Task, ...]] = {
    hazard: tuple(map(Task, entry.maps)) for hazard, entry in HAZARDS.items()
}
"""What to look for, by hazard; damage only where footprints are given or to be found."""

PREFERENCE = (
    "damage-features", "damage-vhr", "flood-s1s2", "water-multispectral", "sar-change",
    "sar-change-vv", "mndwi-water", "ndwi-water", "sar-water", "sar-water-vv",
    "ndwi-picture-water", "flood-rgb", "nbr-change", "ndvi-change",
)  # fmt: skip
"""Shipped models, the first choice first; one that is not listed is the user's, and goes first.

damage-features is right more often than damage-vhr on the tile that it was not trained on (AUC
0.95, 0.90). Radar sees through cloud; a pair of dates tells flood from standing water. MNDWI holds
on turbid water and in towns (Xu 2006); NBR sees the char (Key and Benson 2006).
"""

PREFERENCE_UNDATED = (
    *PREFERENCE[:2], "water-multispectral", *PREFERENCE[4:], "flood-s1s2",
)  # fmt: skip
"""The same for models that find no image before: no water can then be called flood."""


class Matching(NamedTuple):
    """The cards that fit the imagery, the first choice first, and those that do not."""

    fits: list[CardRef]
    misfits: list[tuple[CardRef, str]]
    """With a sentence: what the card wants, what is there."""


@dataclass(frozen=True)
class Choice:
    """The model of a product, and why it."""

    ref: CardRef | None
    why: str

    @property
    def name(self) -> str:
        return self.ref.card.name if self.ref else "no model"

    @property
    def grader(self) -> CardRef | None:
        """The model, where it is one that grades buildings."""
        return self.ref if self.ref is not None and self.ref.card.task is Task.DAMAGE else None

    @property
    def label(self) -> str | None:
        """Name and 12 digits of the digest, as in `model` of every feature."""
        return f"{self.ref.card.name} {self.ref.card.digest[:12]}" if self.ref else None

    def reads(self, scene: Available) -> bool:
        """Whether the model takes the scene; without a model every scene is looked at."""
        return self.ref is None or reads(self.ref.card, scene)


def matching(
    cards: Sequence[CardRef],
    *,
    hazard: Hazard,
    available: Sequence[Available],
    buildings: bool = False,
) -> Matching:
    """Return which cards fit, first choice first; `buildings`: footprints are there or sought."""
    match = Matching([], [])
    for ref in sorted(cards, key=lambda ref: _preference(ref, available)):
        reason = _off_task(ref.card, hazard) or misfit(ref.card, available)
        if reason is None and ref.card.task is Task.DAMAGE and not buildings:
            reason = (
                f"{ref.card.name} grades buildings: give footprints with --buildings, or have them "
                "found with --find-buildings"
            )
        if reason:
            match.misfits.append((ref, reason))
        else:
            match.fits.append(ref)
    return match


def choose_model(
    available: Sequence[Available],
    *,
    hazard: Hazard,
    name: str | None = None,
    buildings: bool = False,
    extra: Path | None = None,
) -> Choice:
    """Return the model that was named, or the first that fits the imagery.

    Args:
        name: name or folder of a model, "none" for no model; None: the first that fits.
        buildings: whether there are footprints to grade, or are to be found.

    Raises:
        NoModelFits: with the reason of every model of the hazard.
        ModelUnknown, InputsMismatch: for a model that was named.
    """
    if name == "none":
        return Choice(None, "no model was run, as asked")
    if name is not None:
        ref = find(name, extra=extra)
        _require_named(ref.card, available, hazard, buildings=buildings)
        return Choice(ref, f"{ref.card.name} was asked for")
    match = matching(all_cards(extra), hazard=hazard, available=available, buildings=buildings)
    if match.fits:
        ref, *others = match.fits
        why = f"{ref.card.name} is the first choice that fits the imagery; it reads "
        why += _images_text([scene for scene in available if reads(ref.card, scene)])
        if others:
            why += f"; {', '.join(other.card.name for other in others)} would fit as well"
        return Choice(ref, why)
    tasks = set(TASKS_OF[hazard])
    # A pair that could be graded is worth asking for footprints; other imagery is looked at.
    graders = [ref.card for ref, _ in match.misfits if ref.card.task is Task.DAMAGE]
    gradable = any(misfit(card, available) is None for card in graders)
    named = tasks if buildings or gradable or tasks <= {Task.DAMAGE} else tasks - {Task.DAMAGE}
    reasons = "; ".join(dict.fromkeys(why for ref, why in match.misfits if ref.card.task in named))
    if buildings or (tasks <= {Task.DAMAGE} and not gradable):
        why = reasons or "there is no model for it"
        return Choice(None, f"no model fits a {hazard} in this imagery: {why}")
    raise NoModelFits(
        f"no model can map a {hazard} here: {reasons}; give other imagery, a --model of your own, "
        "or --model none for a product without analysis"
    )


def choose_finder(
    choice: Choice, available: Sequence[Available], *, extra: Path | None = None
) -> CardRef:
    """Return what finds buildings: the grader itself where it can; or raise NoModelFits."""
    grader = choice.grader
    if grader is None:
        raise NoModelFits(
            f"{choice.name} does not grade damage: {choice.why}; leave out --find-buildings and "
            "--damaged-areas, or name a grader with --model"
        )
    if grader.card.finds_buildings:
        return grader
    card, given = grader.card, [scene for scene in available if reads(grader.card, scene)]
    for ref in sorted(all_cards(extra), key=lambda ref: _preference(ref, given)):
        alike = ref.card.finds_buildings and ref.card.resolution_m == card.resolution_m
        if alike and misfit(ref.card, given) is None:
            return ref
    raise NoModelFits(
        f"no model finds buildings in this imagery at the {card.resolution_m:g} m that {card.name} "
        "grades them at; give footprints with --buildings, without --damaged-areas"
    )


def _require_named(
    card: ModelCard, available: Sequence[Available], hazard: Hazard, *, buildings: bool
) -> None:
    if card.task is Task.CLOUD:
        raise InputsMismatch(
            f"{card.name} finds clouds, not a {hazard}; name another --model (--clouds masks them)"
        )
    require_fit(card, available)
    # Who names a model that finds buildings, and gives none, wants them found.
    if card.task is Task.DAMAGE and not (buildings or card.finds_buildings):
        raise InputsMismatch(
            f"{card.name} grades buildings and finds none itself; give their footprints with "
            "--buildings, or have another model find them with --find-buildings"
        )


def _images_text(scenes: Sequence[Available]) -> str:
    phases: dict[str, list[str]] = {}
    for scene in sorted(scenes, key=lambda scene: scene.phase is Phase.AFTER):
        phases.setdefault(SENSORS[scene.sensor].title, []).append(scene.phase.value)
    return ", ".join(
        f"{title} {' and '.join(dict.fromkeys(when))}" for title, when in sorted(phases.items())
    )


def _off_task(card: ModelCard, hazard: Hazard) -> str | None:
    tasks = TASKS_OF[hazard]
    if card.task not in tasks:
        looked_for = " or ".join(tasks) or "none yet"
        return f"{card.name} is for {card.task}; the task of the hazard {hazard} is {looked_for}"
    if hazard in (card.hazards or tuple(Hazard)):
        return None
    return (
        f"{card.name} is taken unasked for {' and '.join(card.hazards or ())} only; name it "
        f"with --model to use it for a {hazard}"
    )


def _preference(ref: CardRef, available: Sequence[Available]) -> tuple[bool, bool, int, str]:
    name = ref.card.name
    if name not in PREFERENCE:
        return False, False, 0, name
    dated = any(scene.phase is Phase.BEFORE and reads(ref.card, scene) for scene in available)
    order = PREFERENCE if dated else PREFERENCE_UNDATED
    return True, not dated, order.index(name), name


@dataclass(frozen=True)
class CloudSource:
    """What masks the clouds of one optical scene."""

    scene: str
    provider: str | None = None
    """Name of the provider's mask, where it is used."""
    ref: CardRef | None = None
    why_not: str = ""
    """Where neither does: the reason."""

    @property
    def name(self) -> str | None:
        """The mask, as reports call it; None where clouds are not masked."""
        if self.ref is not None:
            return f"{self.ref.card.name} {self.ref.card.version}"
        return f"the provider's {self.provider}" if self.provider else None

    @property
    def ingredient(self) -> list[str | None]:
        """What a product depends on."""
        return [self.scene, self.provider, self.ref.card.digest if self.ref else None]

    def as_json(self) -> dict[str, str | None]:
        """Return what the manifest says of it."""
        scene, provider, digest = self.ingredient
        network = self.ref.card.name if self.ref else None
        return {"scene": scene, "provider": provider, "network": network, "digest": digest}


def cloud_sources(
    scenes: Sequence[Scene], wanted: Clouds, cards: Sequence[CardRef]
) -> tuple[CloudSource, ...]:
    """Return what masks each optical scene's clouds; or raise InputsMismatch where bands lack."""
    networks = [ref for ref in cards if ref.card.task is Task.CLOUD]
    return tuple(
        _cloud_source(s, wanted, networks) for s in scenes if s.sensor.family is Family.OPTICAL
    )


def unmasked_notes(sources: Sequence[CloudSource]) -> tuple[str, ...]:
    """Return sentences on the scenes whose clouds are not masked, one a reason."""
    return tuple(
        f"clouds and their shadows were not masked in "
        f"{', '.join(s.scene for s in sources if s.why_not == why)}: {why}"
        for why in dict.fromkeys(source.why_not for source in sources if source.why_not)
    )


def _cloud_source(scene: Scene, wanted: Clouds, networks: Sequence[CardRef]) -> CloudSource:
    quality = scene.sensor.quality
    if wanted is Clouds.OFF:
        return CloudSource(scene.id, why_not="as asked")
    if wanted is not Clouds.NETWORK and quality in scene.bands:
        return CloudSource(scene.id, provider=quality)
    if wanted is Clouds.PROVIDER:
        return CloudSource(scene.id, why_not="the provider's mask is not among its bands")
    inputs = {ref.card.inputs[0].bands: ref for ref in networks if scene.sensor_name in
              ref.card.inputs[0].sensors}  # fmt: skip
    fits = [bands for bands, ref in inputs.items() if reads(ref.card, available(scene))]
    if fits:
        return CloudSource(scene.id, ref=inputs[max(fits, key=len)])
    lacking = (
        f"the networks of clouds want the bands {' or '.join(map(', '.join, inputs))} of "
        f"{scene.sensor.title}, and it has {', '.join(scene.bands)}"
    )
    if wanted is Clouds.NETWORK:
        raise InputsMismatch(f"{scene.id}: {lacking}; give them, or leave it to --clouds auto")
    return CloudSource(scene.id, why_not=f"it has no mask of the provider, and {lacking}")
