"""The summary of a product as Markdown, for a Prefect artifact and for the terminal."""

from collections.abc import Iterable, Sequence

from flows.reports.summary import NOTATION, ModelUsed, PhotoSummary, Summary
from flows.reports.text import (
    NOT_REVIEWED,
    confidence_meaning,
    escaped,
    km2_text,
    sentence,
    share_text,
    time_text,
)
from geo.vector.schema import DAMAGE_GRA

_SHOWN = 20
"""Photos that are listed; all are in `photos.csv`."""


def summary_markdown(summary: Summary, *, product: str) -> str:
    """Return the summary of a map, every name escaped; product: folder of the product."""
    parts = (
        _head(summary),
        _found(summary),
        _not_analysed(summary),
        _buildings(summary),
        _notes(summary.notes),
        _scenes(summary),
        _clouds(summary),
        _model(summary.model),
        _product(summary.product_id, product),
    )
    return "\n\n".join(part for part in parts if part) + "\n"


def _head(summary: Summary) -> str:
    return (
        f"# {escaped(summary.event_name)}\n\n"
        f"{summary.hazard.capitalize()}, area of {km2_text(100 * summary.area_km2)} km², "
        f"{share_text(summary.observed_share)} of it observed and "
        f"{share_text(summary.analysed_share)} analysed. {NOT_REVIEWED}."
    )


def _found(summary: Summary) -> str:
    left_out = ", ".join(
        f"{escaped(found.notation)} {km2_text(found.below_mmu_ha)} km²"
        for found in summary.classes
        if found.below_mmu_ha
    )
    rows = [
        (
            escaped(found.notation),
            km2_text(found.area_ha),
            f"{found.features:,}",
            "" if found.confidence_mean is None else f"{found.confidence_mean:.0f}",
        )
        for found in summary.classes
        if found.features
    ]
    event_found = any(f.layer == "observed_event" and f.features for f in summary.classes)
    nothing = (
        "No trace of the event was found in the part of the area that was analysed."
        if summary.model
        else "No model was run, so the product does not show where the event is."
    )
    parts = (
        _table(("Found", "km²", "polygons", "confidence, 0 to 100"), rows),
        "" if event_found or _is_graded(summary) else nothing,
        f"Not in the layers, as smaller than the minimum mapping unit: {left_out}."
        if left_out
        else "",
    )
    return "\n\n".join(part for part in parts if part)


def _is_graded(summary: Summary) -> bool:
    return summary.model is not None and summary.model.grades_buildings


def _not_analysed(summary: Summary) -> str:
    if not summary.not_analysed:
        return "The whole area was analysed."
    rows = [
        (escaped(part.reason), km2_text(part.area_ha), share_text(part.share))
        for part in sorted(summary.not_analysed, key=lambda part: -part.area_ha)
    ]
    missing_ha = sum(part.area_ha for part in summary.not_analysed)
    return (
        f"**{share_text(1 - summary.analysed_share)} of the area ({km2_text(missing_ha)} km²) was "
        "not analysed. It may be affected or not.**\n\n"
        + _table(("Not analysed, because", "km²", "share of the area"), rows)
    )


def _buildings(summary: Summary) -> str:
    order = [grade for grade in DAMAGE_GRA if grade in summary.buildings]
    order += sorted(set(summary.buildings) - set(order))
    rows = [(escaped(grade), f"{summary.buildings[grade]:,}") for grade in order]
    without = [
        (escaped(reason), f"{count:,}")
        for reason, count in sorted(summary.buildings_not_analysed.items(), key=lambda p: -p[1])
    ]
    tables = (
        _table(("Damage", "buildings"), rows),
        _table(("Not analysed, because", "buildings"), without) if _is_graded(summary) else "",
    )
    return "\n\n".join(table for table in tables if table)


def _notes(notes: Sequence[str]) -> str:
    lines = "\n".join(f"- {escaped(sentence(note))}" for note in notes)
    return f"**Please note**\n\n{lines}" if notes else ""


def _scenes(summary: Summary) -> str:
    rows = [
        (
            scene.phase.value,
            escaped(scene.id),
            escaped(scene.sensor),
            time_text(scene.taken),
            share_text(scene.used_share),
        )
        for scene in summary.scenes
    ]
    return _table(("Phase", "scene", "sensor", "taken", "share of the area"), rows)


def _clouds(summary: Summary) -> str:
    masks = dict.fromkeys(scene.clouds for scene in summary.scenes if scene.clouds)
    by_mask = [
        f"{escaped(mask)} in {', '.join(escaped(s.id) for s in summary.scenes if s.clouds == mask)}"
        for mask in masks
    ]
    return f"Clouds and their shadows were masked by {'; by '.join(by_mask)}." if by_mask else ""


def _model(model: ModelUsed | None) -> str:
    if model is None:
        return ""
    return (
        f"Model {escaped(model.name)} {escaped(model.version)}, digest {model.digest12}. "
        f"{escaped(sentence(model.why))} "
        + confidence_meaning(calibrated=model.calibrated, buildings=model.grades_buildings)
    )


def _product(product_id: str, product: str) -> str:
    return f"Product {escaped(product_id)}, in the folder\n\n    {product.replace(chr(10), ' ')}"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table whose first column is text; nothing where there is no row."""
    lines = [f"| {' | '.join(row)} |" for row in rows]
    if not lines:
        return ""
    return "\n".join((f"| {' | '.join(head)} |", f"|---{'|---' * (len(head) - 1)}|", *lines))


def photos_markdown(summary: PhotoSummary, *, product: str) -> str:
    """Return the summary of photos; see `summary_markdown`."""
    shown = summary.photos[:_SHOWN]
    positions = {"footprint": "approximate footprint", "camera": "of the camera", "none": "none"}
    rows = [
        (
            escaped(photo.photo),
            "unknown" if photo.flooded_share is None else share_text(photo.flooded_share),
            "" if photo.confidence is None else f"{photo.confidence:.0f}",
            share_text(photo.not_analysed_share),
            positions[photo.position],
        )
        for photo in shown
    ]
    more = len(summary.photos) - len(shown)
    return "\n\n".join(
        part
        for part in (
            f"# {escaped(summary.event_name)}",
            f"{summary.hazard.capitalize()}, {len(summary.photos)} photos. {NOT_REVIEWED}.",
            _table(("Photo", NOTATION, "confidence, 0 to 100", "not analysed", "position"), rows),
            f"And {more} more: photos.csv has them all." if more else "",
            _notes(summary.notes),
            _model(summary.model),
            _product(summary.product_id, product),
        )
        if part
    )
