"""Made drone orthophotos through the main job: memory, time, and whether polygons lie right."""

import json
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import geopandas as gpd
import numpy as np
import shapely

from flows.serving.doctor import MEMORY_NEEDED
from tests.benchmarks.measure import Taken, watch
from tests.benchmarks.orthophotos import CRS, Orthophoto
from tests.benchmarks.table import table

SIZES_PX = (10_000, 20_000, 40_000)
OF_DETECTORS_MB = 1_500
FOUND_FROM = 0.5
"""IoU from which a lake counts as found."""
HEAD = (
    "pixels of 2 cm", "file, MB", "peak, MB", "of children, MB", "wall, s", "processor, s",
    "s a megapixel", "windows", "lakes found", "IoU", "furthest lake off, m", "elsewhere, %",
)  # fmt: skip


@dataclass(frozen=True)
class Found:
    """The polygons of a product compared with the lakes of the picture."""

    lakes: int
    """Found, of `of`."""
    of: int
    iou: float
    furthest_m: float
    """Between the centres of a lake and of what was found of it."""
    elsewhere: float
    """Share of what was found that lies more than 1 m beside every lake."""


def benchmark() -> str:
    """Return the table of memory, time and agreement by the size of the picture."""
    rows = []
    for size in SIZES_PX:
        with tempfile.TemporaryDirectory() as store:
            rows.append(_row(Orthophoto(size).make(), Path(store)))
    limits = (
        f"Detectors were to keep within {OF_DETECTORS_MB:,} MB; the libraries of a network take "
        f"half of that before a pixel is read. `aftermap doctor` asks for "
        f"{MEMORY_NEEDED / 2**20:,.0f} MB."
    )
    return f"{limits}\n\n{table(HEAD, rows)}"


def _row(picture: Orthophoto, store: Path) -> list[str]:
    taken = watch(
        sys.executable, "-m", "flows.cli.app", "map", "--direct", "--quiet", "--event", "benchmark",
        "--hazard", "flood", "--after", picture.path, "--store", store,
    )  # fmt: skip
    (product,) = store.glob("events/*/products/*")
    return [*_figures(picture, taken, product), *_agreement(hold(product, picture))]


def _figures(picture: Orthophoto, taken: Taken, product: Path) -> list[str]:
    cost = json.loads((product / "manifest.json").read_text(encoding="utf-8"))["cost"]
    return [
        f"{picture.size_px:,}²",
        f"{picture.path.stat().st_size / 1e6:,.0f}",
        f"{taken.peak_mb:,.0f}",
        f"{taken.children_mb:,.0f}",
        f"{taken.wall_s:.0f}",
        f"{taken.cpu_s:.0f}",
        f"{taken.wall_s / (picture.size_px**2 / 1e6):.2f}",
        f"{cost['windows']:,}",
    ]


def _agreement(found: Found) -> list[str]:
    return [
        f"{found.lakes} of {found.of}",
        f"{found.iou:.3f}",
        f"{found.furthest_m:.2f}",
        f"{100 * found.elsewhere:.1f}",
    ]


def hold(product: Path, picture: Orthophoto) -> Found:
    """Hold the polygons of a product against the lakes of the picture, in square metres."""
    water = gpd.read_file(product / "layers" / "observed_event.geojson").to_crs(CRS).union_all()
    lakes = picture.truth
    truth = lakes.union_all()
    each = [shapely.intersection(water, lake.buffer(5)) for lake in lakes]
    met = [
        (part, lake) for part, lake in zip(each, lakes, strict=True)
        if part.intersection(lake).area >= FOUND_FROM * part.union(lake).area
    ]  # fmt: skip
    return Found(
        lakes=len(met),
        of=len(lakes),
        iou=water.intersection(truth).area / water.union(truth).area,
        furthest_m=max(
            (part.centroid.distance(lake.centroid) for part, lake in met), default=np.nan
        ),
        elsewhere=1 - water.intersection(truth.buffer(1)).area / water.area,
    )
