"""Buildings between two steps: outlines that were found, and grades, as files of the workspace."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd

from geo.vector.buildings import BuildingGrades, Footprints, FoundBuildings
from models.networks.tensors import SceneStatistics


@dataclass(frozen=True)
class BuildingsRecord:
    """What is known of the buildings of a product, and where the rest lies."""

    raster: Path | None = None
    """Probability of building and of damage, see `models.damage.detection.SEARCHED`."""
    outlines: Path | None = None
    """GeoParquet of the outlines that were found; None where footprints were given."""
    found: int | None = None
    """Number of them."""
    grades: Path | None = None
    """Of the buildings in their order; None without a grader."""
    alignment: Mapping[str, Any] | None = None
    """The shift between images and footprints, as the manifest states it."""
    notes: tuple[str, ...] = ()
    """The same in sentences."""
    statistics: SceneStatistics | None = None
    """Of the scenes, as the grader took them."""


def write_found(found: FoundBuildings, folder: Path) -> Path:
    """Write outlines that were found; return the file."""
    path = folder / "found.parquet"
    columns = {"certainty": found.certainty, "sha256": found.footprints.sha256}
    frame = gpd.GeoDataFrame(
        columns, geometry=list(found.footprints.geometries), crs="EPSG:4326",
        index=pd.RangeIndex(len(found)),
    )  # fmt: skip
    frame.to_parquet(path, index=False)
    return path


def read_found(path: Path) -> FoundBuildings:
    """Return the outlines of a file that `write_found` wrote."""
    frame = gpd.read_parquet(path)
    digest = str(frame["sha256"].iloc[0]) if len(frame) else ""
    own = pd.DataFrame(index=pd.RangeIndex(len(frame)))
    geometries = np.asarray(frame.geometry.to_numpy(), dtype=object)
    return FoundBuildings(Footprints(geometries, own, digest, ()), frame["certainty"].to_numpy())


def write_grades(grades: BuildingGrades, folder: Path) -> Path:
    """Write the grades of buildings; return the file."""
    path = folder / "grades.npz"
    texts = json.dumps({"reasons": grades.reasons, "scenes": grades.scenes})
    np.savez(path, probabilities=grades.probabilities, texts=np.array(texts))
    return path


def read_grades(path: Path) -> BuildingGrades:
    """Return the grades of a file that `write_grades` wrote."""
    with np.load(path, allow_pickle=False) as file:
        texts = json.loads(str(file["texts"]))
        probabilities = file["probabilities"]
    scenes = tuple((tuple(before), tuple(after)) for before, after in texts["scenes"])
    return BuildingGrades(probabilities, tuple(texts["reasons"]), scenes)
