"""MapRequest: the flow's parameter, the command line's options, the JSON file and the UI's form.

A field is declared once, here: `flows.cli.options` makes an option of it and Prefect a form.
"""

import difflib
import re
import unicodedata
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Self, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PositiveFloat,
    PrivateAttr,
    ValidationError,
    field_validator,
    model_validator,
)

from flows.config import RequestInvalid, Settings
from geo.errors import TimeUnknown
from geo.scenes.metadata import parse_time
from geo.scenes.sensors import SENSORS, Backscatter, Units
from geo.scenes.source import Clouds, Preference, Rows, Source, expanded
from geo.vector.hazards import Hazard

# No `from __future__ import annotations` here: it breaks `flow.serve()`.

_AREA_FILES = (".geojson", ".json")
_EVENT = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
EVENT, IMAGERY, ANALYSIS, MAP = "Event", "Imagery", "Analysis", "Map"
"""Headings of the fields in the help of the command line and in the form."""

Request = TypeVar("Request", bound=BaseModel)


_SHOWN = ("group", "option", "phase_option", "one_value")


def described(text: str, default: Any = ..., **more: Any) -> Any:
    """Return a field of a request with its help.

    Args:
        text: the help, without a full stop.
        default: none where the field is required.
        more: `group`, its heading; `option`, the name of its option if not its own;
            `phase_option`, the ending of one option for each of before and after; `one_value`,
            a list in one word; and what `pydantic.Field` takes.
    """
    shown = {key: more.pop(key) for key in _SHOWN if key in more}
    if "default_factory" not in more:
        more["default"] = default
    return Field(description=text, json_schema_extra=shown, **more)


def event_slug(text: Any) -> Any:
    """Return the name of an event as its folder is called: "Drava 2024" gives drava-2024.

    Raises:
        ValueError: for a path, and where no letter or digit is left.
    """
    if not isinstance(text, str):
        return text
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    slug = re.sub(r"[^a-z0-9_]+", "-", plain).strip("-_")[:64].rstrip("-_")
    if "/" in text or "\\" in text or not slug:
        raise ValueError(f"{text!r} names no event; give letters a-z and digits, as in drava-2024")
    return text if _EVENT.fullmatch(text) else slug


def _time(value: Any) -> Any:
    """Read a date as people write it; 20190723 is one, and no seconds since 1970."""
    if isinstance(value, int | float):
        value = str(value)
    if isinstance(value, str):
        try:
            value = parse_time(value)
        except TimeUnknown as error:
            raise ValueError(str(error)) from error
    if isinstance(value, datetime) and not 1900 <= value.year <= 2100:
        raise ValueError(f"no image was taken in the year {value.year}; correct the date")
    return value


def comma_separated(value: Any) -> Any:
    """Return the names in a text, as the command line gives them; lists stay."""
    return tuple(n.strip() for n in value.split(",")) if isinstance(value, str) else value


class SourceSpec(BaseModel):
    """Where imagery lies, and what its files cannot say of themselves."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    path: str = described(
        "A GeoTIFF, a folder or glob of them, a tile tree z/x/y, or photos (after)", min_length=1
    )
    sensor: str | None = described(f"One of {', '.join(sorted(SENSORS))}", None)
    bands: Annotated[tuple[str, ...] | None, BeforeValidator(comma_separated)] = described(
        "Names of the bands in the order of the file, comma-separated", None, one_value=True
    )
    units: Units | None = described("How the values are stored", None)
    taken: Annotated[datetime | None, BeforeValidator(_time)] = described(
        "When the images were taken, UTC", None, phase_option="date"
    )
    baseline: str | None = described("Sentinel-2 processing baseline, such as 05.10", None)
    cloud_cover: float | None = described(
        "Share of cloud in the images, per cent; for --prefer least-cloudy", None,
        ge=0, le=100, phase_option="cloud-cover",
    )  # fmt: skip
    backscatter: Backscatter | None = described("What radar images hold", None)
    crs: str | None = described(
        "CRS of images that state none, such as EPSG:32633", None, option="source-crs"
    )
    rows: Rows | None = described(
        "From where a tile tree z/x/y counts its rows: north (XYZ) or south (TMS)", None,
        option="tile-rows",
    )  # fmt: skip

    def as_source(self) -> Source:
        """Return it as `geo` takes it."""
        return Source(**self.model_dump())


def _spec(value: Any) -> Any:
    return {"path": value} if isinstance(value, str) else value


Spec = Annotated[SourceSpec, BeforeValidator(_spec, json_schema_input_type=str | SourceSpec)]
"""A source; its path alone is enough, in JSON and in its schema."""


class MapRequest(BaseModel):
    """What to map: an event, an area, imagery before and after, and where to publish."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    event: Annotated[str, BeforeValidator(event_slug)] = described(
        "Short name of the event, which names its folder: a-z, digits, - and _", group=EVENT
    )
    name: str | None = described("Title of the map", None, group=EVENT, max_length=200)
    hazard: Hazard = described("What happened", group=EVENT)
    area: str | dict[str, Any] | tuple[float, float, float, float] | None = described(
        "Area of interest: a box west,south,east,north, GeoJSON, or a file of it; without one, "
        "the footprint of the after scenes", None, group=EVENT,
    )  # fmt: skip
    before: tuple[Spec, ...] = described("Imagery before the event", (), group=IMAGERY)
    after: tuple[Spec, ...] = described("Imagery after the event", group=IMAGERY, min_length=1)
    prefer: Preference = described(
        "Which scene a pixel is taken from where several show it", Preference.NEWEST, group=IMAGERY
    )
    clouds: Clouds = described(
        "Mask of clouds in optical scenes: the provider's, a network's, auto (the provider's "
        "where there is one, otherwise a network's), or off", Clouds.AUTO, group=IMAGERY,
    )  # fmt: skip
    model: str | None = described(
        "Name or folder of a model; without one, the first that fits; 'none' for none", None,
        group=ANALYSIS,
    )  # fmt: skip
    buildings: Path | None = described("Building footprints, a vector file", None, group=ANALYSIS)
    find_buildings: bool = described(
        "Find the buildings in the imagery, and grade them, where there is no file of footprints",
        False, group=ANALYSIS,
    )  # fmt: skip
    damaged_areas: bool = described(
        "Look for damaged ground beside the buildings: debris without footprints", False,
        group=ANALYSIS,
    )  # fmt: skip
    domain_check: bool = described(
        "Compare the imagery with the training data of the model, and its result with that of a "
        "detector; what fails is not analysed", True, group=ANALYSIS,
    )  # fmt: skip
    device: str = described(
        "Where networks run: auto, cpu, cuda or cuda:N", "auto", group=ANALYSIS,
        pattern=r"^(auto|cpu|cuda(:\d+)?)$",
    )  # fmt: skip
    store: Path = described(
        "Folder that products are published in; without one, AFTERMAP_STORE, or store",
        default_factory=lambda: Settings().store, group=MAP,
    )  # fmt: skip
    resolution_m: PositiveFloat | None = described(
        "Pixel of the map, metres; without one, the model's or the image's", None, group=MAP,
        le=100_000,
    )  # fmt: skip
    crs: str | None = described("A projected CRS, such as EPSG:32633", None, group=MAP)
    min_area_m2: float | None = described(
        "Minimum mapping unit, m2; without one, ten pixels", None, group=MAP, ge=0, le=1e12
    )
    simplify_m: float | None = described(
        "Tolerance of the outlines, metres; without one, one pixel", None, group=MAP,
        ge=0, le=100_000,
    )  # fmt: skip
    _notes: tuple[str, ...] = PrivateAttr(default=())

    @field_validator("area", mode="before")
    @classmethod
    def _area_is_small(cls, area: Any) -> Any:
        # Prefect stores parameters in its database: a large area belongs into a file.
        if isinstance(area, dict | str) and len(str(area)) > 256_000:
            raise ValueError("an area above 256 kB belongs into a file; give its path")
        if isinstance(area, list | tuple) and len(area) != 4:
            raise ValueError(f"a box has 4 numbers, west, south, east, north, not {len(area)}")
        return area

    @model_validator(mode="wrap")
    @classmethod
    def _note_slug(cls, data: Any, handler: Callable[[Any], Self]) -> Self:
        request = handler(data)
        given = data.get("event") if isinstance(data, dict) else None
        if not isinstance(given, str) or given == request.event:
            return request
        request._notes = (f"the event {given!r} is filed as {request.event}",)
        return request if request.name else request.model_copy(update={"name": given[:200]})

    @model_validator(mode="after")
    def _check_buildings(self) -> Self:
        if self.find_buildings and self.buildings is not None:
            raise ValueError(
                "find_buildings finds footprints in the imagery, and buildings gives a file of "
                "them; leave out one of the two"
            )
        return self

    @property
    def notes(self) -> tuple[str, ...]:
        """What was changed in the request, as sentences."""
        return self._notes

    @property
    def grades_buildings(self) -> bool:
        """Whether grades of buildings, given or found, are requested."""
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
        raise RequestInvalid(
            f"the request {path} is no text file; give a JSON file, and images with --after"
        ) from error
    request = checked(lambda: MapRequest.model_validate_json(text), str(path))
    if not changes:
        return request.model_copy(update=_rooted(request, path.parent))
    fields = {**dict(request), **_rooted(request, path.parent), **changes}
    changed = checked(lambda: MapRequest.model_validate(fields), str(path))
    if "event" not in changes:
        changed._notes = request._notes
    return changed


def make_request(**fields: Any) -> MapRequest:
    """Return a request of fields.

    Raises:
        RequestInvalid: with the first field that is wrong.
    """
    return checked(lambda: MapRequest.model_validate(fields), "the request")


def checked(make: Callable[[], Request], what: str = "the request") -> Request:
    """Return a request, or say which field is wrong.

    Raises:
        RequestInvalid: with the first field that is wrong.
    """
    try:
        return make()
    except ValidationError as error:
        first, *others = error.errors(include_url=False)
        place = ".".join(str(part) for part in first["loc"])
        more = f" (and {len(others)} more)" if others else ""
        message = first["msg"].removeprefix("Value error, ")
        if first["type"] == "extra_forbidden":
            message = _unknown_field(str(first["loc"][-1]), nested=len(first["loc"]) > 1)
        where = f"{place}: " if place else ""
        raise RequestInvalid(f"{what} is not valid: {where}{message}{more}") from error


def _unknown_field(name: str, *, nested: bool) -> str:
    """Return that there is no such field, with the nearest one, or all."""
    fields = list((SourceSpec if nested else MapRequest).model_fields)
    near = difflib.get_close_matches(name, fields, n=1)
    cure = f"did you mean {near[0]}?" if near else f"the fields are {', '.join(fields)}"
    return f"there is no such field; {cure}"


def _rooted(request: MapRequest, folder: Path) -> dict[str, Any]:
    """Return the fields that are relative paths, taken from the folder of the request's file."""

    def rooted(path: str | Path) -> Path:
        return folder / expanded(Path(path))

    def specs(entries: tuple[SourceSpec, ...]) -> tuple[SourceSpec, ...]:
        return tuple(e.model_copy(update={"path": str(rooted(e.path))}) for e in entries)

    changes: dict[str, Any] = {"before": specs(request.before), "after": specs(request.after)}
    if "store" in request.model_fields_set:
        changes["store"] = rooted(request.store)
    if request.buildings is not None:
        changes["buildings"] = rooted(request.buildings)
    if isinstance(request.area, str) and request.area.lower().endswith(_AREA_FILES):
        changes["area"] = str(rooted(request.area))
    if request.model is not None and "/" in request.model:  # a folder rather than a name
        changes["model"] = str(rooted(request.model))
    return changes
