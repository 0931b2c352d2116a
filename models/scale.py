"""How large a pixel a network is given where its card leaves that to the image."""

from geo.scene import Scene
from geo.sensors import Family
from models.architecture import NetworkArchitecture
from models.card import ModelCard

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
