"""Evidence: what a product was made from, found again and checked against its manifest.

Polygon: one feature of a published layer, and what its pixels are in the rasters.

`sample.json`: what was drawn of which product, so that the answers are read against it.

The buildings of a product: their published grades, and the outlines of some of them.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import geopandas as gpd
import pyogrio
import shapely
from affine import Affine
from odc.geo.geobox import GeoBox
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from shapely.geometry.base import BaseGeometry

from flows.config import RequestInvalid, Settings
from flows.mapping.records import scene_record
from flows.request import SourceSpec
from geo.errors import SourceInvalid
from geo.raster.classify import NOTATION, REASONS, Label
from geo.scenes.discovery import scenes_of
from geo.scenes.scene import Phase, Scene
from geo.scenes.source import Clouds
from geo.store.manifest import Product, read_origins
from geo.vector.hazards import DAMAGED
from geo.vector.schema import LAYERS
from models.cards.card import CARD_NAME
from models.cards.registry import CardRef, all_cards, find
from models.errors import ModelUnknown
from models.evaluation.explained_polygon import PublishedProbability
from models.evaluation.sample_design import Design, Draw, digest_of
from models.inference.clouds import CloudSource, cloud_sources
from models.networks.tensors import SceneStatistics

_SURVEYS = TypeAdapter(dict[str, SceneStatistics])
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


def surveys_of(product: Product) -> dict[str, SceneStatistics]:
    """Return what the model learned from the whole scene, by phase or "all"."""
    return _SURVEYS.validate_python(product.manifest["scene_statistics"])


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


ASKED = {
    "observed_event": PublishedProbability.EVENT,
    "hydrography": PublishedProbability.WATER_BEFORE,
}
"""Which probability the features of a layer have."""
BAND = {PublishedProbability.EVENT: 1, PublishedProbability.WATER_BEFORE: 2}
"""Of `rasters/probability.tif`."""


@dataclass(frozen=True, eq=False)
class Polygon:
    """A feature that a model decided."""

    id: str
    layer: str
    geometry: BaseGeometry
    """WGS 84, longitude and latitude."""
    properties: Mapping[str, Any]

    @property
    def notation(self) -> str:
        """What it is, such as "Flooded area"."""
        return str(self.properties["notation"])

    @property
    def asked(self) -> PublishedProbability:
        """Which probability it has."""
        return ASKED[self.layer]

    @property
    def labels(self) -> frozenset[Label]:
        """What its pixels can be in `rasters/class.tif`."""
        named = {Label(label) for label, name in NOTATION.items() if name == self.notation}
        if Label.REFERENCE_WATER in named:  # it may lie where nothing was seen after the event
            return frozenset(named | set(REASONS))
        return frozenset(named or {Label.EVENT})

    def outline(self, crs: str) -> BaseGeometry:
        """Return its geometry in a CRS."""
        outline: BaseGeometry = gpd.GeoSeries([self.geometry], crs="EPSG:4326").to_crs(crs).iloc[0]
        return outline


def find_polygon(product: Product, feature_id: str) -> Polygon:
    """Return a feature by its `id`.

    Raises:
        RequestInvalid: where there is none, or no model decided it.
    """
    for layer in LAYERS:
        path = product.folder / "layers" / f"{layer}.geojson"
        features = json.loads(path.read_bytes())["features"]
        for feature in features:
            if feature["properties"]["id"] == feature_id:
                return _polygon(feature, layer)
    raise RequestInvalid(
        f"the product {product.product_id} has no feature {feature_id!r}; the field id of its "
        f"layers {' and '.join(ASKED)} names those that can be explained"
    )


def _polygon(feature: Mapping[str, Any], layer: str) -> Polygon:
    properties = feature["properties"]
    if layer not in ASKED:
        raise RequestInvalid(
            f"{properties['id']} is a feature of {layer}, which no model decided; give the id of a "
            f"feature of {' or '.join(ASKED)}"
        )
    if properties["notation"] == DAMAGED.notation:
        raise RequestInvalid(
            f"{properties['id']} is a damaged area: the mean of what a network says of buildings "
            "around it, which is not taken apart; give the id of flooded or burnt ground"
        )
    return Polygon(properties["id"], layer, shapely.geometry.shape(feature["geometry"]), properties)


NAME = "sample.json"


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class StratumDrawn(_Part):
    """Buildings of which a random sample was drawn."""

    name: str
    """A published grade, or all buildings."""
    buildings: Annotated[int, Field(ge=1)]
    drawn: Annotated[int, Field(ge=1)]
    chance: Annotated[float, Field(gt=0, le=1)]
    """Of each of its buildings to be drawn."""


class SampleRecord(_Part):
    """A sample, as it was drawn."""

    kind: Literal["aftermap sample of buildings"] = "aftermap sample of buildings"
    event_id: str
    product_id: str
    grades_sha256: str
    """Of the ids and published grades of all buildings of the product."""
    design: Design
    seed: int
    strata: tuple[StratumDrawn, ...]
    ids: tuple[str, ...]
    """Of the buildings, by their order number from 1."""


def record_of(
    product: Product, graded: Mapping[str, str], drawn: Draw, *, design: Design, seed: int
) -> SampleRecord:
    """Return what is written down of a draw."""  # fmt: skip
    return SampleRecord(
        event_id=product.event_id,
        product_id=product.product_id,
        grades_sha256=digest_of(graded),
        design=design,
        seed=seed,
        strata=tuple(
            StratumDrawn(
                name=one.name, buildings=one.buildings, drawn=one.drawn,
                chance=one.drawn / one.buildings,
            )
            for one in drawn.strata
        ),
        ids=drawn.ids,
    )  # fmt: skip


def read_record(folder: Path) -> SampleRecord:
    """Return what was drawn into a folder.

    Raises:
        RequestInvalid: where there is none, or it is damaged.
    """
    path = folder / NAME
    if not path.is_file():
        raise RequestInvalid(
            f"{folder} has no {NAME}; say with --sample which folder the sample was drawn into"
        )
    try:
        return SampleRecord.model_validate_json(path.read_bytes())
    except ValidationError as error:
        where = ".".join(map(str, error.errors()[0]["loc"])) or "the whole"
        raise RequestInvalid(
            f"{path} is not as it was written ({where}: {error.errors()[0]['msg']}); draw again"
        ) from error


def require_same(record: SampleRecord, product: Product, graded: Mapping[str, str]) -> None:
    """Check that a sample was drawn from a product as it is.

    Raises:
        RequestInvalid: where it was drawn from another, or the grades are others.
    """
    if record.product_id != product.product_id:
        raise RequestInvalid(
            f"the sample was drawn from the product {record.product_id} of {record.event_id}, and "
            f"{product.product_id} of {product.event_id} was given; validate the product it was "
            "drawn from, or draw a new sample"
        )
    digest = digest_of(graded)
    if record.grades_sha256 != digest:
        raise RequestInvalid(
            f"the buildings of the product {product.product_id} have other grades "
            f"({digest[:12]}) than when the sample was drawn ({record.grades_sha256[:12]}): its "
            "files were changed; put them back, or draw a new sample"
        )


LAYER = "built_up"


def published_grades(product: Product) -> dict[str, str]:
    """Return `damage_gra` by `id` of every building.

    Raises:
        RequestInvalid: where the product has no building.
    """
    path = product.folder / "layers.gpkg"
    columns = ["id", "damage_gra"]
    frame = pyogrio.read_dataframe(path, layer=LAYER, columns=columns, read_geometry=False)
    if frame.empty:
        raise RequestInvalid(
            f"the product {product.product_id} has no building; map the event with footprints "
            "(--buildings) to validate them"
        )
    return dict(zip(frame["id"], frame["damage_gra"], strict=True))


def outlines(product: Product, ids: Sequence[str]) -> dict[str, BaseGeometry]:
    """Return the outlines of some buildings by id, lon-lat WGS 84."""
    named = ", ".join("'" + name.replace("'", "''") + "'" for name in ids)
    frame: gpd.GeoDataFrame = pyogrio.read_dataframe(
        product.folder / "layers.gpkg", layer=LAYER, columns=["id"], where=f"id IN ({named})"
    )
    return dict(zip(frame["id"], frame.geometry, strict=True))
