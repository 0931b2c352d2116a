"""Small data sets in the layouts of their sources, made by a test."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import rasterio
from rasterio.transform import from_origin

from models.datasets.chips import KINDS

RNG = np.random.default_rng(5)


def write_image(path: Path, values: npt.NDArray[np.generic], **more: object) -> Path:
    """Write (bands, rows, cols) as what the ending says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    driver = {".png": "PNG", ".jpg": "JPEG", ".tif": "GTiff"}[path.suffix]
    bands, rows, cols = values.shape
    if driver == "GTiff" and "transform" not in more:
        more = {**more, "transform": from_origin(0, rows, 1, 1), "crs": "EPSG:32630"}
    with rasterio.open(
        path, "w", driver=driver, height=rows, width=cols, count=bands, dtype=values.dtype, **more
    ) as dataset:
        dataset.write(values)
    return path


def write_ombria(root: Path, numbers: list[int], *, split: str = "train", size: int = 32) -> Path:
    """Write tiles whose flood is dark in the radar and in the infrared after the event."""
    for number in numbers:
        flood = np.zeros((size, size), bool)
        flood[: int(RNG.integers(size // 4, size)), :] = True
        write_image(
            root / "OmbriaS1" / split / "MASK" / f"S1_mask_{number:04d}.png",
            np.where(flood, 255, 0).astype(np.uint8)[None],
        )
        for name, kind in KINDS.items():
            sensor, phase = name.upper().split("-")
            bright = RNG.integers(120, 200, (len(kind.bands), size, size))
            dark = flood & (phase == "AFTER")
            values = np.where(dark, bright // 4, bright).astype(np.uint8)
            folder = root / f"Ombria{sensor}" / split / phase
            write_image(folder / f"{sensor}_{phase.lower()}_{number:04d}.png", values)
    return root


def write_chip(folder: Path, name: str, *, distributed: bool = False, size: int = 24) -> None:
    """Write a chip of Sen1Floods11."""
    labels = RNG.integers(-1, 2, (1, size, size)).astype(np.int16)
    radar = RNG.uniform(-30, 0, (2, size, size)).astype(np.float32)
    optical = RNG.integers(1, 4000, (13, size, size)).astype(np.int16)
    for kind, values in (("LabelHand", labels), ("S1Hand", radar), ("S2Hand", optical)):
        place = folder / kind if distributed else folder
        write_image(place / f"{name}_{kind}.tif", values)
