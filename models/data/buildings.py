"""Buildings: graded tiles as samples whose pixels are a building or not, and graded."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from geo.scene import Phase
from models.data.sample import ImageKind, Sample
from models.data.xbd import BANDS, GradedTiles

SENSOR = "vhr-rgb"


@dataclass(frozen=True)
class Buildings:
    """What `models.data.sample.LabelledSet` asks for, of the pixels of graded tiles.

    The outlines are those of the image before: a building that is gone is one still.
    """

    tiles: GradedTiles

    @property
    def kinds(self) -> Mapping[str, ImageKind]:
        """Two images."""
        return {
            phase.value: ImageKind(phase, SENSOR, BANDS) for phase in (Phase.BEFORE, Phase.AFTER)
        }

    @property
    def groups(self) -> tuple[str, ...]:
        """The event of each tile."""
        return self.tiles.groups

    @property
    def files(self) -> tuple[Path, ...]:
        """Images and labels."""
        return self.tiles.files

    def __len__(self) -> int:
        """Return how many tiles there are."""
        return len(self.tiles)

    def __getitem__(self, index: int, /) -> Sample:
        """Read a tile; see `LabelledSet`."""
        tile = self.tiles[index]
        images = {Phase.BEFORE.value: tile.before, Phase.AFTER.value: tile.after}
        built = tile.mask > 0
        return Sample(tile.name, tile.event, images, built, np.ones_like(built), tile.mask)
