"""The ground before and during the flood, and what is true of it."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from geo.landscape.cover import HEIGHT_M, Codes, Cover, make_farmland, per_field
from geo.landscape.noise import Field, Mask, stream, wander
from geo.landscape.relief import Relief, make_relief
from geo.landscape.town import Town, make_town
from geo.landscape.water import flood_depth_m, make_lakes, rise_of_share, truth_of

FLOODED_SHARE = 0.14
"""Of the map, as far as the height of the flood in steps of 0.1 m reaches it."""


@dataclass(frozen=True)
class Ground:
    """Everything there is, before a satellite looks at it; every array is (rows, cols)."""

    relief: Relief
    cover: Codes
    """Values of `Cover`, before the flood."""
    cover_after: Codes
    """The same once farmers have worked some fields: change that is no flood."""
    field: Codes
    """Number of the field."""
    town: Town
    depth_m: Field
    """Of the flood on land, 0 where it is dry or was water before."""
    truth: npt.NDArray[np.uint8]
    """Values of `Truth`."""

    @property
    def permanent(self) -> Mask:
        """Water before the flood."""
        return np.isin(self.cover, (Cover.RIVER, Cover.LAKE))

    @property
    def submerged(self) -> Field:
        """Share of what grows on a pixel that the flood hides: 0 dry, 1 open water."""
        return np.asarray(np.clip(self.depth_m / HEIGHT_M[self.cover], 0, 1))


def make_ground(seed: int, *, size: int) -> Ground:
    """Return the ground of a seed on a square of `size` pixels of 10 m."""
    relief = make_relief(seed, size=size)
    lakes = make_lakes(seed, relief=relief) & ~relief.river
    permanent = relief.river | lakes
    depth = flood_depth_m(relief, rise_m=rise_of_share(relief, share=FLOODED_SHARE))
    road = _road(seed, size=size) & ~permanent
    town = make_town(seed, relief=relief, depth_m=depth, blocked=permanent | road)
    # The road runs on a dam, and the flood passes it through culverts and under its bridge.
    depth = np.where(permanent | road, 0.0, depth)
    farmland = make_farmland(seed, relief=relief)
    cover = farmland.cover.copy()
    for code, mask in (
        (Cover.GARDEN, town.gardens),
        (Cover.ASPHALT, town.streets | road),
        (Cover.RIVER, relief.river),
        (Cover.LAKE, lakes),
    ):
        cover[mask] = code
    return Ground(
        relief=relief,
        cover=cover,
        cover_after=_worked(seed, cover=cover, field=farmland.field, depth_m=depth),
        field=farmland.field,
        town=town,
        depth_m=depth,
        truth=truth_of(depth, permanent=permanent),
    )


def _worked(seed: int, *, cover: Codes, field: Codes, depth_m: Field) -> Codes:
    """Return the cover once one in twenty dry fields is tilled."""
    dry = per_field(depth_m, field) == 0
    tilled = (stream(seed, "worked").random(len(dry)) < 0.05) & dry
    return np.where(
        tilled[field] & (cover >= Cover.CEREAL) & (cover <= Cover.GRASS), Cover.BARE, cover
    )


def _road(seed: int, *, size: int) -> Mask:
    """Return a road from north to south, 16 m wide."""
    rng = stream(seed, "road")
    way = size * rng.uniform(0.25, 0.75) + size * 0.05 * wander(rng, count=size, scale=size / 5)
    return np.abs(np.arange(size) - way[:, None]) < 0.8
