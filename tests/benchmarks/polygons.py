"""From a class raster to polygons, and from polygons to GeoJSON, beside what others do.

Run as a module it does one of `CASES` once, and writes what that took.
"""

import json
import sys
import tempfile
import time
from pathlib import Path

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import psutil
import pyogrio
import rasterio.features
import shapely
from affine import Affine

from geo.export.geojson import write_geojson
from geo.types import ObjectArray
from geo.vector.hazards import Hazard
from geo.vector.layers import Provenance, build_layer
from geo.vector.polygonize import area_ha, to_lonlat, to_shapely, trace
from tests.benchmarks.measure import high_water_mb, watch
from tests.benchmarks.scenes import folder, water
from tests.benchmarks.table import table

SIZE = 10980
FEATURES = 20_000
TRANSFORM = Affine(10, 0, 600_000, 0, -10, 5_700_000)
CRS = "EPSG:32633"
BAND_ROWS = 512

Mask = npt.NDArray[np.uint8]


def mask() -> Mask:
    """Return the water of the made scene, (SIZE, SIZE), 1 where there is some; made once."""
    path = folder() / "mask.npy"
    if not path.exists():
        rng = np.random.default_rng(6)
        # As in the scene: where land and water share a pixel, noise decides.
        bands = [wet + 0.02 * rng.standard_normal(wet.shape) > 0.8 for wet, _ in water(SIZE)]
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, np.concatenate(bands).astype(np.uint8))
    loaded: Mask = np.load(path)
    return loaded


def ours(raster: Mask) -> ObjectArray:
    """Trace in row bands, as a map run does."""
    bands = (raster[top : top + BAND_ROWS] for top in range(0, len(raster), BAND_ROWS))
    return to_shapely(trace(bands, width=raster.shape[1], keep=[1]), TRANSFORM)


def shapes(raster: Mask) -> ObjectArray:
    """Take rasterio's shapes one by one, as everybody does."""
    found = rasterio.features.shapes(raster, mask=raster == 1, transform=TRANSFORM)
    return np.array([shapely.geometry.shape(outline) for outline, _ in found], dtype=object)


def layer() -> gpd.GeoDataFrame:
    """Return a layer of the product with `FEATURES` polygons."""
    polygons = to_lonlat(ours(mask()[:6000])[:FEATURES], CRS)
    count = len(polygons)
    columns = {
        "notation": "Flooded area", "water_class": 1, "area_ha": area_ha(polygons),
        "confidence": [90] * count, "observed_at": "2024-06-19T09:50:29Z",
        "or_src_id": "S2A_BEFORE", "dmg_src_id": "S2B_AFTER", "sensor": "Sentinel-2 L2A",
        "sensor_gsd": 10.0,
    }  # fmt: skip
    common = Provenance("benchmark", Hazard.FLOOD, "0" * 16, "ndwi-water 000000000000")
    return build_layer("observed_event", geometries=polygons, common=common, columns=columns)


TRACES = {"shapes": shapes, "ours": ours}
TITLES = {
    "shapes": "rasterio.features.shapes, one by one",
    "ours": "Aftermap, band by band",
    "pyogrio": "pyogrio",
    "write_geojson": "Aftermap",
}


def benchmark() -> str:
    """Return the tables of tracing and of writing."""
    traced = [_in_a_process(name) for name in TRACES]
    head = ("raster to polygons", "s", "MB beside the raster", "polygons", "times as fast")
    rows = [
        [
            TITLES[name],
            f"{found['s']:.2f}",
            f"{found['mb']:,.0f}",
            f"{found['polygons']:,}",
            f"{traced[0]['s'] / found['s']:.1f}",
        ]
        for name, found in zip(TRACES, traced, strict=True)
    ]
    title = f"{SIZE:,} x {SIZE:,} uint8, {mask().mean():.0%} of it water"
    return f"{title}\n\n{table(head, rows)}\n\n{_writing()}"


def _in_a_process(name: str) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as out:
        report = Path(out) / "report.json"
        watch(sys.executable, "-m", __spec__.name, name, report)
        found: dict[str, float] = json.loads(report.read_text())
    return found


def _writing() -> str:
    """Return the table of writing GeoJSON, the better of three each."""
    frame = layer()
    head = ("GeoJSON of a layer", "s", "MB of text", "times as fast")
    with tempfile.TemporaryDirectory() as out:
        path = Path(out) / "layer.geojson"
        seconds, sizes = {}, {}
        for name in ("pyogrio", "write_geojson"):
            seconds[name] = min(_written_s(name, frame, path) for _ in range(3))
            sizes[name] = path.stat().st_size / 1e6
    rows = [
        [
            TITLES[name],
            f"{seconds[name]:.2f}",
            f"{sizes[name]:.0f}",
            f"{seconds['pyogrio'] / seconds[name]:.1f}",
        ]
        for name in seconds
    ]
    vertices = shapely.get_num_coordinates(frame.geometry.to_numpy()).sum()
    return f"{len(frame):,} polygons of {vertices:,} vertices\n\n{table(head, rows)}"


def _written_s(name: str, frame: gpd.GeoDataFrame, path: Path) -> float:
    path.unlink(missing_ok=True)
    start = time.perf_counter()
    if name == "pyogrio":
        options = {"RFC7946": "YES"}
        pyogrio.write_dataframe(frame, path, driver="GeoJSON", layer_options=options)
    else:
        write_geojson(frame, path)
    return time.perf_counter() - start


def main(name: str, report: str) -> None:
    """Trace the mask, and write the seconds, the memory beyond the mask, and the polygons."""
    function, raster = TRACES[name], mask()
    function(raster[:64])  # so that compiled code is loaded
    process = psutil.Process()
    before = process.memory_info().rss / 2**20
    start = time.perf_counter()
    polygons = function(raster)
    seconds = time.perf_counter() - start
    peak = (high_water_mb(process.pid) or before) - before
    found = {"s": seconds, "mb": peak, "polygons": len(polygons)}
    Path(report).write_text(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
