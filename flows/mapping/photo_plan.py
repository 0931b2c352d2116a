"""From a request of photos to a plan: which photos, which model, which product."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from flows.config import RequestInvalid, Settings
from flows.mapping.plan import Plan, code_digest, product_id
from flows.request import MapRequest
from geo.scenes.scene import Phase
from geo.scenes.source import PICTURE_SUFFIXES, Source, expanded, photos_of, placed_of
from models.cards.registry import all_cards, find
from models.cards.selection import TASKS_OF, Choice, matching
from models.cards.suitability import Available
from models.errors import NoModelFits

_OF_MAPS = (
    "area", "before", "buildings", "find_buildings", "damaged_areas", "resolution_m", "crs",
    "min_area_m2", "simplify_m",
)  # fmt: skip
"""Fields of a request that photos have no use for."""


@dataclass(frozen=True, eq=False, kw_only=True)
class PhotoPlan(Plan):
    """Everything that a product of photos depends on."""

    photos: Mapping[str, Path]
    """By the name that each has in the product."""
    digests: Mapping[str, str]
    """sha256 by the same name."""


def find_photos(request: MapRequest) -> tuple[Path, ...]:
    """Return the photos of a request; none where its images are georeferenced.

    Pictures beside GeoTIFFs are previews of them, unless they say which camera took them.

    Raises:
        RequestInvalid: where both are given at once.
    """
    photos: dict[Path, None] = {}
    placed: list[Path] = []
    for source in (spec.as_source() for spec in request.after):
        here, lying = _sorted_out(source)
        photos |= dict.fromkeys(here)
        placed += lying
    if photos and placed:
        raise RequestInvalid(
            f"{next(iter(photos)).name} is a photo without georeference, and {placed[0].name} is "
            "georeferenced; map photos and georeferenced images in two requests"
        )
    return tuple(photos)


def plan_photos(request: MapRequest, photos: Sequence[Path], settings: Settings) -> PhotoPlan:
    """Return the plan of a request of photos.

    Raises:
        RequestInvalid: where it asks for what only a map has.
        NoModelFits, ModelUnknown, InputsMismatch: where no model answers for photos.
    """
    fields = MapRequest.model_fields
    if given := [name for name in _OF_MAPS if getattr(request, name) != fields[name].default]:
        raise RequestInvalid(
            f"{photos[0].name} is a photo without georeference, and {', '.join(given)} needs one; "
            "leave it out, or georeference the photo"
        )
    choice = _choose(request, settings)
    named = _named(photos)
    digests = {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in named.items()}
    recipe = {
        "event": request.event, "hazard": request.hazard, "name": request.title,
        "photos": [(name, path.name, digests[name]) for name, path in named.items()],
        "model": choice.ref.card.digest if choice.ref else None,
        "domain_check": request.domain_check, "code": code_digest(),
    }  # fmt: skip
    return PhotoPlan(
        request, choice, product_id(recipe), request.notes, photos=named, digests=digests
    )


def _sorted_out(source: Source) -> tuple[tuple[Path, ...], tuple[Path, ...]]:
    """Return the photos of a source, and its georeferenced images."""
    folder = expanded(Path(source.path))
    photos = photos_of(source)
    if not photos:
        return (), placed_of(source)
    from geo.imagery.photo import is_of_camera  # noqa: PLC0415 (only pictures are opened)
    from geo.imagery.xyz_tiles import is_tree  # noqa: PLC0415 (the same)

    if folder.is_dir() and is_tree(folder):
        return (), (folder,)
    placed = placed_of(source)
    if placed and not any(path.suffix.lower() in PICTURE_SUFFIXES for path in placed):
        photos = tuple(path for path in photos if is_of_camera(path))
    return photos, placed


def _choose(request: MapRequest, settings: Settings) -> Choice:
    """Return the model that was requested or the first that fits, and why it."""
    from models.inference.photos import BANDS, SENSOR, require_photos  # noqa: PLC0415 (maps need none of it)

    if request.model == "none":
        raise RequestInvalid("a photo without a model says nothing; name another --model")
    if request.model is not None:
        ref = find(request.model, extra=settings.models)
        require_photos(ref.card)
        return Choice(ref, f"{ref.card.name} was requested")
    offer = Available(Phase.AFTER, SENSOR, BANDS)
    match = matching(all_cards(settings.models), hazard=request.hazard, available=[offer])
    if match.fits:
        ref = match.fits[0]
        require_photos(ref.card)
        return Choice(ref, f"{ref.card.name} is the first choice that fits photos")
    tasks = TASKS_OF[request.hazard]
    reasons = [why for ref, why in match.misfits if ref.card.task in tasks]
    raise NoModelFits(
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
