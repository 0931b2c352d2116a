"""The checkup: one finding for each thing that stops runs, or makes them go wrong.

Finding: one thing that was looked at, and what to do about it.

The libraries: their versions, formats, data, and the GPU.

The machine: interpreter, cores, memory, and the disk of the store.

What runs lean on besides libraries: the Prefect server and the shelf of models.
"""

import hashlib
import importlib
import importlib.metadata
import os
import re
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import httpx
import pyogrio
import pyproj
import rasterio
import rasterio.warp
import shapely
from packaging.requirements import Requirement
from rich.table import Table
from rich.text import Text

import geo
from models.cards.registry import CardRef, all_cards
from models.errors import ModelError


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    name: str
    ok: bool
    """False where runs fail or go wrong because of it."""
    detail: str
    """What was found."""
    cure: str = ""
    """What to do; advice where it is ok."""


def healthy(findings: list[Finding]) -> bool:
    """Whether nothing is missing; the command exits with status 1 where it is not."""
    return all(finding.ok for finding in findings)


def as_table(findings: list[Finding]) -> Table:
    """Return the findings as a table for people."""
    table = Table(show_lines=False)
    for column in ("", "what", "found", "what to do"):
        table.add_column(column)
    for finding in findings:
        mark = Text("ok", style="green") if finding.ok else Text("NOT OK", style="bold red")
        # Text, not markup: a path may hold square brackets.
        table.add_row(mark, *map(Text, (finding.name, finding.detail, finding.cure)))
    return table


GIB = 1024**3
MEMORY_NEEDED = 2 * GIB
"""Free memory, bytes: the largest Sentinel-2 scene maps in 1.5 GB with a detector."""
DISK_NEEDED = 2 * GIB
"""Free space, bytes: six bands of scratch of such a scene, 120 MB each, and its product."""


def python_version() -> Finding:
    """The interpreter."""
    found = ".".join(map(str, sys.version_info[:3]))
    ok = sys.version_info >= (3, 11)
    return Finding("Python", ok, found, "" if ok else "install Python 3.11 or later")


def processors() -> Finding:
    """Cores that this process may use."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return Finding("processor cores", ok=True, detail=f"{usable} usable of {os.cpu_count()}")


def memory(proc: Path = Path("/proc"), cgroup: Path = Path("/sys/fs/cgroup")) -> Finding:
    """Free memory, within the limit of a container."""
    free = memory_free(proc, cgroup)
    if free is None:
        return Finding("memory", ok=True, detail="not known on this system")
    ok = free >= MEMORY_NEEDED
    cure = "close other programs, raise the container's limit, or map smaller areas"
    return Finding("memory", ok, f"{gib(free)} free", "" if ok else cure)


def memory_free(proc: Path, cgroup: Path) -> int | None:
    """Return the bytes that are free; None where the system does not tell."""
    try:
        free = _table(proc / "meminfo")["MemAvailable:"] * 1024
    except OSError:
        return None
    try:
        limit = (cgroup / "memory.max").read_text().strip()
        used = int((cgroup / "memory.current").read_text())
        # Pages of files that nobody has used lately are given back at once.
        idle = _table(cgroup / "memory.stat")["inactive_file"]
    except OSError:
        return free
    return free if limit == "max" else min(free, int(limit) - used + idle)


def _table(path: Path) -> dict[str, int]:
    """Return the numbers of a file of names and numbers, a line each."""
    return {line.split()[0]: int(line.split()[1]) for line in path.read_text().splitlines()}


def store_disk(store: Path) -> Finding:
    """Free space where products go."""
    free = shutil.disk_usage(existing(store)).free
    ok = free >= DISK_NEEDED
    cure = "" if ok else "free space there, or choose another store with --store"
    return Finding("disk", ok, f"{gib(free)} free at {store}", cure)


def store_rights(store: Path) -> Finding:
    """Whether products can be written: tried, with a file that has no name."""
    if store.exists() and not store.is_dir():
        cure = "choose another store with --store"
        return Finding("store", ok=False, detail=f"{store} is a file, not a folder", cure=cure)
    folder = existing(store)
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"aftermap")
    except OSError as error:
        cure = f"change the rights of {folder}, or choose another store with --store"
        return Finding("store", ok=False, detail=f"{store}: {error.strerror}", cure=cure)
    new = "" if store.is_dir() else "; does not exist yet, the first map makes it"
    return Finding("store", ok=True, detail=f"{store} can be written{new}")


def existing(path: Path) -> Path:
    """Return the path, or the nearest folder above it that exists."""
    absolute = path.absolute()
    return next(folder for folder in (absolute, *absolute.parents) if folder.is_dir())


def gib(size: int) -> str:
    """Return a number of bytes for people."""
    return f"{size / GIB:.1f} GiB"


def prefect_server(timeout_s: float = 3.0) -> Finding:
    """Whether the server that runs report to can be reached."""
    url = os.environ.get("PREFECT_API_URL", "").rstrip("/")
    name = "Prefect server"
    if not url:
        detail = "PREFECT_API_URL is not set: each run starts a server of its own"
        cure = "for schedules and the form: prefect server start, and set PREFECT_API_URL"
        return Finding(name, ok=True, detail=detail, cure=cure)
    shown = _without_password(url)
    cure = "start it (prefect server start), or unset PREFECT_API_URL"
    try:
        reply = httpx.get(f"{url}/health", timeout=timeout_s)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        detail = f"{shown} cannot be reached: {type(error).__name__}"
        return Finding(name, ok=False, detail=detail, cure=cure)
    if reply.status_code != httpx.codes.OK:
        detail = f"{shown} answers {reply.status_code} to /health"
        return Finding(name, ok=False, detail=detail, cure=cure)
    return Finding(name, ok=True, detail=f"{shown} answers")


def shelf(own: Path | None = None) -> Finding:
    """The models, and whether their weights are the ones of their cards."""
    try:
        refs = all_cards(own)
    except ModelError as error:
        cure = "mend or remove that model's folder"
        return Finding("models", ok=False, detail=str(error), cure=cure)
    wrong = [problem for problem in map(_weights_problem, refs) if problem]
    if wrong or not refs:
        cure = "install Aftermap again, or take card and weights from the same place"
        return Finding("models", ok=False, detail="; ".join(wrong) or "none", cure=cure)
    weighed = sum(ref.card.weights_sha256 is not None for ref in refs)
    detail = f"{len(refs)}: {', '.join(ref.card.name for ref in refs)}; {weighed} with weights"
    return Finding("models", ok=True, detail=f"{detail}, all as their cards say")


def _weights_problem(ref: CardRef) -> str | None:
    if ref.card.weights_sha256 is None:
        return None
    try:
        with ref.weights.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except ModelError as error:
        return f"{ref.card.name}: {error}"
    except OSError as error:
        return f"{ref.card.name}: {error.filename} cannot be read, {error.strerror}"
    if found == ref.card.weights_sha256:
        return None
    said = ref.card.weights_sha256
    return f"{ref.card.name}: the weights are {found[:12]}, the card says {said[:12]}"


def _without_password(url: str) -> str:
    return re.sub(r"//[^/@]*@", "//", url)


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


def checkup(store: Path, *, models: Path | None = None) -> list[Finding]:
    """Return what was found on this machine; nothing is changed by looking.

    Args:
        store: folder that products are to be published in; need not exist yet.
        models: folder of the user's own models.
    """
    return [
        python_version(),
        processors(),
        memory(),
        store_disk(store),
        store_rights(store),
        torch_device(),
        raster_library(),
        vector_library(),
        geometry_library(),
        projections(),
        prefect_versions(),
        prefect_server(),
        shelf(models),
        numba_cache(),
    ]
