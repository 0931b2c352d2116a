"""Who says where clouds hide the ground of an optical scene, and what that means for reading it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from geo.classify import Label
from geo.masks import Masking
from geo.scene import Scene
from geo.sensors import Family
from models.cloud_squares import CloudSquares
from models.errors import InputsMismatch
from models.matching import Available, accepts
from models.predict import load
from models.registry import CardRef
from models.terms import Task


class Clouds(StrEnum):
    """Which mask of clouds and their shadows is wanted."""

    AUTO = "auto"
    """The provider's own where the scene has one, or else a network where its bands suffice."""
    PROVIDER = "provider"
    """The provider's own, and none where a scene has none."""
    NETWORK = "network"
    """A network, whether the provider has a mask or not."""
    OFF = "off"
    """None."""


@dataclass(frozen=True)
class CloudSource:
    """Who says where the clouds of one optical scene are."""

    scene: str
    """Its id."""
    provider: str | None = None
    """Name of the provider's mask that is heeded."""
    ref: CardRef | None = None
    """The network that looks for them."""
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
        card = self.ref.card if self.ref else None
        return {
            "scene": self.scene,
            "provider": self.provider,
            "network": card.name if card else None,
            "digest": card.digest if card else None,
        }


def cloud_sources(
    scenes: Sequence[Scene], wanted: Clouds, cards: Sequence[CardRef]
) -> tuple[CloudSource, ...]:
    """Return who masks the clouds of each optical scene; radar and pictures have none.

    Args:
        scenes: of a request.
        wanted: by the request.
        cards: as `all_cards` returns them.

    Raises:
        InputsMismatch: where a network was asked for, and a scene lacks the bands of all.
    """
    optical = [scene for scene in scenes if scene.sensor.family is Family.OPTICAL]
    return tuple(_source(scene, wanted, cards) for scene in optical)


def unmasked_notes(sources: Sequence[CloudSource]) -> tuple[str, ...]:
    """Return sentences on the scenes whose clouds are not masked, one a reason."""
    return tuple(
        f"clouds and their shadows were not masked in "
        f"{', '.join(s.scene for s in sources if s.why_not == why)}: {why}"
        for why in dict.fromkeys(source.why_not for source in sources if source.why_not)
    )


def maskings(scenes: Sequence[Scene], sources: Sequence[CloudSource]) -> Mapping[str, Masking]:
    """Return how each optical scene is read, by id; each network is loaded once.

    Missing values of the provider's mask count in any case: what it calls saturated or not
    observed is not made so by clouds.

    Raises:
        WeightsMismatch: where a network is not the one of its card.
    """
    named = {scene.id: scene for scene in scenes}
    networks = {s.ref.card.name: load(s.ref, device="cpu") for s in sources if s.ref is not None}
    no_clouds = frozenset({Label.NO_DATA})
    return {
        source.scene: Masking()
        if source.provider
        else Masking(
            provider=no_clouds,
            found=CloudSquares(named[source.scene], networks[source.ref.card.name])
            if source.ref
            else None,
        )
        for source in sources
    }


def _source(scene: Scene, wanted: Clouds, cards: Sequence[CardRef]) -> CloudSource:
    quality = scene.sensor.quality
    if wanted is Clouds.OFF:
        return CloudSource(scene.id, why_not="as asked")
    if wanted is not Clouds.NETWORK and quality in scene.bands:
        return CloudSource(scene.id, provider=quality)
    if wanted is Clouds.PROVIDER:
        return CloudSource(scene.id, why_not="the provider's mask is not among its bands")
    ref = _network_for(scene, cards)
    if ref is not None:
        return CloudSource(scene.id, ref=ref)
    lacking = (
        f"the networks of clouds want the bands {' or '.join(_wanted(scene, cards))} of "
        f"{scene.sensor.title}, and it has {', '.join(scene.bands)}"
    )
    if wanted is Clouds.NETWORK:
        raise InputsMismatch(f"{scene.id}: {lacking}; give them, or leave it to --clouds auto")
    return CloudSource(scene.id, why_not=f"it has no mask of the provider, and {lacking}")


def _network_for(scene: Scene, cards: Sequence[CardRef]) -> CardRef | None:
    """Return the network of clouds that takes most of a scene's bands."""
    offer = Available(scene.phase, scene.sensor_name, scene.bands)
    fits = [
        ref for ref in cards if ref.card.task is Task.CLOUD and accepts(ref.card.inputs[0], offer)
    ]
    return max(fits, key=lambda ref: len(ref.card.inputs[0].bands), default=None)


def _wanted(scene: Scene, cards: Sequence[CardRef]) -> list[str]:
    """Return the bands that each network of clouds wants of a sensor."""
    return [
        ", ".join(ref.card.inputs[0].bands)
        for ref in cards
        if ref.card.task is Task.CLOUD and scene.sensor_name in ref.card.inputs[0].sensors
    ]
