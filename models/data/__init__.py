"""Labelled data sets, read in the layouts in which their sources give them away."""

from models.data.kinds import Kind, SetOptions, open_set
from models.data.sample import ImageKind, LabelledSet, Sample
from models.data.splits import Fold, Part, data_digest, fold, left_out

__all__ = [
    "Fold",
    "ImageKind",
    "Kind",
    "LabelledSet",
    "Part",
    "Sample",
    "SetOptions",
    "data_digest",
    "fold",
    "left_out",
    "open_set",
]
