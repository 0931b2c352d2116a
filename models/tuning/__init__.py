"""Networks that learn on from a few labelled polygons of a new place."""

from models.tuning.adapt import TunedNetwork, adapt_network
from models.tuning.labelled import LabelledTile

__all__ = ["LabelledTile", "TunedNetwork", "adapt_network"]
