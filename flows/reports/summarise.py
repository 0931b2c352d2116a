"""The summary of a product, gathered from its plan, its pixels and its layers."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import pandas as pd

from flows.reports.summary import (
    ClassFound,
    CrossCheckUsed,
    ModelUsed,
    NotAnalysed,
    SceneUsed,
    Summary,
)
from flows.reports.text import share_text
from geo.raster.classify import NOTATION, REASONS, Finding, Label
from geo.scenes.scene import Phase
from geo.vector.features import LayersRecord
from geo.vector.hazards import EVENT_CLASSES
from geo.vector.schema import DAMAGE_GRA
from models.cards.card import ModelCard
from models.cards.selection import unmasked_notes
from models.damage.detection import REACH_M
from models.inference.map_scenes import Mapped
from models.inference.scene_inputs import CrossCheck

if TYPE_CHECKING:
    from flows.mapping.plan import MapPlan
    from flows.mapping.steps import BuildingsRecord


Frames: TypeAlias = Mapping[str, pd.DataFrame]
"""The layers of a product by name, without their geometry."""
_FOUND_IN = ("observed_event", "hydrography")
_OBSERVED = frozenset(Label) - set(REASONS) | {Label.OUT_OF_DOMAIN, Label.NO_MODEL}
"""Labels of pixels that were observed, whether or not they could be analysed."""


def summarise(
    plan: "MapPlan",
    mapped: Mapped,
    buildings: "BuildingsRecord | None",
    layers: LayersRecord,
    frames: Frames,
) -> Summary:
    """Return the summary of a product."""
    total = sum(mapped.label_pixels.values())
    analysed = sum(n for label, n in mapped.label_pixels.items() if label not in REASONS)
    observed = sum(n for label, n in mapped.label_pixels.items() if label in _OBSERVED)
    request, graded = plan.request, buildings is not None and bool(buildings.grades)
    masks = {source.scene: source.name for source in plan.clouds}
    return Summary(
        event_id=request.event,
        event_name=request.title,
        hazard=request.hazard,
        product_id=plan.product_id,
        area_km2=round(plan.area.area_km2, 6),
        observed_km2=round(plan.area.area_km2 * observed / total, 6),
        observed_share=observed / total,
        analysed_share=analysed / total,
        classes=_classes(plan, layers, frames),
        not_analysed=_not_analysed(frames["not_analysed"], mapped, total),
        buildings=_counts(frames["built_up"]["damage_gra"], DAMAGE_GRA if graded else ()),
        buildings_found=buildings.found if buildings else None,
        buildings_not_analysed=_counts(frames["built_up"]["reason"]),
        scenes=tuple(
            SceneUsed(
                id=scene.id,
                phase=scene.phase,
                sensor=scene.sensor.title,
                taken=scene.taken,
                used_share=mapped.scene_pixels.get(scene.id, 0) / total,
                clouds=masks.get(scene.id),
            )
            for scene in plan.scenes
        ),
        model=_model(plan),
        cross_check=_cross_check(mapped),
        notes=_notes(plan, mapped, buildings, layers),
    )


def _classes(plan: "MapPlan", layers: LayersRecord, frames: Frames) -> tuple[ClassFound, ...]:
    """Return what was found of each class, and zero where none was."""
    pixel_ha = abs(plan.geobox.resolution.x * plan.geobox.resolution.y) / 1e4
    names = {**NOTATION, Label.EVENT: plan.event}
    below = {
        names[label]: pixels * pixel_ha
        for label, pixels in layers.below_mmu_pixels.items()
        if label in names
    }
    found = {
        (layer, str(notation)): group
        for layer in _FOUND_IN
        for notation, group in frames[layer].groupby("notation", sort=True)
    }
    nothing = frames["observed_event"].iloc[:0]
    for layer, label in _wanted(plan):
        found.setdefault((layer, names[label]), nothing)
    return tuple(
        ClassFound(
            notation=notation,
            layer=layer,
            features=len(group),
            area_ha=round(float(group["area_ha"].sum()), 6),
            confidence_mean=_weighted(group),
            below_mmu_ha=round(below.get(notation, 0.0), 6),
        )
        for (layer, notation), group in found.items()
    )


def _wanted(plan: "MapPlan") -> tuple[tuple[str, Label], ...]:
    """Return layer and label of the classes that the model can find."""
    if plan.choice.grader is not None:
        return (("observed_event", Label.EVENT),) if plan.request.damaged_areas else ()
    if plan.choice.ref is None:
        return ()
    card, event = plan.choice.ref.card, ("observed_event", Label.EVENT)
    if EVENT_CLASSES[plan.event].water_class is None:
        return (event,)
    if not any(scene.phase is Phase.BEFORE for scene in plan.scenes):
        return (("observed_event", Label.UNDATED_WATER),)
    if card.single_date or Finding.REFERENCE_WATER in card.class_names:
        return (event, ("hydrography", Label.REFERENCE_WATER))
    return (event,)


def _weighted(group: pd.DataFrame) -> float | None:
    """Return the mean confidence, weighted by area; None where no feature has one."""
    known = group[group["confidence"].notna()]
    if known.empty or not known["area_ha"].sum():
        return None
    weights = known["area_ha"].to_numpy(float)
    return round(float(np.average(known["confidence"].to_numpy(float), weights=weights)), 1)


def _not_analysed(frame: pd.DataFrame, mapped: Mapped, total: int) -> tuple[NotAnalysed, ...]:
    shares = {REASONS[Label(v)]: n / total for v, n in mapped.label_pixels.items() if v in REASONS}
    areas = frame.groupby("reason")["area_ha"].sum()
    return tuple(
        NotAnalysed(reason=reason, area_ha=round(float(areas.get(reason, 0.0)), 6), share=share)
        for reason, share in sorted(shares.items())
    )


def _counts(values: pd.Series, wanted: Iterable[str] = ()) -> dict[str, int]:
    """Return the number of each value, and 0 of those that are wanted in any case."""
    counts = values.value_counts().sort_index()
    return dict.fromkeys(wanted, 0) | {str(name): int(number) for name, number in counts.items()}


def _model(plan: "MapPlan") -> ModelUsed | None:
    ref = plan.choice.ref
    if ref is None:
        return None
    return ModelUsed(
        name=ref.card.name,
        version=ref.card.version,
        digest12=ref.card.digest[:12],
        why=plan.choice.why,
        calibrated=ref.card.calibration is not None,
        grades_buildings=plan.choice.grader is not None,
    )


def _notes(
    plan: "MapPlan",
    mapped: Mapped,
    buildings: "BuildingsRecord | None",
    layers: LayersRecord,
) -> tuple[str, ...]:
    notes = [*plan.notes, *_detection_notes(plan, buildings)]
    notes += buildings.notes if buildings else ()
    notes += [*unmasked_notes(plan.clouds), *_check_notes(plan, mapped)]
    if plan.choice.ref is None:
        notes.append(plan.choice.why)
    if Label.UNDATED_WATER in mapped.label_pixels:
        notes.append(
            "part of the water has no image before the event: flood and standing water could "
            "not be distinguished there"
        )
    for phase, statistics in mapped.statistics.items():
        notes += [
            note if phase == "all" else f"{phase} the event: {note}" for note in statistics.notes
        ]
    unknown = [scene.id for scene in plan.scenes if scene.taken is None]
    if unknown:
        notes.append(f"the acquisition time of {', '.join(unknown)} is not known")
    unused = [s.id for s in plan.scenes if not mapped.scene_pixels.get(s.id)]
    if unused:
        notes.append(f"no pixel was taken from {', '.join(unused)}")
    return tuple(dict.fromkeys([*notes, *layers.notes]))


def _detection_notes(plan: "MapPlan", buildings: "BuildingsRecord | None") -> list[str]:
    if buildings is None or plan.finder is None:
        return []
    card = plan.finder.card
    notes = []
    if buildings.found is not None:
        accuracy = _accuracy(card, "f1_localisation", "F1 of building pixels")
        notes.append(
            f"{buildings.found} building outlines were found in the images by {card.name} "
            f"{card.digest[:12]} ({accuracy}): some houses are missed, merged or wrong, so their "
            "number is approximate"
        )
    if plan.request.damaged_areas:
        accuracy = _accuracy(card, "iou_ground", "IoU of damaged ground")
        notes.append(
            f"damaged areas are ground of at least {plan.min_area_m2:g} m2 where {card.name} finds "
            f"damage within some {REACH_M:g} m ({accuracy}); other ground may be damaged, too, and "
            "debris far from buildings is not detected"
        )
    return [*notes, f"{card.name}: {card.limits[0]}"]


def _accuracy(card: ModelCard, measure: str, title: str) -> str:
    """Return the scores of these very weights, without those of the same training elsewhere."""
    scores = ", ".join(
        f"{score.value:.2f} on {score.dataset} {score.split}"
        for score in card.scores
        if score.measure == measure and score.trainings_differ_in is None
    )
    return f"{title} outside its training data: {scores}" if scores else f"{title} was not measured"


def _cross_check(mapped: Mapped) -> CrossCheckUsed | None:
    if mapped.cross_checked_by is None:
        return None
    total = sum(mapped.label_pixels.values())
    agreeing, differing, contradicting = (
        mapped.cross_check_pixels[verdict]
        for verdict in (CrossCheck.AGREES, CrossCheck.DIFFERS, CrossCheck.CONTRADICTS)
    )
    kept = agreeing + differing
    return CrossCheckUsed(
        detector=mapped.cross_checked_by,
        compared_share=(kept + contradicting) / total,
        differing_share=differing / kept if kept else 0,
        withdrawn_share=contradicting / total,
    )


def _check_notes(plan: "MapPlan", mapped: Mapped) -> list[str]:
    """Return how the answer was checked; scenes outside the domain are in the statistics' notes."""
    ref, name = plan.choice.ref, plan.choice.name
    if ref is None or (plan.choice.grader is None and ref.card.domain is None):
        return []
    if not plan.request.domain_check:
        return [
            f"the domain check was turned off: the imagery may be unlike what {name} was trained on"
        ]
    check = _cross_check(mapped)
    if plan.choice.grader is not None or check is None:
        return []
    if not check.compared_share:
        return [
            f"{name} could not be cross-checked: {check.detector} classified none of its pixels"
        ]
    note = (
        f"cross-check of {name} with {check.detector}: they differ on "
        f"{share_text(check.differing_share)} of the pixels that both classified"
    )
    if check.withdrawn_share:
        note += (
            f"; a further {share_text(check.withdrawn_share)} of the area, where they contradict "
            "each other, was not analysed"
        )
    return [note]
