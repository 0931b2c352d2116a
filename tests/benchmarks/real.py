"""Real imagery through the main job, each set in one command: the houses of Joplin, and photos."""

import json
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import geopandas as gpd
import numpy as np
from PIL import Image

from models.cards.registry import find
from models.datasets.catalog import Kind, open_set
from models.evaluation.evaluate import LEFT_OUT, split_for
from models.evaluation.metrics import Counts, count
from models.inference.photos import FOUND
from tests.benchmarks.measure import ROOT, Taken, watch
from tests.benchmarks.table import table

DATA = Path(os.environ.get("AFTERMAP_DATA", ROOT.parent / "shared" / "data"))
NETWORK = "flood-rgb"


def benchmark() -> str:
    """Return two tables; reads the labelled imagery of AFTERMAP_DATA."""
    with tempfile.TemporaryDirectory() as store:
        buildings = _buildings(Path(store))
    with tempfile.TemporaryDirectory() as store:
        photos = _photos(Path(store))
    return f"{buildings}\n\n{photos}"


def _buildings(store: Path) -> str:
    """Grade the footprints of joplin_vhr: ten tiles in two CRSs, before and after."""
    folder = DATA / "joplin_vhr"
    area = ",".join(map(str, gpd.read_file(folder / "buildings.geojson").total_bounds))
    taken, summary, _ = _mapped(
        store, "storm", "--area", area, "--before", folder / "pre", "--after", folder / "post",
        "--buildings", folder / "buildings.geojson",
    )  # fmt: skip
    head = ["joplin_vhr", "buildings", *_COST, *summary["buildings"]]
    row = [summary["model"]["name"], sum(summary["buildings"].values()), *_cost(taken)]
    return table(head, [[*row, *summary["buildings"].values()]])


def _photos(store: Path) -> str:
    """Map the photos of flood_area, and compare those that were not trained on with labels."""
    images = DATA / "flood_area" / "images"
    taken, summary, product = _mapped(store, "flood", "--after", images, "--model", NETWORK)
    masks = {Path(row["photo"]).stem: product / row["mask"] for row in summary["photos"]}
    labelled = open_set(Kind.PAIRS, images.parent, split=split_for(find(NETWORK).card, LEFT_OUT))
    counts = Counts(0, 0, 0, 0)
    for index in range(len(labelled)):
        sample = labelled[index]
        found = np.asarray(Image.open(masks[sample.name])) == FOUND
        counts += count(found[sample.known], sample.target[sample.known])
    head = ["flood_area", "photos", *_COST, "s a photo", "not trained on", "their IoU"]
    row = [NETWORK, len(masks), *_cost(taken), f"{taken.wall_s / len(masks):.2f}"]
    return table(head, [[*row, len(labelled), f"{counts.iou:.3f}"]])


_COST = ("peak, MB", "of children, MB", "wall, s", "processor, s")


def _cost(taken: Taken) -> Sequence[str]:
    return (
        f"{taken.peak_mb:,.0f}", f"{taken.children_mb:,.0f}", f"{taken.wall_s:.0f}",
        f"{taken.cpu_s:.0f}",
    )  # fmt: skip


def _mapped(store: Path, hazard: str, *arguments: object) -> tuple[Taken, dict, Path]:
    """Run one command, and return what it took, its summary, and its product."""
    taken = watch(
        sys.executable, "-m", "flows.cli.app", "map", "--direct", "--quiet", "--event", "benchmark",
        "--hazard", hazard, "--store", store, *arguments,
    )  # fmt: skip
    (product,) = store.glob("events/*/products/*")
    return taken, json.loads((product / "summary.json").read_text(encoding="utf-8")), product
