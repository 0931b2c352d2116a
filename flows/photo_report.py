"""What a product of photos found, in numbers (`summary.json`, `photos.csv`) and in words."""

import csv
from io import StringIO
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveInt

from flows.phrases import NOT_REVIEWED, confidence_meaning, escaped, sentence, share_text
from flows.report import ModelUsed, Share
from geo.schema import Hazard

NOTATION = "Flooded area or standing water"
"""What a mask shows: one photo does not tell a flood from a pond."""
_SHOWN = 20
"""Photos that are listed in words; the rest is in `photos.csv`."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PhotoFound(_Part):
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
