"""The networks that every test of networks runs on: the shipped ones, and one that is made."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file

from geo.synthetic import BANDS, Landscape
from geo.types import BoolArray, FloatArray, Raster
from models.cards.architecture import NetworkArchitecture
from models.cards.card import ModelCard
from models.cards.inputs import CardInput, InputPhase, Physical, Task
from models.cards.registry import CardRef, all_cards, find
from models.networks.network import build
from tests.models.conftest import make_raster, network_card

MADE = "made-flood"
_COMMON = dict(zip(BANDS[:-1], ("blue", "green", "red", "nir", "swir16", "swir22"), strict=True))


def shipped() -> list[CardRef]:
    """Return the networks on the shelf that map pixels; graders of buildings see none of water."""
    return [
        ref
        for ref in all_cards()
        if isinstance(ref.card.architecture, NetworkArchitecture)
        and ref.card.task is not Task.DAMAGE
    ]


def flood_card(**changes: Any) -> dict[str, Any]:
    """Return the card of a network with the slots of flood-s1s2, all optional, as JSON values."""
    radar = {"sensors": ["sentinel-1-grd", "sentinel-1-rtc"], "bands": ["vv"], "units": "dB"}
    optical = {
        "sensors": ["sentinel-2-l1c", "sentinel-2-l2a"],
        "bands": ["swir16", "nir", "green"],
        "units": "reflectance",
    }
    levels = {
        "s1": {"mean": [-12.0], "std": [4.0]},
        "s2": {"mean": [0.2, 0.25, 0.1], "std": [0.1, 0.1, 0.05]},
    }
    inputs = [
        {"name": f"{name}-{phase}", "phase": phase, "required": False, **image, **levels[name]}
        for name, image in (("s1", radar), ("s2", optical))
        for phase in ("before", "after")
    ]
    # No squeeze and excitation, which would look at the whole window: what lies far away is of
    # no account to it.
    architecture = {
        "kind": "network",
        "arch": "unet",
        "encoder": "tu-mobilenetv2_035",
        "decoder_options": {"encoder_depth": 3, "decoder_channels": [16, 8, 8]},
        "in_channels": 12,
        "classes": 1,
        "availability_channels": True,
    }
    classes = [{"name": "flood", "threshold": 0.5}]
    card = network_card(name=MADE, inputs=inputs, architecture=architecture, classes=classes)
    return card | changes


def save_flood(folder: Path, *, head: float = 0.0, **changes: Any) -> CardRef:
    """Save a network of random weights with the slots of flood-s1s2.

    Args:
        head: added to its logits; 100 makes it call everything flood.
    """
    card = flood_card(**changes)
    torch.manual_seed(7)
    architecture = NetworkArchitecture.model_validate(card["architecture"])
    network = build(architecture, name=MADE)
    tensors = network.state_dict()
    tensors["segmentation_head.0.bias"] += head
    folder.mkdir(parents=True, exist_ok=True)
    weights = folder / "weights.safetensors"
    save_file(tensors, weights)
    card["weights_sha256"] = hashlib.sha256(weights.read_bytes()).hexdigest()
    (folder / "card.json").write_text(json.dumps(card))
    return find(folder)


def images(card: ModelCard, landscape: Landscape, *, flooded: bool = True) -> dict[str, Raster]:
    """Return a landscape as the slots of a card want it.

    Args:
        flooded: whether the images after the event show the flood, or what lay there before.
    """
    return {
        entry.name: image(
            entry, landscape, flooded=flooded and entry.phase is not InputPhase.BEFORE
        )
        for entry in card.inputs
    }


def image(entry: CardInput, landscape: Landscape, *, flooded: bool) -> Raster:
    """Return what a slot wants of a landscape, in the flood or before it."""
    if entry.units is Physical.DECIBEL:
        radar = landscape.radar_after if flooded else landscape.radar_before
        return make_raster(dict(zip(("vv", "vh"), radar, strict=True)))
    stored = landscape.optical_after if flooded else landscape.optical_before
    reflectance = (stored[:-1].astype(np.float32) - 1000) / 10_000
    reflectance[:, stored[0] == 0] = np.nan
    if entry.units is Physical.BRIGHTNESS:
        # As a camera is set: a third of the light is white, nothing is quite black.
        reflectance = np.clip(reflectance / 0.3, 0.01, 1) * 255
    return make_raster(dict(zip(_COMMON.values(), reflectance, strict=True)))


def changed(raster: Raster, change: Any) -> Raster:
    """Return a raster with a change made to each of its bands, (rows, cols)."""
    return make_raster({name: change(raster.band(name)) for name in raster.bands})


def found(card: ModelCard, probability: FloatArray) -> BoolArray:
    """Return where the first class counts as found."""
    return probability >= card.classes[0].threshold
