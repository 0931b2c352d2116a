"""What a product says of buildings and damaged ground that a network found, as sentences."""

from collections.abc import Sequence

from flows.find import Plan
from models.card import ModelCard, Score
from models.grading.ground import REACH_M
from models.grading.search import Searched


def found_notes(plan: Plan, searched: Searched | None) -> list[str]:
    """Return who found buildings and damaged ground, and how well it was measured to do so."""
    if searched is None or plan.finder is None:
        return []
    card = plan.finder.card
    notes = []
    if searched.buildings is not None:
        notes.append(_buildings(card, len(searched.buildings)))
    if plan.request.damaged_areas:
        notes.append(_ground(card, plan.min_area_m2))
    return [*notes, f"{card.name}: {card.limits[0]}"]


def _buildings(card: ModelCard, count: int) -> str:
    scores = _scores(card, "f1_localisation")
    measured = f"F1 of its building pixels {_listed(scores)}" if scores else _never(card)
    return (
        f"{count} building outlines were found in the images by {card.name} "
        f"{card.digest[:12]}; they are of no cadastre ({measured}): houses are missed, run into "
        "each other or are none, and the counts with them"
    )


def _ground(card: ModelCard, min_area_m2: float) -> str:
    scores = _scores(card, "iou_ground")
    measured = f"IoU of damaged ground {_listed(scores)}" if scores else _never(card)
    return (
        f"damaged areas are ground of at least {min_area_m2:g} m2 where {card.name} calls what is "
        f"or was built within some {REACH_M:g} m damaged ({measured}); ground outside of them is "
        "not called sound, and debris far from buildings is not seen"
    )


def _scores(card: ModelCard, measure: str) -> list[Score]:
    """Return the scores of these very weights, without those of the same training elsewhere."""
    return [s for s in card.scores if s.measure == measure and s.trainings_differ_in is None]


def _listed(scores: Sequence[Score]) -> str:
    told = ", ".join(f"{score.value:.2f} on {score.dataset} {score.split}" for score in scores)
    return f"where it did not learn: {told}"


def _never(card: ModelCard) -> str:
    return f"how well {card.name} does so was not measured"
