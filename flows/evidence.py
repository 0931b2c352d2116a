"""Evidence: what a product was made from, found again and checked against its manifest."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from affine import Affine
from odc.geo.geobox import GeoBox
from pydantic import TypeAdapter

from flows.errors import RequestInvalid
from flows.records import scene_record
from flows.request import SourceSpec
from flows.settings import Settings
from geo.discover import scenes_of
from geo.errors import SourceInvalid
from geo.manifest import Product
from geo.origins import read_origins
from geo.scene import Phase, Scene
from models.card import CARD_NAME
from models.clouds import Clouds, CloudSource, cloud_sources
from models.errors import ModelUnknown
from models.registry import CardRef, all_cards, find
from models.survey import Survey

_SURVEYS = TypeAdapter(dict[str, Survey])
_NOT_CONTENT = ("id", "acquisition", "files")
"""What a scene may be called today without being another."""


@dataclass(frozen=True)
class Places:
    """Where the inputs of a product are looked for."""

    sources: Mapping[Phase, tuple[str, ...]]
    """Files, folders or globs, in the order of the request."""
    model: Path | None
    """Folder of the card; None where only the shelves are searched."""


def places_of(
    product: Product, *, before: Sequence[str], after: Sequence[str], model: Path | None
) -> Places:
    """Return where the inputs lie: as told or, where nothing is told, as the store remembers.

    Raises:
        RequestInvalid: where neither says it, or the numbers of sources differ.
    """
    if product.manifest.get("kind") == "photos":
        raise RequestInvalid(
            f"the product {product.product_id} is of photos, which have no polygons; explain a map"
        )
    origins = read_origins(product)
    told = {Phase.BEFORE: tuple(before), Phase.AFTER: tuple(after)}
    kept = {
        Phase.BEFORE: tuple(origins.before) if origins else (),
        Phase.AFTER: tuple(origins.after) if origins else (),
    }
    sources = {phase: told[phase] or kept[phase] for phase in Phase}
    for phase, paths in sources.items():
        wanted = [spec["path"] for spec in product.manifest["request"][phase]]
        if len(wanted) != len(paths):
            raise RequestInvalid(
                f"the product {product.product_id} was made from {len(wanted)} sources {phase} the "
                f"event ({', '.join(wanted) or 'none'}), and {len(paths)} are known here; say "
                f"where each lies with --{phase}, in this order"
            )
    kept_model = Path(origins.model) if origins and origins.model else None
    return Places(sources, model or kept_model)


def scenes_again(product: Product, places: Places) -> tuple[Scene, ...]:
    """Return the scenes of a product, as they were when it was made.

    Raises:
        RequestInvalid: where one is not there any more, or reads as something else.
    """
    found = {
        (scene.phase, scene.revision): scene
        for phase in Phase
        for scene in _scenes(product, phase, places.sources[phase])
    }
    return tuple(_as_mapped(record, found, product) for record in product.manifest["scenes"])


def clouds_again(
    product: Product, scenes: Sequence[Scene], settings: Settings
) -> tuple[CloudSource, ...]:
    """Return who masked the clouds of the scenes of a product.

    Raises:
        RequestInvalid: where it would be somebody else now.
    """
    wanted = Clouds(product.manifest["request"]["clouds"])
    sources = cloud_sources(scenes, wanted, all_cards(settings.models))
    now, then = [source.as_json() for source in sources], product.manifest["clouds"]
    if now != then:
        raise RequestInvalid(
            f"the clouds of the product {product.product_id} were masked by {_masks(then)}, and "
            f"would now be by {_masks(now)}; explain it with the models that it was made with"
        )
    return sources


def model_again(product: Product, places: Places, settings: Settings) -> CardRef:
    """Return the model of a product, by its digest.

    Raises:
        RequestInvalid: where it was made without a model.
        ModelUnknown: where that model is not here.
    """
    made_by = product.manifest["model"]
    if made_by is None:
        raise RequestInvalid(
            f"the product {product.product_id} was made without a model; nothing can be explained"
        )
    there = list(all_cards(settings.models))
    if places.model is not None and (places.model / CARD_NAME).is_file():
        there.append(find(str(places.model), extra=settings.models))
    for ref in there:
        if ref.card.digest == made_by["digest"]:
            return ref
    named = [ref.card.digest[:12] for ref in there if ref.card.name == made_by["name"]]
    now = f"the one here has {', '.join(named)}" if named else "there is none of that name here"
    raise ModelUnknown(
        f"the product {product.product_id} was made by {made_by['name']} {made_by['version']} with "
        f"the digest {made_by['digest'][:12]}, and {now}; give the folder of that model with "
        "--model"
    )


def grid_of(product: Product) -> GeoBox:
    """Return the grid of a product."""
    grid = product.manifest["grid"]
    return GeoBox(tuple(grid["shape"]), Affine(*grid["transform"]), grid["crs"])


def surveys_of(product: Product) -> dict[str, Survey]:
    """Return what the model learned from the whole scene, by phase or "all"."""
    return _SURVEYS.validate_python(product.manifest["surveys"])


def _scenes(product: Product, phase: Phase, paths: Sequence[str]) -> Iterator[Scene]:
    """Yield the scenes of a phase, all that lie at their places."""
    for fields, path in zip(product.manifest["request"][phase], paths, strict=True):
        spec = SourceSpec.model_validate({**fields, "path": path})
        try:
            yield from scenes_of(spec.as_source(), phase)
        except SourceInvalid as error:
            raise RequestInvalid(
                f"{error}; the product {product.product_id} was made from it: put it back, or say "
                f"with --{phase} where it lies now"
            ) from error


def _as_mapped(
    record: Mapping[str, Any], found: Mapping[tuple[Phase, str], Scene], product: Product
) -> Scene:
    """Return the scene of a record, under its name."""
    phase, name = Phase(record["phase"]), record["id"]
    scene = found.get((phase, record["revision"]))
    if scene is None:
        raise RequestInvalid(
            f"the image {name} of the product {product.product_id} is not as it was: none of "
            f"the images {phase} the event has its digest {record['revision']}; put back "
            f"{', '.join(record['files'])}, or say with --{phase} where it lies now"
        )
    now = scene_record(scene)
    for key, value in record.items():
        if key not in _NOT_CONTENT and now[key] != value:
            raise RequestInvalid(
                f"the image {name} now reads as {key} {now[key]}, and was mapped as {value}; "
                "map the event again"
            )
    return replace(scene, id=name, acquisition=record["acquisition"])


def _masks(sources: Sequence[Mapping[str, str | None]]) -> str:
    """Return the names of masks in words."""
    names = [
        f"{source['network']} {str(source['digest'])[:12]}"
        if source["network"]
        else source["provider"] or "nobody"
        for source in sources
    ]
    return ", ".join(dict.fromkeys(names)) or "nobody"
