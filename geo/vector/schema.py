"""The schema as data: the layers, their fields and their value lists.

Names follow the vector package of Copernicus EMS Rapid Mapping, and values follow it where
it has a value list (emergency.copernicus.eu, "Rapid Mapping: products and data model",
pages 138109 and 138130). `water_class` is UNOSAT's `Water_Class`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from geo.raster.classify import REASONS, Label
from geo.vector.hazards import EVENT_CLASSES, EVENT_TYPES

Value: TypeAlias = str | int | float | None

WATER_CLASSES: dict[int, str] = {
    0: "water before the event",
    1: "flood water",
    2: "possible flood water",
    3: "probable flash-flood-affected land",
    4: "satellite detected water",
    5: "unknown",
    6: "possible saturated wet soil",
    9: "aquaculture or wet rice",
    14: "tsunami-affected",
    77: "Rann of Kutch",
    99: "maximum cumulative extent",
}

DAMAGE_GRA = ("Destroyed", "Damaged", "Possibly damaged", "No visible damage", "Not Analysed")
DAMAGE_XBD = ("destroyed", "major-damage", "minor-damage", "no-damage", "un-classified")

OUTLINE_GIVEN = "footprint given"
OUTLINE_FOUND = "found in the images"
"""Where the outline of a building is from: a file, or the network that found it."""
GRADE_PROBABILITIES = ("p_no_damage", "p_minor_damage", "p_major_damage", "p_destroyed")
"""Fields of the probabilities of the grades, from the lightest on."""
NO_GRADER = "no model for buildings"
TOO_SMALL = "too small in the image"
TOO_LARGE = "too large for one building"
COVERED = "covered by another footprint"
NOT_ALIGNED = "images not co-registered"
UNSURE = "grade uncertain"
NOT_GRADED = (
    NO_GRADER, TOO_SMALL, TOO_LARGE, COVERED, NOT_ALIGNED, UNSURE, REASONS[Label.OUT_OF_DOMAIN],
    *(f"{why} {phase} the event" for phase in ("before", "after") for why in REASONS.values()),
)  # fmt: skip
"""Why a building is "Not Analysed"."""


class FieldType(StrEnum):
    """Type of a column: the same in every format."""

    TEXT = "text"
    INTEGER = "integer"
    REAL = "real"


@dataclass(frozen=True)
class Field:
    """One column of a layer."""

    name: str
    kind: FieldType
    meaning: str
    """One line; printed in the table of fields."""
    values: tuple[str | int, ...] = ()
    """The values that it can take; empty where any can stand."""
    limits: tuple[float, float] | None = None
    nullable: bool = False
    decimals: int | None = None
    pattern: str | None = None


@dataclass(frozen=True)
class Layer:
    """One layer of a product; every geometry is a Polygon or a MultiPolygon."""

    name: str
    title: str
    what: str
    notations: tuple[str, ...]
    extra: tuple[Field, ...]
    """Fields that only this layer has, after those that all have."""
    defaults: Mapping[str, Value]
    """Values where the caller gives none."""
    identity: tuple[str, ...] = ("notation",)
    """Fields that, with the geometry and the product, name a feature."""

    @property
    def fields(self) -> tuple[Field, ...]:
        """All its columns, in order."""
        return (
            *(_with_values(field, self.notations) for field in FIELDS),
            *self.extra,
        )


def _with_values(field: Field, notations: tuple[str, ...]) -> Field:
    if field.name != "notation":
        return field
    return Field(field.name, field.kind, field.meaning, notations)


def _text(name: str, meaning: str, *values: str, nullable: bool = False) -> Field:
    return Field(name, FieldType.TEXT, meaning, values, nullable=nullable)


FIELDS: tuple[Field, ...] = (
    _text("id", "Name of the feature; the same inputs give the same id"),
    _text("event_id", "The event"),
    _text("event_type", "Kind of event, Copernicus EMS", *EVENT_TYPES),
    _text("notation", "What the polygon is"),
    _text(
        "det_method", "How it was found, Copernicus EMS",
        "Automatic extraction", "Semi-automatic extraction", "Photo-interpretation", "Modelling",
    ),
    Field("confidence", FieldType.INTEGER, "Mean probability that the polygon is what `notation` "
          "says, per cent; null where nothing was classified", limits=(0, 100), nullable=True),
    Field("area_ha", FieldType.REAL, "Area on the ground, hectares", limits=(0, float("inf")),
          decimals=6),
    Field("observed_at", FieldType.TEXT, "Time of the newest image of it, ISO 8601 UTC, or "
          "its date where that is all that is known; null where nothing is", nullable=True,
          pattern=r"\d{4}-\d\d-\d\d(T\d\d:\d\d:\d\dZ)?"),
    _text("or_src_id", "Scenes before the event, by id, comma-separated", nullable=True),
    _text("dmg_src_id", "Scenes after the event, by id, comma-separated", nullable=True),
    _text("sensor", "Sensors, comma-separated", nullable=True),
    Field("sensor_gsd", FieldType.REAL, "Ground sampling distance of the sharpest of them, metres",
          limits=(0, float("inf")), nullable=True, decimals=3),
    _text("model", "Name of the model and 12 digits of its digest", nullable=True),
    _text("product_id", "The product that the feature was published in"),
    _text("status", "State of review", "draft", "reviewed", "refused"),
)  # fmt: skip
"""The columns of every layer, in order."""

_WATER_CLASS = Field("water_class", FieldType.INTEGER, "UNOSAT `Water_Class`", tuple(WATER_CLASSES),
                     nullable=True)  # fmt: skip

LAYERS: dict[str, Layer] = {
    layer.name: layer
    for layer in (
        Layer("observed_event", "Observed event",
              "Flooded area, flood trace, burnt area, landslide, damaged area",
              tuple(EVENT_CLASSES), (_WATER_CLASS,), {"water_class": None}),
        Layer("built_up", "Buildings", "Building footprints with their damage", ("Building",),
              (_text("damage_gra", "Damage, Copernicus EMS", *DAMAGE_GRA),
               _text("damage_xbd", "Damage, xBD joint damage scale", *DAMAGE_XBD),
               _text("reason", "Why it is Not Analysed; null where it has a grade", *NOT_GRADED,
                     nullable=True),
               *(Field(name, FieldType.REAL, f"Probability of {name[2:].replace('_', ' ')}, per "
                       "cent; null where the model had no answer", limits=(0, 100), nullable=True,
                       decimals=1) for name in GRADE_PROBABILITIES),
               _text("outline_src", "Where its outline is from", OUTLINE_GIVEN, OUTLINE_FOUND),
               Field("p_building", FieldType.REAL, "Probability that it is a building, per cent, "
                     "mean over its pixels; null where its footprint was given", limits=(0, 100),
                     nullable=True, decimals=1)),
              {"notation": "Building", "confidence": None, "damage_gra": "Not Analysed",
               "damage_xbd": "un-classified", "reason": NO_GRADER,
               **dict.fromkeys(GRADE_PROBABILITIES, None), "outline_src": OUTLINE_GIVEN,
               "p_building": None}),
        Layer("hydrography", "Reference water", "Water that was there before the event",
              ("Reference water", "Reference water, receded"), (_WATER_CLASS,), {"water_class": 0}),
        Layer("not_analysed", "Not analysed", "Inside the area, not observed or not reliable",
              ("Not analysed",), (_text("reason", "Why", *REASONS.values()),),
              {"notation": "Not analysed", "confidence": None}, ("notation", "reason")),
        Layer("image_footprint", "Image footprints", "Each scene that was used",
              ("Image footprint",),
              (_text("src_id", "Id of the scene, as in `or_src_id` and `dmg_src_id`"),
               _text("eventphase", "When it was taken, Copernicus EMS", "Pre-event",
                     "Post-event")),
              {"notation": "Image footprint", "confidence": None, "or_src_id": None,
               "dmg_src_id": None}, ("notation", "src_id")),
        Layer("area_of_interest", "Area of interest", "The area of the request",
              ("Area of interest",), (),
              {"notation": "Area of interest", "confidence": None, "observed_at": None,
               "or_src_id": None, "dmg_src_id": None, "sensor": None, "sensor_gsd": None}),
    )
}  # fmt: skip
"""By name, in the order of the design."""


def schema_markdown() -> str:
    """Return the table of fields of every layer as Markdown."""
    head = "| layer | field | type | meaning | values |\n|---|---|---|---|---|"
    rows = [_row("every layer", field) for field in FIELDS if field.name != "notation"]
    for layer in LAYERS.values():
        own = [field for field in layer.fields if field.name == "notation" or field in layer.extra]
        rows += [_row(f"`{layer.name}`", field) for field in own]
    return "\n".join([head, *rows]) + "\n"


def _row(layer: str, field: Field) -> str:
    kind = f"{field.kind} or null" if field.nullable else str(field.kind)
    return f"| {layer} | `{field.name}` | {kind} | {field.meaning} | {_values(field)} |"


def _values(field: Field) -> str:
    if field.name == "water_class":
        return ", ".join(f"{code} {meaning}" for code, meaning in WATER_CLASSES.items())
    if field.limits is not None and field.limits[1] < float("inf"):
        return f"{field.limits[0]:g} to {field.limits[1]:g}"
    return ", ".join(f"`{value}`" for value in field.values)
