"""A small town before and after a storm, in the layouts of xBD, made by a test."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely

from models.datasets.xbd import CODE_OF
from models.training.config import RegressionConfig
from tests.models.datasets.made import write_image

STEP_PX, HOUSE_PX = 30, 16
ROUGH = {1: 2.0, 2: 8.0, 3: 30.0, 4: 60.0, 255: 2.0}
"""Noise on the roof after the storm, by grade."""


@dataclass(frozen=True, eq=False)
class Town:
    """Houses in rows, of every grade."""

    before: npt.NDArray[np.float32]
    after: npt.NDArray[np.float32]
    polygons: list[Any]
    grades: list[int]


def town(seed: int = 0, *, side: int = 7, unclassified: int = 1, chance: float = 0.0) -> Town:
    """Return a town of side times side houses; debris is rough and brown.

    Args:
        chance: deviation of the logarithm of the roughness; from 0.5 on grades overlap.
    """
    rng = np.random.default_rng(seed)
    size = side * STEP_PX + STEP_PX
    before = np.stack([np.full((size, size), level, np.float32) for level in (70.0, 100.0, 60.0)])
    polygons, grades = [], []
    after = before + rng.normal(0, 3, before.shape).astype(np.float32)
    before += rng.normal(0, 3, before.shape).astype(np.float32)
    for number in range(side * side):
        top, left = (STEP_PX // 2 + STEP_PX * n for n in divmod(number, side))
        grade = 255 if number < unclassified else 1 + number % 4
        grades.append(grade)
        polygons.append(shapely.box(left, top, left + HOUSE_PX, top + HOUSE_PX))
        roof = np.s_[:, top : top + HOUSE_PX, left : left + HOUSE_PX]
        before[roof] = rng.uniform(110, 180) + rng.normal(0, 2, before[roof].shape)
        rough = ROUGH[grade] * np.exp(rng.normal(0, chance))
        rubble = rng.normal(0, rough, (1, HOUSE_PX, HOUSE_PX))
        brown = np.array([1.0, 0.0, -1.0])[:, None, None] * rough / 2
        after[roof] = before[roof] + rubble + brown
    return Town(*(np.clip(i, 1, 255).round() for i in (before, after)), polygons, grades)


def write_xbd(
    root: Path, name: str, made: Town, *, distributed: bool = True, targets: bool = True
) -> Path:
    """Write a town as a tile of xBD."""
    folders = ("images", "labels", "targets") if distributed else (".", ".", ".")
    images, labels, masks = (root / folder for folder in folders)
    ending = "png" if distributed else "tif"
    for when, image in (("pre", made.before), ("post", made.after)):
        write_image(images / f"{name}_{when}_disaster.{ending}", image.astype(np.uint8))
    names = {code: grade for grade, code in CODE_OF.items()}
    rows = [
        {
            "properties": {"feature_type": "building", "subtype": names[grade], "uid": str(number)},
            "wkt": polygon.wkt,
        }
        for number, (polygon, grade) in enumerate(zip(made.polygons, made.grades, strict=True))
    ]
    labels.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"features": {"xy": rows, "lng_lat": rows}, "metadata": {}})
    (labels / f"{name}_post_disaster.json").write_text(text)
    if targets:
        mask = np.zeros(made.before.shape[1:], np.uint8)
        for polygon, grade in zip(made.polygons, made.grades, strict=True):
            left, top, right, bottom = (int(v) for v in polygon.bounds)
            mask[top:bottom, left:right] = grade
        write_image(masks / f"{name}_post_disaster_target.{ending}", mask[None])
    return root


def plan(root: Path, **changes: Any) -> RegressionConfig:
    """Return a small plan of a regression."""
    fields: dict[str, Any] = {
        "kind": "building-regression",
        "root": root,
        "limit": 2.5,
        "neighbours_px": 40.0,
        "neighbours_share": 0.2,
        "least_px": 30,
        "strength": 0.1,
        "block_px": 60,
        "folds": 4,
        "card": {
            "name": "tiny-damage",
            "version": "0.1.0",
            "summary": "A made regression.",
            "sensors": ["vhr-rgb"],
            "resolution_m": 0.5,
            "window_px": 512,
            "overlap_px": 160,
            "licence": "Apache-2.0",
            "limits": ["It knows one made town."],
        },
    }
    return RegressionConfig.model_validate(fields | changes)
