"""What a product found, in numbers (`summary.json`) and in words (Markdown).

What a product of photos found, in numbers (`summary.json`, `photos.csv`) and in words.
"""

import csv
from collections.abc import Iterable, Sequence
from io import StringIO
from typing import Annotated, Literal
from urllib.parse import quote

from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveInt,
)

from flows.reports.text import (
    NOT_REVIEWED,
    confidence_meaning,
    escaped,
    km2_text,
    sentence,
    share_text,
    time_text,
)
from geo.scenes.scene import Phase
from geo.vector.hazards import Hazard
from geo.vector.schema import DAMAGE_GRA

Share = Annotated[float, Field(ge=0, le=1)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ClassFound(_Part):
    """One class of one layer."""

    notation: str
    layer: str
    features: NonNegativeInt
    area_ha: NonNegativeFloat = Field(description="Of the features, hectares on the ground.")
    confidence_mean: float | None = Field(
        default=None, ge=0, le=100, description="Of the features, weighted by area; null: none."
    )
    below_mmu_ha: NonNegativeFloat = Field(
        default=0, description="Left out besides, in patches below the minimum mapping unit."
    )


class NotAnalysed(_Part):
    """A reason why a part of the area was not analysed."""

    reason: str
    area_ha: NonNegativeFloat
    share: Share = Field(description="Of the whole area.")


class SceneUsed(_Part):
    """One scene that the product was made of."""

    id: str
    phase: Phase
    sensor: str = Field(description="Title, as in the layers.")
    taken: AwareDatetime | None
    used_share: Share = Field(description="Of the area, that was taken from this scene.")
    clouds: str | None = Field(
        default=None,
        description="The mask of its clouds; null: none, or the sensor sees none or through them.",
    )


class ModelUsed(_Part):
    """The model, and why this one."""

    name: str
    version: str
    digest12: str
    why: str = Field(description="A sentence.")
    calibrated: bool
    grades_buildings: bool = Field(
        default=False, description="Its confidence is of the grade of a building."
    )


class DetectorBeside(_Part):
    """A transparent detector that was run beside a network as a check."""

    name: str
    compared_share: Share = Field(description="Of the area, that both answered.")
    differing_share: Share = Field(
        description="Of what was compared and not withdrawn, that they call differently."
    )
    withdrawn_share: Share = Field(
        description="Of the area, in blocks where they contradict each other: not analysed."
    )


class Summary(_Part):
    """What one product found; written as `summary.json`."""

    event_id: str
    event_name: str
    hazard: Hazard
    product_id: str
    area_km2: NonNegativeFloat
    observed_km2: NonNegativeFloat
    observed_share: Share = Field(description="Of the area, that an image shows.")
    analysed_share: Share = Field(
        description="Of the area, that was decided on: not more than was observed."
    )
    classes: tuple[ClassFound, ...]
    not_analysed: tuple[NotAnalysed, ...] = ()
    buildings: dict[str, NonNegativeInt] = Field(
        default_factory=dict, description="Number by `damage_gra`; empty where none were given."
    )
    buildings_found: NonNegativeInt | None = Field(
        default=None,
        description="Number that a network found in the images; null: their footprints were given.",
    )
    buildings_not_analysed: dict[str, NonNegativeInt] = Field(
        default_factory=dict, description="Number without a grade, by `reason`."
    )
    scenes: tuple[SceneUsed, ...]
    model: ModelUsed | None = Field(default=None, description="null: no model was run.")
    beside: DetectorBeside | None = Field(
        default=None, description="null: no detector was run beside the model."
    )
    notes: tuple[str, ...] = Field(default=(), description="Sentences; what to be careful about.")


def summary_markdown(summary: Summary, *, product: str) -> str:
    """Return the summary as Markdown, for a Prefect artifact and for the terminal.

    Every name is escaped for Markdown and HTML.

    Args:
        product: where the product lies, a folder or a URL.
    """
    parts = (
        _head(summary),
        _found(summary),
        _seen(summary),
        _buildings(summary),
        _notes(summary),
        _scenes(summary),
        _clouds(summary),
        _model(summary),
        _product(summary, product),
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
    parts = (
        _table(("Found", "km²", "polygons", "confidence, 0 to 100"), rows),
        "" if _event_found(summary) or _is_graded(summary) else _nothing(summary),
        f"Not in the layers, as smaller than the minimum mapping unit: {left_out}."
        if left_out
        else "",
    )
    return "\n\n".join(part for part in parts if part)


def _event_found(summary: Summary) -> bool:
    return any(found.layer == "observed_event" and found.features for found in summary.classes)


def _is_graded(summary: Summary) -> bool:
    return summary.model is not None and summary.model.grades_buildings


def _nothing(summary: Summary) -> str:
    if summary.model is None:
        return "No model was run, so nothing is said of where the event is."
    return "No trace of the event was found in the part of the area that was analysed."


def _seen(summary: Summary) -> str:
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


def _notes(summary: Summary) -> str:
    if not summary.notes:
        return ""
    return "**Please note**\n\n" + "\n".join(
        f"- {escaped(sentence(note))}" for note in summary.notes
    )


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
    said = [
        f"{escaped(mask)} in {', '.join(escaped(s.id) for s in summary.scenes if s.clouds == mask)}"
        for mask in masks
    ]
    return f"Clouds and their shadows were masked by {'; by '.join(said)}." if said else ""


def _model(summary: Summary) -> str:
    model = summary.model
    if model is None:
        return ""
    return (
        f"Model {escaped(model.name)} {escaped(model.version)}, digest {model.digest12}. "
        f"{escaped(sentence(model.why))} "
        + confidence_meaning(calibrated=model.calibrated, buildings=model.grades_buildings)
    )


def _product(summary: Summary, product: str) -> str:
    if product.startswith(("http://", "https://")):
        # Parentheses and blanks would end the link early.
        address = quote(product.rstrip("/"), safe=":/?&=%~@+,;-._")
        links = ", ".join(f"[{name}]({address}/{name})" for name in ("map.png", "layers.gpkg"))
        return f"Product {escaped(summary.product_id)}: {links}"
    return f"Product {escaped(summary.product_id)}, in the folder\n\n{_code(product)}"


def _code(text: str) -> str:
    """Return a line that is shown as it is, and can be copied."""
    return f"    {text.replace(chr(10), ' ')}"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table whose first column is text; nothing where there is no row."""
    lines = [f"| {' | '.join(row)} |" for row in rows]
    if not lines:
        return ""
    return "\n".join((f"| {' | '.join(head)} |", f"|---{'|---' * (len(head) - 1)}|", *lines))


NOTATION = "Flooded area or standing water"
"""What a mask shows: one photo does not tell a flood from a pond."""
_SHOWN = 20
"""Photos that are listed in words; the rest is in `photos.csv`."""


class _PhotoPart(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PhotoFound(_PhotoPart):
    """One photo."""

    photo: str = Field(description="Name of the file.")
    mask: str = Field(description="Path in the product: 0 dry, 255 water, 127 not analysed.")
    overlay: str = Field(description="Path in the product: the photo with the mask on it.")
    width_px: PositiveInt
    height_px: PositiveInt
    taken: str | None = Field(description="By the camera's clock, ISO 8601; null: not said.")
    flooded_share: Share | None = Field(
        description="Of what was analysed, that is flooded area or standing water; null: nothing "
        "was analysed."
    )
    confidence: float | None = Field(
        ge=0, le=100, description="Mean probability of that, per cent; null: none was found."
    )
    not_analysed_share: Share = Field(description="Of the photo.")
    not_analysed: dict[str, Share] = Field(description="The same by reason.")
    position: Literal["footprint", "camera", "none"] = Field(
        description="footprint: of the ground, approximate; camera: of the camera alone."
    )
    position_note: str = Field(description="Why the position is not known better.")
    lon: float | None = Field(description="Of the camera.")
    lat: float | None = Field(description="Of the camera.")
    note: str | None = Field(description="Why the whole photo was left out.")


class PhotoSummary(_PhotoPart):
    """What one product of photos found; written as `summary.json`."""

    kind: Literal["photos"] = "photos"
    event_id: str
    event_name: str
    hazard: Hazard
    product_id: str
    notation: str = NOTATION
    photos: tuple[PhotoFound, ...]
    model: ModelUsed
    notes: tuple[str, ...]


def photos_csv(summary: PhotoSummary) -> str:
    """Return one row a photo, with the names of `summary.json`."""
    plain = [name for name in PhotoFound.model_fields if name != "not_analysed"]
    out = StringIO()
    rows = csv.DictWriter(out, plain, extrasaction="ignore", lineterminator="\n")
    rows.writeheader()
    rows.writerows(photo.model_dump() for photo in summary.photos)
    return out.getvalue()


def photos_markdown(summary: PhotoSummary, *, product: str) -> str:
    """Return the summary as Markdown, for a Prefect artifact and for the terminal."""
    shown = summary.photos[:_SHOWN]
    rows = "\n".join(f"| {' | '.join(_row(photo))} |" for photo in shown)
    more = len(summary.photos) - len(shown)
    model = summary.model
    return "\n\n".join(
        part
        for part in (
            f"# {escaped(summary.event_name)}",
            f"{summary.hazard.capitalize()}, {len(summary.photos)} photos. {NOT_REVIEWED}.",
            f"| Photo | {NOTATION} | confidence, 0 to 100 | not analysed | position |\n"
            f"|---|---|---|---|---|\n{rows}",
            f"And {more} more: photos.csv has them all." if more else "",
            "**Please note**\n\n" + "\n".join(f"- {escaped(sentence(n))}" for n in summary.notes),
            f"Model {escaped(model.name)} {escaped(model.version)}, digest {model.digest12}. "
            f"{escaped(sentence(model.why))} {confidence_meaning(calibrated=model.calibrated)}",
            f"Product {escaped(summary.product_id)}, in the folder\n\n    {product}",
        )
        if part
    )


def _row(photo: PhotoFound) -> tuple[str, ...]:
    return (
        escaped(photo.photo),
        "unknown" if photo.flooded_share is None else share_text(photo.flooded_share),
        "" if photo.confidence is None else f"{photo.confidence:.0f}",
        share_text(photo.not_analysed_share),
        {"footprint": "approximate footprint", "camera": "of the camera", "none": "none"}[
            photo.position
        ],
    )
