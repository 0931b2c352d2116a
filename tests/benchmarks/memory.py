"""Does memory grow with the scene? A map run on scenes of three sizes, in a process of its own."""

import json
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.measure import Taken, watch
from tests.benchmarks.scenes import folder, optical_scene, radar_scene
from tests.benchmarks.table import table

STEPS = {
    "scenes": ("find_scenes", "make_plan"),
    "pixels": ("map_pixels",),
    "layers": ("make_layers",),
    "rasters": ("make_rasters", "publish"),
    "picture": ("draw",),
}
"""Columns of the table, and the steps of a map run that they hold."""


@dataclass(frozen=True)
class Case:
    """One run of a map run."""

    title: str
    size: int
    scene: Callable[..., Path]
    model: str
    pair: bool = False
    flow: bool = False
    """Through Prefect, whose own process and server count as well."""


CASES = (
    Case("one image", 2000, optical_scene, "ndwi-water"),
    Case("one image", 5490, optical_scene, "ndwi-water"),
    Case("one image", 10980, optical_scene, "ndwi-water"),
    Case("one image, Prefect", 10980, optical_scene, "ndwi-water", flow=True),
    Case("before and after", 5490, optical_scene, "ndwi-water", pair=True),
    Case("radar before and after", 5490, radar_scene, "sar-change", pair=True),
)
HEAD = (
    "scene", "pixels", "peak, MB", "of children, MB", "wall, s", "processor, s",
    "s a megapixel", "polygons", *(f"{name}, %" for name in STEPS),
)  # fmt: skip


def benchmark() -> str:
    """Return the table of peak memory and time by the size of the scene."""
    rows = []
    for case in CASES:
        with tempfile.TemporaryDirectory() as store:
            rows.append(_row(case, Path(store)))
    return table(HEAD, rows)


def _row(case: Case, store: Path) -> list[str]:
    report = store / "steps.json"
    module = ["flows.cli.app"] if case.flow else ["tests.benchmarks.walked", report]
    # Prefect's database is kept: making it takes longer than many a map.
    home = {"AFTERMAP_HOME": str(folder() / "home")}
    taken = watch(sys.executable, "-m", *module, *_command(case, store), env=home)
    steps = {} if case.flow else json.loads(report.read_text())
    return [*_figures(case, taken, _polygons(store)), *_shares(steps, taken)]


def _command(case: Case, store: Path) -> list[object]:
    before = ["--before", case.scene(case.size, phase="before")] if case.pair else []
    direct = [] if case.flow else ["--direct"]
    return [
        "map", *direct, "--quiet", "--event", "benchmark", "--hazard", "flood",
        *before, "--after", case.scene(case.size), "--model", case.model, "--clouds", "off",
        "--store", store,
    ]  # fmt: skip


def _figures(case: Case, taken: Taken, polygons: int) -> list[str]:
    megapixels = case.size**2 / 1e6
    return [
        f"{case.title}, {case.model}",
        f"{case.size:,}²",
        f"{taken.peak_mb:,.0f}",
        f"{taken.children_mb:,.0f}",
        f"{taken.wall_s:.1f}",
        f"{taken.cpu_s:.1f}",
        f"{taken.wall_s / megapixels:.2f}",
        f"{polygons:,}",
    ]


def _shares(steps: Mapping[str, float], taken: Taken) -> list[str]:
    """Return the share of the wall time of each column; what is left is starting Python."""
    if not steps:
        return [""] * len(STEPS)
    spent = [sum(steps[name] for name in names) for names in STEPS.values()]
    return [f"{100 * seconds / taken.wall_s:.0f}" for seconds in spent]


def _polygons(store: Path) -> int:
    (summary,) = store.glob("events/*/products/*/summary.json")
    return sum(found["features"] for found in json.loads(summary.read_text())["classes"])
