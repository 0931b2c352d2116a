"""Scene: one acquisition of one sensor with its bands; ids that are unique in a request."""

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, time
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from geo.errors import SourceInvalid
from geo.scenes.metadata import PARENTS
from geo.scenes.radiometry import Colours
from geo.scenes.sensors import Backscatter, Sensor, Units, sensor_named
from geo.scenes.source import NO_GEOREFERENCE, Georeference, Preference

if TYPE_CHECKING:  # `aftermap models` lists without it
    from shapely.geometry.base import BaseGeometry


class Phase(StrEnum):
    """When a scene was taken, with respect to the event."""

    BEFORE = "before"
    AFTER = "after"


@dataclass(frozen=True)
class Asset:
    """One band of a scene."""

    band: str
    """Common name, see `geo.scenes.sensors.Band`."""
    path: Path
    index: int
    """Band number in the file, from 1."""
    georeference: Georeference = NO_GEOREFERENCE
    """Beside the file, for a file that has none of its own."""
    footprint: "BaseGeometry | None" = field(default=None, compare=False)
    """Of one tile of many that are one scene, lon-lat; None where the scene's is the file's."""


@dataclass(frozen=True)
class Scene:
    """One acquisition of one sensor."""

    id: str
    """The file's or product's own name without its ending; unique in a request."""
    acquisition: str
    """Key that revisions of the same acquisition share, [a-z0-9_-]."""
    revision: str
    """First 16 hex digits of the sha256 of all its files."""
    sensor_name: str
    phase: Phase
    taken: datetime | None
    """Acquisition time, UTC; None: not known. Midnight exactly: the time of day is not known."""
    footprint: "BaseGeometry"
    """Extent of the pixels, lon-lat WGS 84."""
    assets: tuple[Asset, ...]
    units: Units
    gsd_m: float
    """Ground sampling distance of its sharpest file, metres."""
    crs: str
    """CRS of its sharpest file, as an authority code or WKT."""
    offset: float = 0.0
    """Added to stored values before scaling (Sentinel-2 baseline 04.00: -1000)."""
    cloud_cover: float | None = None
    """Share of cloud that the provider states, per cent."""
    nodata: float | None = None
    """The sensor's nodata value, besides the one that a file declares."""
    backscatter: Backscatter | None = None
    colours: Colours | None = None
    """Of a picture with red, green and blue; None for any other."""
    notes: tuple[str, ...] = ()
    """What was concluded and not stated, as sentences for the product's notes."""

    @property
    def sensor(self) -> Sensor:
        """The sensor that took it."""
        return sensor_named(self.sensor_name)

    @property
    def bands(self) -> tuple[str, ...]:
        """Names of its bands, each once, in the order of its assets."""
        return tuple(dict.fromkeys(asset.band for asset in self.assets))

    @property
    def paths(self) -> tuple[Path, ...]:
        """Its files, each once, in the order of the bands."""
        return tuple(dict.fromkeys(asset.path for asset in self.assets))

    @property
    def taken_text(self) -> str | None:
        """ISO 8601: a time in UTC, a date where only that is known, None where nothing is."""
        if self.taken is None:
            return None
        if self.taken.time() == time(0):
            return self.taken.date().isoformat()
        return self.taken.strftime("%Y-%m-%dT%H:%M:%SZ")

    def in_phase(self, phase: Phase) -> "Scene":
        """Return the same scene in another phase."""
        return replace(self, phase=phase)


_S1 = r"(S1[A-D]_\w\w_GRD\w_\w{4}_\d{8}T\d{6}_\d{8}T\d{6}_\d{6}_[0-9A-F]{6})_[0-9A-F]{4}"
_S2 = r"(S2[A-D]_MSIL[12][AC]_\d{8}T\d{6})(?:_N\d{4})?(_R\d{3}_T\w{5})_\d{8}T\d{6}"
_PRODUCT = re.compile(rf"({_S1}(_rtc)?|{_S2})(\.SAFE)?", re.IGNORECASE)
"""Whole product names: Sentinel-1 Product Definition S1-RS-MDA-52-7440, 4.1; Sentinel-2 Products
Specification S2-PDGS-TAS-DI-PSD, 3.4.1. The catalogues leave the baseline out."""


def product_folder(path: Path) -> Path | None:
    """Return the folder of the whole product that holds a file, or None."""
    folders = path.parents[:PARENTS]
    return next((folder for folder in folders if _PRODUCT.fullmatch(folder.name)), None)


def acquisition_key(name: str) -> str:
    """Return a name that revisions of one acquisition share, [a-z0-9-]: without baseline or id."""
    key = re.sub(_S1, r"\1", name, flags=re.IGNORECASE)
    key = re.sub(_S2, r"\1\2", key, flags=re.IGNORECASE)
    slug = re.sub(r"[^a-z0-9]+", "-", key.lower()).strip("-")
    if len(slug) <= 64:
        return slug or "scene"
    return f"{slug[:51]}-{hashlib.sha256(slug.encode()).hexdigest()[:12]}"


def distinct_ids(scenes: Iterable[Scene]) -> tuple[Scene, ...]:
    """Return the scenes, each (by name and bytes) once, with ids that are unique.

    A shared name gains its folder (`before-image`), then its phase, then its revision.
    """
    once = {(s.phase, s.id, s.revision, s.taken_text): s for s in scenes}
    by_folder = _renamed(tuple(once.values()), lambda s: f"{s.paths[0].parent.name}-{s.id}")
    by_phase = _renamed(by_folder, lambda scene: f"{scene.phase}-{scene.id}")
    by_revision = _renamed(by_phase, lambda scene: f"{scene.id}-{scene.revision[:8]}")
    return _renamed(by_revision, lambda scene: f"{scene.id}-{scene.taken_text}")


def _renamed(scenes: tuple[Scene, ...], name: Callable[[Scene], str]) -> tuple[Scene, ...]:
    times = Counter(scene.id for scene in scenes)
    return tuple(
        replace(scene, id=name(scene), acquisition=acquisition_key(name(scene)))
        if times[scene.id] > 1
        else scene
        for scene in scenes
    )


_NEVER = datetime.min.replace(tzinfo=UTC)


def ordered(scenes: Sequence[Scene], preference: Preference) -> tuple[Scene, ...]:
    """Return scenes in the order in which their pixels are taken."""
    newest = sorted(scenes, key=lambda s: (s.taken is not None, s.taken or _NEVER, s.id))[::-1]
    if preference is Preference.NEWEST:
        return tuple(newest)
    if unknown := [scene.id for scene in scenes if scene.cloud_cover is None]:
        raise SourceInvalid(
            f"the cloud cover of {', '.join(unknown)} is not known; give --after-cloud-cover, or "
            "cloud_cover of each source in a request file, or take the newest first"
        )
    return tuple(sorted(newest, key=lambda scene: scene.cloud_cover or 0.0))
