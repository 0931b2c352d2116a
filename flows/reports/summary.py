"""The summary of a product, as records: what is written as `summary.json` and `photos.csv`."""

import csv
from io import StringIO
from typing import Annotated, Literal

from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveInt,
)

from geo.scenes.scene import Phase
from geo.vector.hazards import Hazard

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


class CrossCheckUsed(_Part):
    """A transparent detector whose answer was compared with that of the model."""

    detector: str
    compared_share: Share = Field(description="Of the area, that both classified.")
    differing_share: Share = Field(
        description="Of what was compared and not withdrawn, where they differ."
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
    cross_check: CrossCheckUsed | None = Field(
        default=None, description="null: the model was not cross-checked with a detector."
    )
    notes: tuple[str, ...] = Field(default=(), description="Sentences; what to be careful about.")


NOTATION = "Flooded area or standing water"
"""What a mask shows: one photo does not tell a flood from a pond."""


class PhotoFound(_Part):
    """One photo."""

    photo: str = Field(description="Name of the file.")
    mask: str = Field(description="Path in the product: 0 dry, 255 water, 127 not analysed.")
    overlay: str = Field(description="Path in the product: the photo with the mask on it.")
    width_px: PositiveInt
    height_px: PositiveInt
    taken: str | None = Field(description="By the camera's clock, ISO 8601; null: not known.")
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


class PhotoSummary(_Part):
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
