"""The words beside the map: facts and the numbers of the legend, from a summary."""

from collections.abc import Sequence

from flows.phrases import confidence_meaning, dates_text, km2_text, share_text, time_text
from flows.report import SceneUsed, Summary
from geo.scene import Phase


def map_facts(summary: Summary) -> tuple[str, ...]:
    """Return what a reader of the map must know, a sentence or two each."""
    facts = [
        *_scenes("Before", [scene for scene in summary.scenes if scene.phase is Phase.BEFORE]),
        *_scenes("After", [scene for scene in summary.scenes if scene.phase is Phase.AFTER]),
        _seen(summary),
    ]
    if summary.model is not None:
        model = summary.model
        facts.append(f"Model: {model.name} {model.version} ({model.digest12})")
        facts.append(
            confidence_meaning(calibrated=model.calibrated, buildings=model.grades_buildings)
        )
    facts.append(f"Product: {summary.product_id}")
    return tuple(facts)


def legend_numbers(summary: Summary) -> dict[str, str]:
    """Return the number beside each class of the legend, by notation, reason or damage."""
    unseen_ha = sum(part.area_ha for part in summary.not_analysed)
    return {
        "Area of interest": f"{km2_text(100 * summary.area_km2)} km²",
        **({"Not analysed": f"{km2_text(unseen_ha)} km²"} if summary.not_analysed else {}),
        **{found.notation: f"{km2_text(found.area_ha)} km²" for found in summary.classes},
        **{part.reason: f"{km2_text(part.area_ha)} km²" for part in summary.not_analysed},
        **{grade: f"{count:,}" for grade, count in summary.buildings.items()},
    }


def _scenes(phase: str, scenes: Sequence[SceneUsed]) -> list[str]:
    """Return one fact for each sensor: one scene with its time, several with their dates."""
    facts = []
    for sensor in dict.fromkeys(scene.sensor for scene in scenes):
        times = [scene.taken for scene in scenes if scene.sensor == sensor]
        if len(times) == 1:
            facts.append(f"{phase}: {sensor}, {time_text(times[0])}")
        else:
            facts.append(f"{phase}: {sensor}, {len(times)} scenes, {dates_text(times)}")
    return facts


def _seen(summary: Summary) -> str:
    seen = (
        f"Of {km2_text(100 * summary.area_km2)} km², {share_text(summary.observed_share)} was "
        f"observed and {share_text(summary.analysed_share)} analysed"
    )
    reasons = ", ".join(
        f"{part.reason} {share_text(part.share)}"
        for part in sorted(summary.not_analysed, key=lambda part: -part.area_ha)
    )
    return f"{seen}; not: {reasons}." if reasons else f"{seen}."
