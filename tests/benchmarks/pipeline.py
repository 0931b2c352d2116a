"""What reading, blending, classifying and writing cost around a model that does next to nothing.

Run as a module it maps once, as one of `CASES`, and writes what that took.
"""

import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio
import torch
from odc.geo.geobox import GeoBox
from rasterio.windows import Window
from shapely import box

from flows.progress import QuietProgress
from geo.block_cache import fixed_block_cache
from geo.discover import scenes_of
from geo.raster import FloatArray
from geo.scene import Phase
from geo.scene_mosaic import Preference
from geo.source import Source
from models.card import ModelCard
from models.detectors.model import DetectorModel
from models.inputs import Inputs
from models.mapping import map_scenes
from models.network import NetworkModel
from models.predict import Model
from models.reading import reader_for
from models.registry import find
from models.survey import Survey
from tests.benchmarks.measure import watch
from tests.benchmarks.scenes import optical_scene
from tests.benchmarks.table import table

SIZE = 5120
BANDS = ("blue", "green", "red", "nir")


@dataclass(frozen=True)
class Nothing:
    """A detector that takes a band for its answer."""

    card: ModelCard

    def survey(self, samples: Iterable[Inputs]) -> Survey:
        """Look at nothing."""
        return Survey()

    def predict(self, batch: Sequence[Inputs], survey: Survey) -> FloatArray:
        """Return the first band of each window."""
        rasters = [raster for inputs in batch for raster in inputs.values() if raster]
        return np.stack([raster.pixels[:1] for raster in rasters])


def one_layer() -> torch.nn.Module:
    """Return a network of one layer with the weights of green minus near infrared."""
    layer = torch.nn.Conv2d(len(BANDS), 1, 1)
    with torch.no_grad():
        layer.weight[:] = torch.tensor([0.0, 20.0, 0.0, -20.0])[None, :, None, None]
        layer.bias[:] = 0.0
    return layer.eval()


def _card(**changes: object) -> ModelCard:
    """Return the card of ndwi-water with something else in it."""
    return ModelCard.model_validate(find("ndwi-water").card.model_dump() | changes)


def _network() -> Model:
    slot = find("ndwi-water").card.inputs[0].model_dump()
    slot |= {"bands": BANDS, "mean": [0.0] * 4, "std": [1.0] * 4}
    network = {
        "kind": "network",
        "arch": "Unet", "encoder": "resnet18", "in_channels": len(BANDS), "classes": 1,
    }  # fmt: skip
    card = _card(
        architecture=network, weights_sha256="0" * 64, inputs=[slot], window_px=512, overlap_px=128
    )
    return NetworkModel(card, one_layer(), torch.device("cpu"))


def _ndwi() -> Model:
    card = find("ndwi-water").card
    return DetectorModel.of(card, card.architecture)


def _mapped(model: Model, path: Path, folder: Path) -> None:
    """Map a scene into the scratch rasters, as the walk does."""
    with fixed_block_cache():
        scenes = scenes_of(Source(str(path)), Phase.AFTER)
        with rasterio.open(path) as file:
            geobox = GeoBox(file.shape, file.transform, file.crs.to_wkt())
            area = box(*file.bounds)
        map_scenes(
            reader_for(model, scenes, Preference.NEWEST),
            area=area, geobox=geobox, folder=folder, notation="Flooded area",
            progress=QuietProgress(),
        )  # fmt: skip


def _loop(path: Path, folder: Path) -> None:
    """Map a scene as a short script does: no overlap, no blending, no validity."""
    network = one_layer()
    with rasterio.open(path) as file, torch.inference_mode():
        profile = {**file.profile, "count": 1, "dtype": "uint8", "compress": None, "predictor": 1}
        with rasterio.open(folder / "class.tif", "w", **profile) as out:
            for top in range(0, file.height, 512):
                for left in range(0, file.width, 512):
                    window = Window(left, top, 512, 512)
                    pixels = torch.from_numpy(file.read(window=window).astype(np.float32) / 10000)
                    water = torch.sigmoid(network(pixels[None]))[0, 0] >= 0.5
                    out.write(water.numpy().astype(np.uint8), 1, window=window)


CASES: dict[str, tuple[str, Callable[[Path, Path], None]]] = {
    "loop": ("a loop of rasterio, 512 px, without overlap, blending, validity", _loop),
    "network": (
        "Aftermap, a network of one layer, 512 px at stride 384",
        lambda path, folder: _mapped(_network(), path, folder),
    ),
    "nothing": (
        "Aftermap, a detector that does nothing, 1,024 px",
        lambda path, folder: _mapped(Nothing(_card()), path, folder),
    ),
    "ndwi": ("Aftermap, ndwi-water, 1,024 px", lambda path, folder: _mapped(_ndwi(), path, folder)),
}


def benchmark() -> str:
    """Return the table of the pipeline's overhead."""
    path = optical_scene(SIZE)
    rows: list[list[object]] = []
    loop_s = 0.0
    for name, (title, _) in CASES.items():
        with tempfile.TemporaryDirectory() as folder:
            report = Path(folder) / "report.json"
            taken = watch(sys.executable, "-m", __spec__.name, name, path, report)
            found = json.loads(report.read_text())
        loop_s = loop_s or found["wall_s"]
        megapixels = SIZE**2 / 1e6
        rows.append(
            [
                title,
                f"{found['wall_s'] * 1e3 / megapixels:.0f}",
                f"{found['cpu_s'] * 1e3 / megapixels:.0f}",
                f"{found['wall_s'] / loop_s:.1f}",
                f"{taken.peak_mb:,.0f}",
            ]
        )
    head = ("pipeline", "ms a megapixel", "of which processor", "times the loop", "peak, MB")
    return f"{SIZE:,} x {SIZE:,} x 4 uint16 in, the better of two runs\n\n{table(head, rows)}"


def main(name: str, path: str, report: str) -> None:
    """Map twice, and write what the faster one took."""
    runs = []
    for _ in range(2):
        with tempfile.TemporaryDirectory() as folder:
            wall, cpu = time.perf_counter(), time.process_time()
            CASES[name][1](Path(path), Path(folder))
            runs.append((time.perf_counter() - wall, time.process_time() - cpu))
    wall_s, cpu_s = min(runs)
    Path(report).write_text(json.dumps({"wall_s": wall_s, "cpu_s": cpu_s}))


if __name__ == "__main__":
    main(*sys.argv[1:])
