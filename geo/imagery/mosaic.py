"""Several scenes of one phase as one raster, with the scene of each pixel; small pictures."""

from collections.abc import Mapping, Sequence

import numpy as np
from odc.geo.geobox import GeoBox

from geo.errors import SourceInvalid
from geo.imagery.reader import Masking, SceneReader
from geo.scenes.scene import Scene, ordered
from geo.scenes.sensors import Family
from geo.scenes.source import Preference
from geo.types import BoolArray, FloatArray, Raster

MAX_SCENES = 254
"""Scenes of one phase in one product: their index is kept in eight bits."""


class SceneMosaic:
    """Reads several scenes of one phase as one raster: the first valid pixel wins."""

    def __init__(
        self,
        scenes: Sequence[Scene],
        bands: Sequence[str],
        maskings: Mapping[str, Masking] | None = None,
    ) -> None:
        """Take the scenes, the preferred first, and bands that each of them has.

        Args:
            maskings: by scene id; the provider's own mask is used in a scene without one.
        """
        if len(scenes) > MAX_SCENES:
            raise SourceInvalid(
                f"there are {len(scenes)} scenes of one phase, and at most {MAX_SCENES} go into "
                "one product; give fewer, or mosaic them first"
            )
        self.scenes = tuple(scenes)
        self.bands = tuple(bands)
        by_scene = maskings or {}
        self._readers = tuple(
            SceneReader(scene, bands, by_scene.get(scene.id, Masking())) for scene in scenes
        )

    def read(self, geobox: GeoBox) -> Raster:
        """Read the scenes onto a grid; `origin` counts them from 1.

        A pixel that no scene observed keeps the most specific reason: cloud before "no data".
        """
        pixels, reason = self._readers[0].read(geobox)
        origin = (reason == 0).astype(np.uint8)
        for number, reader in enumerate(self._readers[1:], 2):
            if (reason == 0).all():
                break
            values, why = reader.read(geobox)
            wanted = (reason != 0) & (why == 0)
            np.copyto(pixels, values, where=wanted)
            np.copyto(origin, np.uint8(number), where=wanted)
            reason = np.where(wanted, 0, np.where(reason == 0, 0, np.maximum(reason, why)))
        return Raster(
            pixels=pixels,
            valid=reason == 0,
            geobox=geobox,
            bands=self.bands,
            sources=tuple(scene.id for scene in self.scenes),
            origin=origin,
            reason=reason.astype(np.uint8),
        )


SIDE_PX = 1000
"""Longer side of a quicklook."""

_SHOWN: tuple[tuple[str, ...], ...] = (
    ("red", "green", "blue"),
    ("swir16", "nir", "green"),
    ("nir", "red", "green"),
    ("vv",),
    ("vh",),
)  # bands that are shown as red, green and blue, the first choice first; one band is grey
_FAMILY_ORDER = (Family.PICTURE, Family.OPTICAL, Family.RADAR)  # people read colours more easily


def quicklook_scenes(scenes: Sequence[Scene], preference: Preference) -> tuple[Scene, ...]:
    """Return the scenes of one phase that a picture is made of: one sensor, the easiest to read."""
    if not scenes:
        return ()
    family = min((scene.sensor.family for scene in scenes), key=_FAMILY_ORDER.index)
    alike = ordered([s for s in scenes if s.sensor.family is family], preference)
    return tuple(scene for scene in alike if scene.sensor_name == alike[0].sensor_name)


def shown_bands(there: tuple[str, ...]) -> tuple[str, ...]:
    """Return the bands that are shown; the first as grey where none make a picture."""
    return next((bands for bands in _SHOWN if set(bands) <= set(there)), there[:1])


def coarse_grid(geobox: GeoBox) -> GeoBox:
    """Return the grid with at most `SIDE_PX` pixels along its longer side."""
    longer = max(geobox.shape)
    return geobox if longer <= SIDE_PX else geobox.zoom_to(SIDE_PX)


def quicklook(scenes: Sequence[Scene], geobox: GeoBox) -> tuple[FloatArray, BoolArray]:
    """Return a picture of scenes of one sensor, the preferred first, and where it is valid.

    The picture is (3, rows, cols), 0 to 1, stretched from the 2nd to the 98th percentile of all
    bands together, so that colours keep their balance.
    """
    bands = shown_bands(scenes[0].bands)
    alike = [scene for scene in scenes if set(bands) <= set(scene.bands)]
    raster = SceneMosaic(alike, bands).read(geobox)
    return as_picture(raster), raster.valid


def as_picture(raster: Raster) -> FloatArray:
    """Return a raster as a picture, (3, rows, cols), 0 to 1; see `quicklook`."""
    bands = shown_bands(raster.bands)
    pixels = raster.pixels[[raster.bands.index(band) for band in bands]]
    observed = pixels[:, raster.valid]
    low, high = np.percentile(observed, [2, 98]) if observed.size else (0.0, 1.0)
    stretched = np.clip((np.nan_to_num(pixels) - low) / max(float(high - low), 1e-6), 0, 1)
    return np.repeat(stretched, 3 // len(bands), axis=0).astype(np.float32)
