"""MapRequest: the flow's parameter, the command line's input, the JSON file and the UI's form."""

from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PositiveFloat,
    ValidationError,
    field_validator,
    model_validator,
)

from flows.config import RequestInvalid, Settings
from geo.scenes.sensors import SENSORS, Backscatter, Units
from geo.scenes.source import Clouds, Preference, Rows, Source, expanded
from geo.vector.hazards import Hazard

# No `from __future__ import annotations` here: it breaks `flow.serve()`.


_AREA_FILES = (".geojson", ".json")
EVENT_PATTERN = r"^[a-z0-9][a-z0-9_-]{0,63}$"


def _date(value: Any) -> Any:
    """Refuse numbers: 20190723 would be read as seconds since 1970."""
    if isinstance(value, int | float) or (isinstance(value, str) and value.strip().isdigit()):
        raise ValueError(f"{value} is no date; write it as 2019-07-23 or 2019-07-23T17:38:00Z")
    return value


def _plausible(taken: datetime | None) -> datetime | None:
    if taken is not None and not 1900 <= taken.year <= 2100:
        raise ValueError(f"no image was taken in the year {taken.year}; correct the date")
    return taken


class SourceSpec(BaseModel):
    """Where imagery lies, and what its files cannot say of themselves."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    path: str = Field(
        min_length=1,
        description="A GeoTIFF, a folder or glob of them, a tile tree z/x/y, or photos (after)",
    )
    sensor: str | None = Field(default=None, description=f"One of {', '.join(sorted(SENSORS))}")
    bands: tuple[str, ...] | None = Field(
        default=None, description="Names of the bands in the order of the file"
    )
    units: Units | None = Field(default=None, description="How the values are stored")
    taken: Annotated[datetime | None, BeforeValidator(_date), AfterValidator(_plausible)] = Field(
        default=None, description="Acquisition time, UTC"
    )
    baseline: str | None = Field(
        default=None, description="Sentinel-2 processing baseline, such as 05.10"
    )
    cloud_cover: float | None = Field(default=None, ge=0, le=100, description="Per cent")
    backscatter: Backscatter | None = Field(default=None, description="What a radar image holds")
    crs: str | None = Field(
        default=None, description="CRS of images that state none, such as EPSG:32633"
    )
    rows: Rows | None = Field(
        default=None,
        description="From where a tile tree z/x/y counts its rows: north (XYZ) or south (TMS)",
    )

    def as_source(self) -> Source:
        """Return it in the words of the geo room."""
        return Source(**self.model_dump())


def _spec(value: Any) -> Any:
    return {"path": value} if isinstance(value, str) else value


Spec = Annotated[SourceSpec, BeforeValidator(_spec)]


class MapRequest(BaseModel):
    """What to map: an event, an area, imagery before and after, and where to publish."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    event: str = Field(
        pattern=EVENT_PATTERN,
        description="Short name of the event in small letters, digits, - and _; names its folder",
    )
    name: str | None = Field(default=None, max_length=200, description="Title of the map")
    hazard: Hazard = Field(description="What happened")
    area: str | dict[str, Any] | tuple[float, float, float, float] | None = Field(
        default=None,
        description="Area of interest: a box west,south,east,north, GeoJSON, or a file of it; "
        "without one, the footprint of the after scenes",
    )
    before: tuple[Spec, ...] = Field(default=(), description="Imagery before the event")
    after: tuple[Spec, ...] = Field(min_length=1, description="Imagery after the event")
    buildings: Path | None = Field(default=None, description="Building footprints, a vector file")
    find_buildings: bool = Field(
        default=False,
        description="Find the buildings in the imagery, and grade them, where there is no file of "
        "footprints",
    )
    damaged_areas: bool = Field(
        default=False,
        description="Look for damaged ground beside the buildings: debris without footprints",
    )
    model: str | None = Field(
        default=None,
        description="Name or folder of a model; without one, the first that fits; 'none' for none",
    )
    store: Path = Field(
        default_factory=lambda: Settings().store,
        description="Folder that products are published in; without one, AFTERMAP_STORE, or store",
    )
    resolution_m: PositiveFloat | None = Field(
        default=None,
        le=100_000,
        description="Pixel of the map, metres; without one, the model's or the image's",
    )
    crs: str | None = Field(default=None, description="A projected CRS, such as EPSG:32633")
    min_area_m2: float | None = Field(
        default=None, ge=0, le=1e12, description="Minimum mapping unit; without one, ten pixels"
    )
    simplify_m: float | None = Field(
        default=None,
        ge=0,
        le=100_000,
        description="Tolerance of the outlines, metres; without one, one pixel",
    )
    prefer: Preference = Field(
        default=Preference.NEWEST, description="Which scene a pixel is taken from"
    )
    clouds: Clouds = Field(
        default=Clouds.AUTO,
        description="Mask of clouds in optical scenes: the provider's, a network's, auto (the "
        "provider's where there is one, otherwise a network's), or off",
    )
    domain_check: bool = Field(
        default=True,
        description="Hold the imagery against what a network learned from, and its answer against "
        "a detector; what fails is not analysed",
    )
    device: str = Field(
        default="auto", pattern=r"^(auto|cpu|cuda(:\d+)?)$", description="Where networks run"
    )

    @field_validator("area", mode="before")
    @classmethod
    def _area_is_small(cls, area: Any) -> Any:
        # Prefect stores parameters in its database: a large area belongs into a file.
        if isinstance(area, dict | str) and len(str(area)) > 256_000:
            raise ValueError("an area above 256 kB belongs into a file; give its path")
        if isinstance(area, list | tuple) and len(area) != 4:
            raise ValueError(f"a box has 4 numbers, west, south, east, north, not {len(area)}")
        return area

    @model_validator(mode="after")
    def _check_buildings(self) -> Self:
        if self.find_buildings and self.buildings is not None:
            raise ValueError(
                "find_buildings finds footprints in the imagery, and buildings gives a file of "
                "them; leave out one of the two"
            )
        return self

    @property
    def grades_buildings(self) -> bool:
        """Whether grades of buildings, given or found, are asked for."""
        return self.buildings is not None or self.find_buildings or self.damaged_areas

    @property
    def title(self) -> str:
        """Its name, or the event's."""
        return self.name or self.event

    def portable(self) -> dict[str, Any]:
        """Return it as JSON without the folders of this machine: files by their names."""

        def named(value: Any) -> Any:
            return Path(value).name if isinstance(value, str) else value

        fields = self.model_dump(mode="json", exclude={"store"})
        for phase in ("before", "after"):
            fields[phase] = [{**spec, "path": named(spec["path"])} for spec in fields[phase]]
        is_file = isinstance(self.area, str) and self.area.lower().endswith(_AREA_FILES)
        area = {"area": named(self.area)} if is_file else {}
        return {
            **fields, **area, "buildings": named(fields["buildings"]),
            "model": named(fields["model"]),
        }  # fmt: skip


def read_request(path: Path, **changes: Any) -> MapRequest:
    """Return the request in a JSON file; paths in it are relative to the file's folder.

    Args:
        changes: fields that the command line sets over those of the file.

    Raises:
        RequestInvalid: where the file is missing, or a field is wrong.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise RequestInvalid(f"the request {path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise RequestInvalid(f"the request {path} is no text file; give a JSON file") from error
    request = _checked(lambda: MapRequest.model_validate_json(text), str(path))
    fields = {**dict(_rooted(request, path.parent)), **changes}
    return _checked(lambda: MapRequest.model_validate(fields), str(path))


def make_request(**fields: Any) -> MapRequest:
    """Return a request of fields.

    Raises:
        RequestInvalid: with the first field that is wrong.
    """
    return _checked(lambda: MapRequest.model_validate(fields), "the request")


def _checked(make: Any, what: str) -> MapRequest:
    try:
        request: MapRequest = make()
    except ValidationError as error:
        first, *others = error.errors(include_url=False)
        place = ".".join(str(part) for part in first["loc"])
        more = f" (and {len(others)} more)" if others else ""
        message = first["msg"].removeprefix("Value error, ")
        said = f"{place}: {message}" if place else message
        raise RequestInvalid(f"{what} is not valid: {said}{more}") from error
    return request


def _rooted(request: MapRequest, folder: Path) -> MapRequest:
    """Return the request with relative paths taken from the folder of its file."""

    def rooted(path: str | Path) -> Path:
        return folder / expanded(Path(path))

    def spec(entry: SourceSpec) -> SourceSpec:
        return entry.model_copy(update={"path": str(rooted(entry.path))})

    changes: dict[str, Any] = {
        "before": tuple(map(spec, request.before)),
        "after": tuple(map(spec, request.after)),
    }
    if "store" in request.model_fields_set:
        changes["store"] = rooted(request.store)
    if request.buildings is not None:
        changes["buildings"] = rooted(request.buildings)
    if isinstance(request.area, str) and request.area.lower().endswith(_AREA_FILES):
        changes["area"] = str(rooted(request.area))
    if request.model is not None and "/" in request.model:  # a folder rather than a name
        changes["model"] = str(rooted(request.model))
    return request.model_copy(update=changes)
