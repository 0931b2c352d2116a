"""Several scenes of one phase as one raster: which pixel comes from which scene."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum

import numpy as np
from odc.geo.geobox import GeoBox

from geo.errors import SourceInvalid
from geo.masks import ALL_OF_PROVIDER, Masking
from geo.raster import Raster
from geo.read import SceneReader
from geo.scene import Scene

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
        """Take the scenes in their order of preference, see `ordered`.

        Args:
            scenes: the preferred first.
            bands: that each of them has.
            maskings: by scene id; the provider's own mask is heeded in a scene without one.

        Raises:
            BandsMissing: where a scene lacks a band.
            SourceInvalid: where there are more scenes than a product can tell apart.
        """
        if len(scenes) > MAX_SCENES:
            raise SourceInvalid(
                f"there are {len(scenes)} scenes of one phase, and at most {MAX_SCENES} go into "
                "one product; give fewer, or mosaic them first"
            )
        self.scenes = tuple(scenes)
        self.bands = tuple(bands)
        told = maskings or {}
        self._readers = tuple(
            SceneReader(scene, bands, told.get(scene.id, ALL_OF_PROVIDER)) for scene in scenes
        )

    def read(self, geobox: GeoBox) -> Raster:
        """Read the scenes onto a grid; `origin` counts them from 1.

        A pixel that no scene saw keeps the most telling reason: cloud before "no data"
        before "no imagery".
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


class Preference(StrEnum):
    """Which scene a pixel is taken from where several saw it."""

    NEWEST = "newest"
    LEAST_CLOUDY = "least-cloudy"


def ordered(scenes: Sequence[Scene], preference: Preference) -> tuple[Scene, ...]:
    """Return scenes in the order in which their pixels are taken.

    Raises:
        SourceInvalid: for "least-cloudy" where a scene does not state its cloud cover.
    """
    newest = sorted(scenes, key=lambda s: (s.taken is not None, s.taken or _NEVER, s.id))[::-1]
    if preference is Preference.NEWEST:
        return tuple(newest)
    if unknown := [scene.id for scene in scenes if scene.cloud_cover is None]:
        raise SourceInvalid(
            f"the cloud cover of {', '.join(unknown)} is not known; state cloud_cover for each "
            "source in the request, or take the newest first"
        )
    return tuple(sorted(newest, key=lambda scene: scene.cloud_cover or 0.0))


_NEVER = datetime.min.replace(tzinfo=UTC)
