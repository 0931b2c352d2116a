"""A tiny set in the flat form of xBD: squares that stand, lose colour, or turn to rubble."""

import json
from pathlib import Path

import numpy as np
import shapely

from models.data.xbd import GRADES
from tests.models.data.made import write_image


def write_xbd(root: Path, *, tiles: int = 1, size: int = 128, event: str = "made") -> Path:
    """Write tiles with sixteen buildings, four of each grade; the worse, the darker after."""
    rng = np.random.default_rng(7)
    for number in range(tiles):
        before, after = (rng.integers(90, 110, (3, size, size)).astype(np.uint8) for _ in range(2))
        mask, rows = np.zeros((size, size), np.uint8), []
        side = size // 4
        for place in range(16):
            grade = 1 + (place + place // 4) % 4
            top, left = side * (place // 4) + side // 4, side * (place % 4) + side // 4
            square = np.s_[top : top + side // 2, left : left + side // 2]
            before[:, square[0], square[1]] = 220
            after[:, square[0], square[1]] = 220 - 50 * (grade - 1)
            mask[square] = grade
            outline = shapely.box(left, top, left + side // 2, top + side // 2)
            rows.append({"wkt": outline.wkt, "properties": {"subtype": GRADES[grade - 1]}})
        name = root / f"{event}_{number:08d}"
        write_image(Path(f"{name}_pre_disaster.png"), before)
        write_image(Path(f"{name}_post_disaster.png"), after)
        write_image(Path(f"{name}_post_disaster_target.png"), mask[None])
        label = json.dumps({"features": {"xy": rows}})
        Path(f"{name}_post_disaster.json").write_text(label)
    return root
