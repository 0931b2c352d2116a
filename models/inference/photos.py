"""Where a model finds water in a photo without georeference."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from geo.imagery.photo import Photo
from geo.raster.classify import REASONS, Label
from geo.types import BoolArray, CodeArray, FloatArray, Raster
from models.cards.card import ModelCard
from models.errors import InputsMismatch
from models.inference.model import Model
from models.inference.windows import NoProgress, WindowSource, row_bands
from models.networks.tensors import in_domain, raster_without_location

SENSOR = "drone-rgb"
BANDS = ("red", "green", "blue")
FOUND, NOT_FOUND, NOT_ANALYSED = 255, 0, 127
"""Values of a mask. Whoever takes what is brighter than half for found takes no unseen pixel."""


@dataclass(frozen=True, eq=False)
class PhotoMask:
    """Where water was found in a photo."""

    mask: CodeArray
    """(rows, cols) of the photo: `FOUND`, `NOT_FOUND` or `NOT_ANALYSED`."""
    confidence: float | None
    """Mean probability of what was found, per cent; None where nothing was."""
    reasons: dict[str, float]
    """Share of the photo that was not analysed, by reason."""
    note: str | None
    """Why the whole photo was left out; None where it was not."""

    @property
    def not_analysed_share(self) -> float:
        """Of the photo."""
        return float((self.mask == NOT_ANALYSED).mean())

    @property
    def found_share(self) -> float | None:
        """Of what was analysed; None where nothing was."""
        analysed = self.mask != NOT_ANALYSED
        return float((self.mask == FOUND).sum() / analysed.sum()) if analysed.any() else None


def map_photo(model: Model, photo: Photo, name: str) -> PhotoMask:
    """Return where water is in a photo, averaged to the window's size, as photos in training."""
    probability, note = _probability(model, photo, name)
    answered = np.isfinite(probability)
    found = np.nan_to_num(probability) >= model.card.classes[0].threshold
    mask = np.where(found, FOUND, np.where(answered, NOT_FOUND, NOT_ANALYSED)).astype(np.uint8)
    return PhotoMask(
        mask=mask,
        confidence=float(100 * probability[found].mean()) if found.any() else None,
        reasons=_reasons(photo.valid, answered, out_of_domain=note is not None),
        note=note,
    )


def require_photos(card: ModelCard) -> None:
    """Raise InputsMismatch where a model wants another input than red, green and blue."""
    entry = card.inputs[0]
    if not (card.single_date and entry.bands == BANDS and SENSOR in entry.sensors):
        raise InputsMismatch(
            f"{card.name} wants {' and '.join(', '.join(e.bands) for e in card.inputs)} for the "
            f"task {card.task}, and photos are one image of {', '.join(BANDS)}; name a model of "
            "water in pictures, such as flood-rgb"
        )


def _probability(model: Model, photo: Photo, name: str) -> tuple[FloatArray, str | None]:
    """Return the probability of each pixel, NaN without an answer, and why all of it is so."""
    nothing = np.full(photo.valid.shape, np.nan, np.float32)
    pixels, valid = _reduced(photo, model.card.window_px)
    if not valid.any():
        return nothing, None
    entry = model.card.inputs[0].name
    raster = raster_without_location(pixels, valid=valid, bands=BANDS, source=name)
    try:
        statistics = model.scene_statistics([{entry: raster}])
    except InputsMismatch as error:
        return nothing, str(error)
    raster = in_domain(raster, statistics.out_of_domain.get(entry, ()))
    if not raster.valid.any():
        return nothing, "; ".join(statistics.notes)

    def predict(batch: Sequence[Raster]) -> list[tuple[FloatArray, CodeArray]]:
        planes = model.predict([{entry: part} for part in batch], statistics)[:, :1]
        return [(plane, np.isfinite(plane).astype(np.uint8)) for plane in planes]

    # It is no larger than one window.
    card = model.card
    windows = WindowSource(card.window_px, card.overlap_px, (1, 1), lambda _: raster, predict)
    [band] = row_bands(windows, raster.geobox, title=name, progress=NoProgress())
    plane = np.where(band.codes[0] > 0, band.values[0], np.float32(np.nan))
    return _enlarged(plane, photo.valid), None


def _reduced(photo: Photo, side_px: int) -> tuple[FloatArray, BoolArray]:
    """Return a photo of at most that side: (3, rows, cols) and where half of a pixel is seen."""
    rows, cols = photo.valid.shape
    scale = min(1.0, side_px / max(rows, cols))
    size = max(1, round(cols * scale)), max(1, round(rows * scale))
    alpha = np.where(photo.valid, np.uint8(255), np.uint8(0))
    # Pillow weighs colours by alpha: what is not seen darkens no pixel beside it.
    small = np.asarray(
        Image.fromarray(np.dstack([photo.pixels, alpha])).resize(size, Image.Resampling.BOX)
    )
    pixels = np.moveaxis(small[..., :3], 2, 0).astype(np.float32)
    return pixels, small[..., 3] >= 128


def _enlarged(plane: FloatArray, valid: BoolArray) -> FloatArray:
    """Return the probability on the photo's own pixels, NaN where not seen or without an answer."""
    size = valid.shape[1], valid.shape[0]
    answered = np.isfinite(plane)
    whole = Image.fromarray(np.where(answered, plane, np.float32(0)))
    there = Image.fromarray(answered.astype(np.uint8))
    probability = np.asarray(whole.resize(size, Image.Resampling.BILINEAR))
    seen = valid & (np.asarray(there.resize(size, Image.Resampling.NEAREST)) > 0)
    return np.where(seen, probability, np.float32(np.nan))


def _reasons(valid: BoolArray, answered: BoolArray, *, out_of_domain: bool) -> dict[str, float]:
    shares = {REASONS[Label.NO_DATA]: float((~valid & ~answered).mean())}
    rest = REASONS[Label.OUT_OF_DOMAIN if out_of_domain else Label.NO_DATA]
    shares[rest] = shares.get(rest, 0.0) + float((valid & ~answered).mean())
    return {reason: share for reason, share in shares.items() if share}
