"""Whether scenes hold the natural colours that a model learned from."""

from collections.abc import Sequence

from geo.colours import RGB, Colours
from geo.scene import Phase, Scene
from models.card import ModelCard
from models.errors import InputsMismatch
from models.terms import Physical

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
