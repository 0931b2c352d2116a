"""The libraries: their versions, formats, data, and the GPU."""

import importlib
import importlib.metadata
import os
from pathlib import Path
from types import ModuleType

import pyogrio
import pyproj
import rasterio
import rasterio.warp
import shapely
from packaging.requirements import Requirement

import geo
from flows.doctor.finding import Finding
from flows.doctor.machine import existing, gib

_RASTER_DRIVERS = ("GTiff", "COG")
_VECTOR_DRIVERS = ("GeoJSON", "GPKG")
_BOUNDED = ("prefect", "fastapi", "sqlalchemy")
_TRAP = (
    "later versions of fastapi stop the first flow, and of sqlalchemy the schedules, without a "
    "word; install with -c constraints.txt"
)


def torch_device(driver: Path = Path("/proc/driver/nvidia/version")) -> Finding:
    """The library of the networks, and the GPU."""
    try:
        torch = importlib.import_module("torch")
        # A torchvision of another build loads torch and then fails itself.
        importlib.import_module("torchvision")
    except (ImportError, OSError, RuntimeError) as error:
        cure = "install torch and torchvision of one build; see the README"
        return Finding("torch", ok=False, detail=f"does not load: {error}", cure=cure)
    version = f"{torch.__version__}, torchvision {importlib.metadata.version('torchvision')}"
    if torch.cuda.is_available():
        return Finding("torch", ok=True, detail=f"{version}; {_gpus(torch)}")
    detail = f"{version}; no GPU: networks run on the processor, more slowly"
    cure = "a GPU driver is there: install a torch that is built for it" if driver.exists() else ""
    return Finding("torch", ok=True, detail=detail, cure=cure)


def _gpus(torch: ModuleType) -> str:
    devices = [torch.cuda.get_device_properties(i) for i in range(torch.cuda.device_count())]
    return ", ".join(f"{device.name} with {gib(device.total_memory)}" for device in devices)


def raster_library() -> Finding:
    """rasterio and the formats that it writes."""
    with rasterio.Env() as env:
        missing = sorted(set(_RASTER_DRIVERS) - set(env.drivers()))
    detail = f"{rasterio.__version__}, GDAL {rasterio.__gdal_version__}"
    return _with_drivers("rasterio", detail, missing)


def vector_library() -> Finding:
    """pyogrio and the formats that it writes."""
    drivers = pyogrio.list_drivers(write=True)
    missing = sorted(set(_VECTOR_DRIVERS) - set(drivers))
    gdal = ".".join(map(str, pyogrio.__gdal_version__))
    return _with_drivers("pyogrio", f"{pyogrio.__version__}, GDAL {gdal}", missing)


def geometry_library() -> Finding:
    """shapely and GEOS."""
    geos = ".".join(map(str, shapely.geos_version))
    return Finding("shapely", ok=True, detail=f"{shapely.__version__}, GEOS {geos}")


def projections() -> Finding:
    """Whether PROJ finds its database, in both libraries that bring one.

    The origin of UTM zone 31 lies at 3 degrees east on the equator, at easting 500,000.
    """
    detail = f"PROJ {pyproj.proj_version_str} (pyproj), {rasterio.__proj_version__} (rasterio)"
    try:
        here = pyproj.Transformer.from_crs(4326, 32631, always_xy=True).transform(3, 0)
        there = rasterio.warp.transform("EPSG:4326", "EPSG:32631", [3], [0])
    except (pyproj.exceptions.ProjError, rasterio.errors.RasterioError) as error:
        return _no_proj(f"{detail}: {error}")
    points = [here, (there[0][0], there[1][0])]
    wrong = [point for point in points if abs(point[0] - 5e5) > 0.01 or abs(point[1]) > 0.01]
    if wrong:
        return _no_proj(f"{detail}: the origin of UTM zone 31 is put at {wrong[0]}")
    return Finding("PROJ", ok=True, detail=f"{detail}; a known point is where it should be")


def prefect_versions() -> Finding:
    """Prefect and what it stands on, against the bounds of this distribution."""
    try:
        declared = map(Requirement, importlib.metadata.requires("aftermap") or ())
        found = {name: importlib.metadata.version(name) for name in _BOUNDED}
    except importlib.metadata.PackageNotFoundError as error:
        cure = "install Aftermap in its own environment: make demo does"
        return Finding("Prefect", ok=False, detail=f"{error.name} is not installed", cure=cure)
    bounds = {part.name: part.specifier for part in declared if part.name in _BOUNDED}
    outside = [name for name in _BOUNDED if not bounds[name].contains(found[name])]
    detail = ", ".join(f"{name} {found[name]}" for name in _BOUNDED)
    if not outside:
        return Finding("Prefect", ok=True, detail=detail)
    wanted = ", ".join(f"{name} {bounds[name]}" for name in outside)
    return Finding("Prefect", ok=False, detail=f"{detail}; wanted: {wanted}", cure=_TRAP)


def numba_cache() -> Finding:
    """Whether compiled loops can be kept from one run to the next."""
    own = os.environ.get("NUMBA_CACHE_DIR")
    beside = Path(geo.__file__).parent / "__pycache__"
    folders = [Path(own)] if own else [beside, Path.home() / ".cache"]
    kept = next((folder for folder in folders if os.access(existing(folder), os.W_OK)), None)
    if kept is not None:
        return Finding("numba", ok=True, detail=f"compiled loops are kept in {kept}")
    detail = f"{' and '.join(map(str, folders))} cannot be written: each run compiles anew"
    cure = "set NUMBA_CACHE_DIR to a folder that can"
    return Finding("numba", ok=True, detail=detail, cure=cure)


def _with_drivers(name: str, detail: str, missing: list[str]) -> Finding:
    if not missing:
        return Finding(name, ok=True, detail=detail)
    cure = f"install the {name} wheel from PyPI: this build lacks formats"
    return Finding(name, ok=False, detail=f"{detail}, without {', '.join(missing)}", cure=cure)


def _no_proj(detail: str) -> Finding:
    set_by = [name for name in ("PROJ_DATA", "PROJ_LIB") if name in os.environ]
    cure = f"unset {' and '.join(set_by)}" if set_by else "reinstall pyproj and rasterio"
    return Finding("PROJ", ok=False, detail=detail, cure=cure)
