"""Rasters in memory, and a tiny network that a test makes, saves and loads."""

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from affine import Affine
from odc.geo.geobox import GeoBox

from geo.types import Raster

Bands = Mapping[str, npt.NDArray[Any]]
MakeRaster = Callable[..., Raster]


def make_raster(bands: Bands, *, origin_m: float = 500_000.0) -> Raster:
    """Return a raster of 10 m pixels; NaN is not valid."""
    pixels = np.stack([np.asarray(values, np.float32) for values in bands.values()])
    valid = np.isfinite(pixels).all(axis=0)
    codes = np.zeros(valid.shape, np.uint8)
    return Raster(
        pixels=np.where(valid, pixels, np.nan).astype(np.float32),
        valid=valid,
        geobox=GeoBox(valid.shape, Affine(10, 0, origin_m, 0, -10, 4_500_000), "EPSG:32613"),
        bands=tuple(bands),
        sources=("made",),
        origin=codes,
        reason=codes,
    )


@pytest.fixture(scope="session")
def raster() -> MakeRaster:
    """The one factory of rasters of these tests."""
    return make_raster


def network_card(**changes: Any) -> dict[str, Any]:
    """Return the card of a tiny network on two optical dates as plain JSON values."""
    card: dict[str, Any] = {
        "name": "tiny",
        "version": "0.1.0",
        "summary": "A network of random weights.",
        "weights_sha256": "0" * 64,
        "task": "flood-change",
        "architecture": {
            "kind": "network",
            "arch": "unet",
            "encoder": "tu-mobilenetv3_small_050",
            "decoder_options": {"encoder_depth": 3, "decoder_channels": [16, 8, 8]},
            "in_channels": 6,
            "classes": 2,
            "availability_channels": True,
        },
        "inputs": [
            {
                "name": f"s2-{phase}",
                "phase": phase,
                "sensors": ["sentinel-2-l2a"],
                "bands": ["nir", "green"],
                "units": "reflectance",
                "mean": [0.25, 0.1],
                "std": [0.1, 0.05],
                "required": phase == "after",
            }
            for phase in ("before", "after")
        ],
        "window_px": 256,
        "overlap_px": 64,
        "stride_px": 8,
        "classes": [
            {"name": "flood", "threshold": 0.5},
            {"name": "reference_water", "threshold": 0.5},
        ],
        "trained_on": "nothing",
        "tested_on": "nothing",
        "licence": "Apache-2.0",
        "limits": ["It knows nothing."],
    }
    return card | changes


@pytest.fixture(scope="session")
def card_json() -> Callable[..., dict[str, Any]]:
    """The JSON of a card, with changes."""
    return network_card


@pytest.fixture
def save_network(tmp_path: Path) -> Callable[..., Path]:
    """Save a card and the random weights of its network, and return the folder."""

    def save(**changes: Any) -> Path:
        import torch  # noqa: PLC0415 - the tests of detectors do without
        from safetensors.torch import save_file  # noqa: PLC0415

        from models.cards.card import ModelCard  # noqa: PLC0415
        from models.networks.network import build  # noqa: PLC0415

        card = network_card(**changes)
        torch.manual_seed(7)
        network = build(ModelCard.model_validate(card).architecture, name="tiny")
        weights = tmp_path / "weights.safetensors"
        save_file(network.state_dict(), weights)
        card["weights_sha256"] = hashlib.sha256(weights.read_bytes()).hexdigest()
        (tmp_path / "card.json").write_text(json.dumps(card))
        return tmp_path

    return save


def redigest(folder: Path) -> None:
    """Make a card agree with whatever lies beside it."""
    card = json.loads((folder / "card.json").read_text())
    content = (folder / "weights.safetensors").read_bytes()
    card["weights_sha256"] = hashlib.sha256(content).hexdigest()
    (folder / "card.json").write_text(json.dumps(card))
