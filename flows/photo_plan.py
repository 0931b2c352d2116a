"""From a request of photos to a plan: which photos, which model, which product."""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from flows.errors import NothingFits, RequestInvalid
from flows.find import code_digest
from flows.request import MapRequest
from flows.settings import Settings
from geo.photo import is_of_camera
from geo.scene import Phase
from geo.source import PICTURE_SUFFIXES, Source, expanded, photos_of, placed_of
from geo.tiles import is_tree
from models.matching import TASKS_OF, Available, matching
from models.photos import BANDS, SENSOR, require_photos
from models.registry import CardRef, all_cards, find

_OF_MAPS = (
    "area", "before", "buildings", "find_buildings", "damaged_areas", "resolution_m", "crs",
    "min_area_m2", "simplify_m",
)  # fmt: skip
"""What a request may say of a map, and not of photos."""


@dataclass(frozen=True)
class PhotoPlan:
    """Everything that a product of photos depends on."""

    request: MapRequest
    photos: Mapping[str, Path]
    """By the name that each has in the product."""
    digests: Mapping[str, str]
    """sha256 by the same name."""
    ref: CardRef
    """The model."""
    why: str
    """Why this model, a sentence."""
    product_id: str


def photos_in(request: MapRequest) -> tuple[Path, ...]:
    """Return the photos of a request; none where its images are georeferenced.

    Pictures beside GeoTIFFs are previews of them, unless they say which camera took them.

    Raises:
        RequestInvalid: where both are asked for at once.
    """
    photos: dict[Path, None] = {}
    placed: list[Path] = []
    for source in (spec.as_source() for spec in request.after):
        here, lying = _sorted_out(source)
        photos |= dict.fromkeys(here)
        placed += lying
    if photos and placed:
        raise RequestInvalid(
            f"{next(iter(photos)).name} is a photo that lies nowhere, and {placed[0].name} is "
            "georeferenced; map photos and georeferenced images in two requests"
        )
    return tuple(photos)


def plan_photos(request: MapRequest, photos: Sequence[Path], settings: Settings) -> PhotoPlan:
    """Return the plan of a request of photos.

    Raises:
        RequestInvalid: where it asks for what only a map has.
        NothingFits, ModelUnknown, InputsMismatch: where no model answers for photos.
    """
    fields = MapRequest.model_fields
    if said := [name for name in _OF_MAPS if getattr(request, name) != fields[name].default]:
        raise RequestInvalid(
            f"{photos[0].name} is a photo that lies nowhere, and {', '.join(said)} is of maps; "
            "leave it out, or georeference the photo"
        )
    ref, why = _choose(request, settings)
    named = _named(photos)
    digests = {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in named.items()}
    recipe = {
        "event": request.event, "hazard": request.hazard, "name": request.title,
        "photos": [(name, path.name, digests[name]) for name, path in named.items()],
        "model": ref.card.digest,
        "domain_check": request.domain_check, "code": code_digest(),
    }  # fmt: skip
    text = json.dumps(recipe, sort_keys=True, separators=(",", ":"))
    product_id = hashlib.sha256(text.encode()).hexdigest()[:16]
    return PhotoPlan(request, named, digests, ref, why, product_id)


def _sorted_out(source: Source) -> tuple[tuple[Path, ...], tuple[Path, ...]]:
    """Return the photos of a source, and its georeferenced images."""
    folder = expanded(Path(source.path))
    if folder.is_dir() and is_tree(folder):
        return (), (folder,)
    photos, placed = photos_of(source), placed_of(source)
    previews = placed and not any(path.suffix.lower() in PICTURE_SUFFIXES for path in placed)
    if previews:
        photos = tuple(path for path in photos if is_of_camera(path))
    return photos, placed


def _choose(request: MapRequest, settings: Settings) -> tuple[CardRef, str]:
    """Return the model that was asked for or the first that fits, and why it."""
    if request.model == "none":
        raise RequestInvalid("a photo without a model says nothing; name another --model")
    if request.model is not None:
        ref = find(request.model, extra=settings.models)
        require_photos(ref.card)
        return ref, f"{ref.card.name} was asked for"
    offer = Available(Phase.AFTER, SENSOR, BANDS)
    match = matching(all_cards(settings.models), hazard=request.hazard, available=[offer])
    if match.fits:
        ref = match.fits[0]
        require_photos(ref.card)
        return ref, f"{ref.card.name} is the first choice that fits photos"
    tasks = TASKS_OF[request.hazard]
    reasons = [m.reason for m in match.misfits if m.ref.card.task in tasks]
    raise NothingFits(
        f"no model can find a {request.hazard} in photos: "
        f"{'; '.join(dict.fromkeys(reasons)) or 'none looks for it'}; give a --model of your own"
    )


def _named(photos: Sequence[Path]) -> dict[str, Path]:
    """Return photos by names that are unique, and plain enough for any disk and address."""
    named: dict[str, Path] = {}
    for path in photos:
        stem = re.sub(r"[^A-Za-z0-9_.-]+", "-", path.stem).strip(".-") or "photo"
        number, name = 1, stem
        while name in named:
            number, name = number + 1, f"{stem}-{number + 1}"
        named[name] = path
    return named
