"""A network of one layer: behind our own door, and in a short script."""

from pathlib import Path

import numpy as np
import rasterio
import torch
from rasterio.windows import Window

from models.cards.card import ModelCard
from models.cards.registry import find
from models.inference.model import Model
from models.networks.network import NetworkModel

BANDS = ("blue", "green", "red", "nir")
WINDOW, STRIDE = 512, 384


class Difference(torch.nn.Module):
    """Green minus near infrared: a convolution would take longer than all around it."""

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return (n, 1, rows, cols) of (n, 4, rows, cols)."""
        return 20 * (pixels[:, 1:2] - pixels[:, 3:4])


def network() -> Model:
    """Return it as a model, 512 px at stride 384."""
    card = find("ndwi-water").card
    slot = card.inputs[0].model_dump()
    slot |= {"bands": BANDS, "mean": [0.0] * 4, "std": [1.0] * 4}
    architecture = {
        "kind": "network", "arch": "Unet", "encoder": "resnet18",
        "in_channels": len(BANDS), "classes": 1,
    }  # fmt: skip
    changes = {
        "architecture": architecture, "weights_sha256": "0" * 64, "inputs": [slot],
        "window_px": WINDOW, "overlap_px": WINDOW - STRIDE,
    }  # fmt: skip
    changed = ModelCard.model_validate(card.model_dump() | changes)
    return NetworkModel(changed, Difference(), torch.device("cpu"))


def loop(path: Path, folder: Path) -> None:
    """Map a scene as a short script does: no overlap, no blending, no validity."""
    layer = Difference()
    with rasterio.open(path) as file, torch.inference_mode():
        profile = {**file.profile, "count": 1, "dtype": "uint8", "compress": None, "predictor": 1}
        with rasterio.open(folder / "class.tif", "w", **profile) as out:
            for top in range(0, file.height, WINDOW):
                for left in range(0, file.width, WINDOW):
                    window = Window(left, top, WINDOW, WINDOW)
                    pixels = torch.from_numpy(file.read(window=window).astype(np.float32) / 10000)
                    water = torch.sigmoid(layer(pixels[None]))[0, 0] >= 0.5
                    out.write(water.numpy().astype(np.uint8), 1, window=window)
