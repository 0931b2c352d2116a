"""Opens a product in QGIS and tells what QGIS made of it, as JSON; run by the system's Python.

`QT_QPA_PLATFORM=offscreen /usr/bin/python3 qgis_script.py PRODUCT PICTURES` draws layers.png into
the folder PICTURES, and each raster pixel by pixel.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

from qgis.core import (
    Qgis,
    QgsApplication,
    QgsMapLayer,
    QgsMapRendererParallelJob,
    QgsMapSettings,
    QgsRasterLayer,
    QgsRectangle,
    QgsVectorLayer,
)
from qgis.PyQt.QtCore import QSize
from qgis.PyQt.QtGui import QColor

ON_TOP_FIRST = ("observed_event", "hydrography", "not_analysed")
SIDE_PX = 900


def vector(layer: QgsVectorLayer) -> dict[str, Any]:
    """Return what QGIS makes of a vector layer, its style taken by itself."""
    renderer = layer.renderer()
    categories = renderer.categories() if renderer.type() == "categorizedSymbol" else []
    return {
        "valid": layer.isValid(),
        "features": layer.featureCount(),
        "read": sum(1 for feature in layer.getFeatures() if feature.geometry().isGeosValid()),
        "crs": layer.crs().authid(),
        "fields": layer.fields().names(),
        "renderer": renderer.type(),
        "symbols": {c.value(): c.symbol().color().name() for c in categories},
        "fills": [part.properties()["style"] for part in renderer.symbol().symbolLayers()]
        if renderer.type() == "singleSymbol"
        else [],
    }


def raster(layer: QgsRasterLayer) -> dict[str, Any]:
    """Return what QGIS makes of a raster."""
    renderer = layer.renderer()
    paletted = renderer.type() == "paletted"
    return {
        "valid": layer.isValid(),
        "crs": layer.crs().authid(),
        "size": [layer.height(), layer.width()],
        "bands": [layer.bandName(i + 1) for i in range(layer.bandCount())],
        "renderer": renderer.type(),
        "classes": {c.label: [c.value, c.color.name()] for c in renderer.classes()}
        if paletted
        else {},
        "nodata": layer.dataProvider().sourceNoDataValue(1),
    }


def draw(layers: list[QgsMapLayer], extent: QgsRectangle, size: QSize, picture: Path) -> None:
    """Draw layers on white in the CRS of the first, which lies on top."""
    settings = QgsMapSettings()
    settings.setLayers(layers)
    settings.setDestinationCrs(layers[0].crs())
    settings.setBackgroundColor(QColor("white"))
    settings.setOutputSize(size)
    settings.setExtent(extent)
    job = QgsMapRendererParallelJob(settings)
    job.start()
    job.waitForFinished()
    job.renderedImage().save(str(picture))


def main() -> None:
    """Open, tell, draw."""
    product, pictures = Path(sys.argv[1]), Path(sys.argv[2])
    application = QgsApplication([], False)
    application.initQgis()
    names = sorted(path.stem for path in product.glob("layers/*.geojson"))
    beside = {n: QgsVectorLayer(str(product / f"layers/{n}.geojson"), n, "ogr") for n in names}
    package = product / "layers.gpkg"
    inside = {n: QgsVectorLayer(f"{package}|layername={n}", n, "ogr") for n in names}
    rasters = {p.stem: QgsRasterLayer(str(p), p.stem) for p in product.glob("rasters/*.tif")}
    extent = beside["area_of_interest"].extent()
    size = QSize(SIDE_PX, SIDE_PX)
    draw([beside[name] for name in ON_TOP_FIRST], extent, size, pictures / "layers.png")
    for name, layer in rasters.items():
        own = QSize(layer.width(), layer.height())
        draw([layer], layer.extent(), own, pictures / f"{name}.png")
    told = {
        "qgis": Qgis.QGIS_VERSION,
        "geojson": {name: vector(layer) for name, layer in beside.items()},
        "geopackage": {name: vector(layer) for name, layer in inside.items()},
        "rasters": {name: raster(layer) for name, layer in rasters.items()},
        "extent": [extent.xMinimum(), extent.yMinimum(), extent.xMaximum(), extent.yMaximum()],
    }
    print(json.dumps(told), flush=True)
    # Tearing Qt down without a screen crashes.
    os._exit(0)


main()
