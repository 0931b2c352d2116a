"""The inputs of a product, found again and compared with its manifest."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from affine import Affine
from odc.geo.geobox import GeoBox
from pydantic import TypeAdapter

from flows.config import RequestInvalid, Settings
from flows.request import SourceSpec
from geo.errors import SourceInvalid
from geo.scenes.discovery import scenes_of
from geo.scenes.scene import Phase, Scene
from geo.scenes.source import Clouds
from geo.store.manifest import Product, read_origins
from models.cards.card import CARD_NAME
from models.cards.registry import CardRef, all_cards, find
from models.cards.selection import CloudSource, cloud_sources
from models.errors import ModelUnknown
from models.networks.tensors import SceneStatistics

_STATISTICS = TypeAdapter(dict[str, SceneStatistics])


@dataclass(frozen=True)
class InputPaths:
    """Where the inputs of a product are looked for."""

    sources: Mapping[Phase, tuple[str, ...]]
    """Files, folders or globs, in the order of the request."""
    model: Path | None
    """Folder of the card; None where only the registry is searched."""


def input_paths(
    product: Product, *, before: Sequence[str], after: Sequence[str], model: Path | None
) -> InputPaths:
    """Return where the inputs are: as given, else as recorded; raises RequestInvalid."""
    if product.manifest.get("kind") == "photos":
        raise RequestInvalid(
            f"the product {product.product_id} is of photos, without polygons; give that of a map"
        )
    origins = read_origins(product)
    given = {Phase.BEFORE: tuple(before), Phase.AFTER: tuple(after)}
    recorded = {
        Phase.BEFORE: tuple(origins.before) if origins else (),
        Phase.AFTER: tuple(origins.after) if origins else (),
    }
    sources = {phase: given[phase] or recorded[phase] for phase in Phase}
    for phase, paths in sources.items():
        wanted = [spec["path"] for spec in product.manifest["request"][phase]]
        if len(wanted) != len(paths):
            raise RequestInvalid(
                f"the product {product.product_id} was made from {len(wanted)} sources {phase} the "
                f"event ({', '.join(wanted) or 'none'}), and {len(paths)} are known here; give "
                f"the path of each with --{phase}, in this order"
            )
    recorded_model = Path(origins.model) if origins and origins.model else None
    return InputPaths(sources, model or recorded_model)


def product_scenes(product: Product, paths: InputPaths) -> tuple[Scene, ...]:
    """Return the scenes as they were; raises RequestInvalid where one is missing or changed."""
    found = {
        (scene.phase, scene.revision): scene
        for phase in Phase
        for scene in _scenes(product, phase, paths.sources[phase])
    }
    return tuple(_as_mapped(record, found, product) for record in product.manifest["scenes"])


def product_clouds(
    product: Product, scenes: Sequence[Scene], settings: Settings
) -> tuple[CloudSource, ...]:
    """Return the cloud masks of the scenes; raises RequestInvalid where others are used now."""
    wanted = Clouds(product.manifest["request"]["clouds"])
    sources = cloud_sources(scenes, wanted, all_cards(settings.models))
    now, then = [source.as_json() for source in sources], product.manifest["clouds"]
    if now != then:
        raise RequestInvalid(
            f"the clouds of the product {product.product_id} were masked by {_masks(then)}, and "
            f"would now be by {_masks(now)}; explain it with the models that it was made with"
        )
    return sources


def product_model(product: Product, paths: InputPaths, settings: Settings) -> CardRef:
    """Return the model, by its digest; raises RequestInvalid (no model) or ModelUnknown."""
    used = product.manifest["model"]
    if used is None:
        raise RequestInvalid(
            f"the product {product.product_id} was made without a model; nothing can be explained"
        )
    known = list(all_cards(settings.models))
    if paths.model is not None and (paths.model / CARD_NAME).is_file():
        known.append(find(str(paths.model), extra=settings.models))
    for ref in known:
        if ref.card.digest == used["digest"]:
            return ref
    named = [ref.card.digest[:12] for ref in known if ref.card.name == used["name"]]
    now = f"the one here has {', '.join(named)}" if named else "there is none of that name here"
    raise ModelUnknown(
        f"the product {product.product_id} was made by {used['name']} {used['version']} with "
        f"the digest {used['digest'][:12]}, and {now}; give the folder of that model with "
        "--model"
    )


def product_grid(product: Product) -> GeoBox:
    """Return the grid of a product."""
    grid = product.manifest["grid"]
    return GeoBox(tuple(grid["shape"]), Affine(*grid["transform"]), grid["crs"])


def product_statistics(product: Product) -> dict[str, SceneStatistics]:
    """Return the statistics of the whole scene that the model used, by phase or "all"."""
    return _STATISTICS.validate_python(product.manifest["scene_statistics"])


def _scenes(product: Product, phase: Phase, paths: Sequence[str]) -> Iterator[Scene]:
    for fields, path in zip(product.manifest["request"][phase], paths, strict=True):
        spec = SourceSpec.model_validate({**fields, "path": path})
        try:
            yield from scenes_of(spec.as_source(), phase)
        except SourceInvalid as error:
            raise RequestInvalid(
                f"{error}; the product {product.product_id} was made from it: put it back, or give "
                f"its path with --{phase}"
            ) from error


def _as_mapped(
    record: Mapping[str, Any], found: Mapping[tuple[Phase, str], Scene], product: Product
) -> Scene:
    """Return the scene of a record, with the name that it had."""
    phase, name = Phase(record["phase"]), record["id"]
    scene = found.get((phase, record["revision"]))
    if scene is None:
        raise RequestInvalid(
            f"the image {name} of the product {product.product_id} is not as it was: none of "
            f"the images {phase} the event has its digest {record['revision']}; put back "
            f"{', '.join(record['files'])}, or give the path with --{phase}"
        )
    return replace(scene, id=name, acquisition=record["acquisition"])


def _masks(sources: Sequence[Mapping[str, str | None]]) -> str:
    names = [
        f"{source['network']} {str(source['digest'])[:12]}"
        if source["network"]
        else source["provider"] or "none"
        for source in sources
    ]
    return ", ".join(dict.fromkeys(names)) or "no mask"
