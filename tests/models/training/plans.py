"""A training so small that a test can run it."""

from pathlib import Path
from typing import Any

from models.training.config import TrainingConfig


def plan(root: Path, **changes: Any) -> dict[str, Any]:
    """Return the fields of a config: two epochs of two steps on tiles of 32 px."""
    slots = [
        {"name": f"s1-{phase}", "phase": phase, "sensors": ["sentinel-1-grd"], "bands": ["vv"],
         "units": "dB", "normalised_by": "scene", "required": False}
        for phase in ("before", "after")
    ] + [
        {"name": "s2-after", "phase": "after", "sensors": ["sentinel-2-l1c"],
         "bands": ["nir", "green"], "units": "reflectance", "required": False},
    ]  # fmt: skip
    fields: dict[str, Any] = {
        "seed": 3,
        "tile_px": 32,
        "validate_every": 1,
        "device": "cpu",
        "precision": "float32",
        "card": {
            "name": "tiny-flood",
            "version": "0.1.0",
            "summary": "Learned from made tiles.",
            "task": "flood-change",
            "finding": "flood",
            "architecture": {
                "kind": "network",
                "arch": "unet",
                "encoder": "tu-mobilenetv3_small_050",
                "decoder_options": {"encoder_depth": 3, "decoder_channels": [16, 8, 8]},
                "in_channels": 7,
                "classes": 1,
                "availability_channels": True,
            },
            "inputs": slots,
            "window_px": 64,
            "overlap_px": 16,
            "stride_px": 8,
            "licence": "Apache-2.0",
            "limits": ["It knows made tiles."],
        },
        "data": {"kind": "ombria", "root": str(root), "split": "train", "folds": 3},
        "optimiser": {"epochs": 2, "batch": 4, "average": 0.5},
        "augmentation": {
            "affine": 0.5,
            "jitter": {"dB": {"gain": 0.2, "offset": 0.3, "noise": 0.2, "blur": 0.5}},
        },
        "loss": {"smoothing": 0.05},
        "subsets": [
            {"inputs": ["s1-before", "s1-after", "s2-after"], "weight": 2},
            {"inputs": ["s1-after"], "weight": 1},
        ],
    }
    return fields | changes


def config(root: Path, **changes: Any) -> TrainingConfig:
    """Return the config of `plan`."""
    return TrainingConfig.model_validate(plan(root, **changes))
