"""The styles of a product, beside its layers and in a folder of their own."""

import json
from collections.abc import Iterable
from pathlib import Path

from geo.durable import writing
from geo.write.maplibre import maplibre
from geo.write.palette import THEMES
from geo.write.qml import qml
from geo.write.sld import sld


def write_styles(product: Path, layers: Iterable[str]) -> None:
    """Write `styles/` of a product, and the QML beside each GeoJSON that QGIS applies by itself.

    Args:
        product: folder of the product; its folder `layers` exists.
        layers: names of the layers that it holds.

    Raises:
        StoreError: where the disk does not take it.
    """
    names = list(layers)
    styles = product / "styles"
    files = {styles / "maplibre.json": json.dumps(maplibre(names), indent=1) + "\n"}
    for name in names:
        files[styles / f"{name}.sld"] = sld(THEMES[name])
        for folder in (styles, product / "layers"):
            files[folder / f"{name}.qml"] = qml(THEMES[name])
    with writing(product):
        styles.mkdir(exist_ok=True)
        for path, text in files.items():
            path.write_text(text, encoding="utf-8")
