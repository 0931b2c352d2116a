"""Clouds that networks find in optical scenes, square by square, and how scenes are masked."""

from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np
from affine import Affine
from odc.geo.geobox import GeoBox
from scipy import ndimage

from geo.imagery.reader import Masking, SceneReader
from geo.raster.classify import Finding, Label
from geo.raster.grid import crs_of
from geo.scenes.scene import Scene
from geo.types import CodeArray, Raster
from models.cards.selection import CloudSource
from models.inference.model import Model, load_model
from models.networks.tensors import NO_STATISTICS

_LABEL_OF = {Finding.CLOUD_SHADOW: Label.CLOUD_SHADOW, Finding.CLOUD: Label.CLOUD}
"""The last one wins: a cloud may lie on the shadow of another."""
_KEPT = 1024
"""Squares that are kept: 16 MB, and more than two rows of windows of a Sentinel-2 scene need."""


class CloudSquares:
    """Where a network finds cloud and shadow in a scene; a `geo.imagery.reader.FoundClouds`.

    Each square of cells, on the lattice of the CRS, is asked for once, with the overlap around.
    """

    def __init__(self, scene: Scene, model: Model) -> None:
        """Take a scene, and a model of clouds whose input it fills, or raise BandsMissing."""
        self._model = model
        (self._entry,) = model.card.inputs
        self._scene = scene
        # The provider's clouds stay in: the network needs their pixels.
        self._reader = SceneReader(scene, self._entry.bands, Masking(provider=frozenset()))
        self._cell_m = model.card.resolution_m or scene.gsd_m
        self._margin = model.card.overlap_px // 2
        self._core = model.card.window_px - 2 * self._margin
        self._square = lru_cache(maxsize=_KEPT)(self._look)

    def __call__(self, geobox: GeoBox) -> CodeArray:
        """Return a `Label` where ground is hidden, on a grid north up in metres; thread-safe."""
        # Rows are counted southwards, columns eastwards.
        (height, width), affine = geobox.shape, geobox.affine
        y = affine.f + affine.e * (np.arange(height) + 0.5)
        x = affine.c + affine.a * (np.arange(width) + 0.5)
        rows = np.floor(-y / self._cell_m).astype(np.int64)
        cols = np.floor(x / self._cell_m).astype(np.int64)
        codes = np.zeros(tuple(geobox.shape), np.uint8)
        for down in np.unique(rows // self._core):
            for right in np.unique(cols // self._core):
                square = self._square(crs_of(geobox), int(down), int(right))
                in_rows, in_cols = rows // self._core == down, cols // self._core == right
                cells = np.ix_(
                    rows[in_rows] - down * self._core, cols[in_cols] - right * self._core
                )
                codes[np.ix_(in_rows, in_cols)] = square[cells]
        return codes

    def _look(self, crs: str, down: int, right: int) -> CodeArray:
        """Return the codes of one square, (core, core), without its margin."""
        side, cell = self._core + 2 * self._margin, self._cell_m
        corner = (right * self._core - self._margin, down * self._core - self._margin)
        placed = Affine(cell, 0, corner[0] * cell, 0, -cell, -corner[1] * cell)
        raster = self._raster(GeoBox((side, side), placed, crs))
        inner = np.s_[self._margin : self._margin + self._core]
        if not raster.valid[inner, inner].any():
            return np.zeros((self._core, self._core), np.uint8)
        planes = self._model.predict([{self._entry.name: raster}], NO_STATISTICS)[0]
        card = self._model.card
        answers = {c.name: p >= c.threshold for c, p in zip(card.classes, planes, strict=True)}
        codes = np.zeros(planes.shape[1:], np.uint8)
        for finding, label in _LABEL_OF.items():
            codes[answers.get(finding, False)] = label
        # A cell at the scene's edge that is seen in part goes with the cloud beside it.
        codes = np.where(raster.valid, codes, ndimage.maximum_filter(codes, size=3))
        return codes[inner, inner]

    def _raster(self, geobox: GeoBox) -> Raster:
        pixels, reason = self._reader.read(geobox)
        valid = reason == 0
        return Raster(
            pixels=pixels,
            valid=valid,
            geobox=geobox,
            bands=self._entry.bands,
            sources=(self._scene.id,),
            origin=valid.astype(np.uint8),
            reason=reason,
        )


def maskings(scenes: Sequence[Scene], sources: Sequence[CloudSource]) -> Mapping[str, Masking]:
    """Return how optical scenes are read, by id; no data of the provider's mask always counts."""
    named = {scene.id: scene for scene in scenes}
    networks = {
        s.ref.card.name: load_model(s.ref, device="cpu") for s in sources if s.ref is not None
    }
    masking = {}
    for source in sources:
        network = networks[source.ref.card.name] if source.ref else None
        found = CloudSquares(named[source.scene], network) if network else None
        without = Masking(provider=frozenset({Label.NO_DATA}), found=found)
        masking[source.scene] = Masking() if source.provider else without
    return masking
