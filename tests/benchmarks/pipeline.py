"""What reading, blending, classifying and writing cost around a model that does next to nothing.

Run as a module it maps as one of `CASES`, and writes what that took.
"""

import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeAlias

import numpy as np
import rasterio
from odc.geo.geobox import GeoBox
from shapely import box

from flows.reports.progress import QuietProgress
from geo.imagery.dataset import fixed_block_cache
from geo.scenes.discovery import scenes_of
from geo.scenes.scene import Phase
from geo.scenes.source import Preference, Source
from geo.types import FloatArray
from models.cards.card import ModelCard
from models.cards.registry import find
from models.inference.map_scenes import map_scenes
from models.inference.model import Model, load_model
from models.inference.scene_inputs import reader_for
from models.networks.tensors import Inputs, SceneStatistics
from tests.benchmarks.measure import watch
from tests.benchmarks.scenes import optical_scene
from tests.benchmarks.table import table

SIZE = 5120

Mapping: TypeAlias = Callable[[Path], object]
"""Maps the scene into a folder."""


@dataclass(frozen=True)
class Nothing:
    """A detector that takes a band for its answer."""

    card: ModelCard

    def scene_statistics(self, samples: Iterable[Inputs]) -> SceneStatistics:
        """Look at nothing."""
        del samples
        return SceneStatistics()

    def predict(self, batch: Sequence[Inputs], statistics: SceneStatistics) -> FloatArray:
        """Return the first band of each window."""
        del statistics
        rasters = [raster for inputs in batch for raster in inputs.values() if raster]
        return np.stack([raster.pixels[:1] for raster in rasters])


def _loop(path: Path) -> Mapping:
    from tests.benchmarks.one_layer import loop  # noqa: PLC0415 (torch would count everywhere)

    return partial(loop, path)


def _network(path: Path) -> Mapping:
    from tests.benchmarks.one_layer import network  # noqa: PLC0415 (torch would count everywhere)

    return _ours(network(), path)


def _ours(model: Model, path: Path) -> Mapping:
    """Return what maps a scene into the scratch rasters, as a map run does."""
    scenes = scenes_of(Source(str(path)), Phase.AFTER)
    with rasterio.open(path) as file:
        geobox, area = GeoBox(file.shape, file.transform, file.crs.to_wkt()), box(*file.bounds)

    def run(folder: Path) -> None:
        reader = reader_for(model, scenes, Preference.NEWEST)
        quiet = QuietProgress()
        map_scenes(
            reader, area=area, geobox=geobox, folder=folder, notation="Flooded area", progress=quiet
        )

    return run


CASES: dict[str, tuple[str, Callable[[Path], Mapping]]] = {
    "loop": ("loop of rasterio, 512 px: no overlap, blending, validity", _loop),
    "network": ("Aftermap, the same network of one layer, 512 px at stride 384", _network),
    "nothing": (
        "Aftermap, a detector that does nothing, 1,024 px",
        lambda path: _ours(Nothing(find("ndwi-water").card), path),
    ),
    "ndwi": (
        "Aftermap, ndwi-water, 1,024 px",
        lambda path: _ours(load_model(find("ndwi-water")), path),
    ),
}


def benchmark() -> str:
    """Return the table of the pipeline's overhead."""
    found = {name: _in_a_process(name) for name in CASES}
    megapixels = SIZE**2 / 1e6
    rows = [
        [
            title,
            f"{found[name]['wall_s'] * 1e3 / megapixels:.0f}",
            f"{found[name]['cpu_s'] * 1e3 / megapixels:.0f}",
            f"{found[name]['cpu_s'] / found['loop']['cpu_s']:.1f}",
            f"{found[name]['peak_mb']:,.0f}",
        ]
        for name, (title, _) in CASES.items()
    ]
    head = (
        "pipeline", "ms a megapixel", "of processor, all cores", "times the loop's", "peak, MB"
    )  # fmt: skip
    return (
        f"{SIZE:,} x {SIZE:,} x 4 uint16, deflated, to class rasters; the better of two runs. "
        f"torch is in the memory of the first two.\n\n{table(head, rows)}"
    )


def _in_a_process(name: str) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        taken = watch(sys.executable, "-m", __spec__.name, name, optical_scene(SIZE), report)
        return {**json.loads(report.read_text()), "peak_mb": taken.peak_mb}


def main(name: str, path: str, report: str) -> None:
    """Map twice, and write what the faster run took."""
    runs = []
    with fixed_block_cache():
        run = CASES[name][1](Path(path))
        for _ in range(2):
            with tempfile.TemporaryDirectory() as folder:
                wall, cpu = time.perf_counter(), time.process_time()
                run(Path(folder))
                runs.append((time.perf_counter() - wall, time.process_time() - cpu))
    wall_s, cpu_s = min(runs)
    Path(report).write_text(json.dumps({"wall_s": wall_s, "cpu_s": cpu_s}))


if __name__ == "__main__":
    main(*sys.argv[1:])
