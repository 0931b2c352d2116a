"""Doctor: checks of an installation, one finding for each thing that can stop or falsify a run."""

import hashlib
import importlib
import importlib.metadata
import os
import re
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx
import pyproj
import rasterio.warp
from packaging.requirements import Requirement
from rich.table import Table
from rich.text import Text

from models.cards.registry import CardRef, all_cards
from models.errors import ModelError

GIB = 1024**3
MEMORY_NEEDED = 2 * GIB
"""Free memory, bytes: the largest Sentinel-2 scene maps in 1.5 GB with a detector."""
DISK_NEEDED = 2 * GIB
"""Free space, bytes: six bands of scratch of such a scene, 120 MB each, and its product."""


@dataclass(frozen=True)
class Finding:
    """The result of one check."""

    name: str
    ok: bool
    """False where runs fail or go wrong because of it."""
    detail: str
    cure: str = ""
    """What to do; advice where it is ok."""


def checkup(store: Path, *, models: Path | None = None) -> list[Finding]:
    """Return the findings on this machine, changing nothing; the store need not exist yet."""
    found = (memory(), store_folder(store), torch_device(), projections())
    return [*found, prefect_versions(), prefect_server(), model_registry(models)]


def healthy(findings: Sequence[Finding]) -> bool:
    """Whether nothing is missing; the command exits with status 1 where something is."""
    return all(finding.ok for finding in findings)


def as_table(findings: Sequence[Finding]) -> Table:
    """Return the findings as a table for people."""
    table = Table("", "what", "found", "what to do")
    for finding in findings:
        mark = Text("ok", style="green") if finding.ok else Text("NOT OK", style="bold red")
        # Text, not markup: a path may hold square brackets.
        table.add_row(mark, *map(Text, (finding.name, finding.detail, finding.cure)))
    return table


def memory(proc: Path = Path("/proc"), cgroup: Path = Path("/sys/fs/cgroup")) -> Finding:
    """Check the free memory, within the limit of a container."""
    try:
        free = _numbers(proc / "meminfo")["MemAvailable:"] * 1024
    except OSError:
        return Finding("memory", ok=True, detail="not known on this system")
    limit = cgroup / "memory.max"
    if limit.is_file() and (most := limit.read_text().strip()) != "max":
        used = int((cgroup / "memory.current").read_text())
        # Cached pages of files that were not used lately are freed at once.
        idle = _numbers(cgroup / "memory.stat")["inactive_file"]
        free = min(free, int(most) - used + idle)
    cure = "close other programs, raise the container's limit, or map smaller areas"
    ok = free >= MEMORY_NEEDED
    return Finding("memory", ok, f"{free / GIB:.1f} GiB free", "" if ok else cure)


def _numbers(path: Path) -> dict[str, int]:
    """Return the numbers of a file of names and numbers, a line each."""
    return {line.split()[0]: int(line.split()[1]) for line in path.read_text().splitlines()}


def store_folder(store: Path) -> Finding:
    """Check that products can be written, by a file without a name, and that there is space."""
    absolute = store.absolute()
    folder = next(path for path in (absolute, *absolute.parents) if path.exists())
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"aftermap")
    except OSError as error:
        cure = f"change the rights of {folder}, or choose another store with --store"
        return Finding("store", ok=False, detail=f"{store}: {error.strerror}", cure=cure)
    free = shutil.disk_usage(folder).free
    new = "" if store.is_dir() else "; it does not exist yet, the first map makes it"
    cure = "" if free >= DISK_NEEDED else "free space there, or choose another store with --store"
    return Finding("store", not cure, f"{store}, {free / GIB:.1f} GiB free{new}", cure)


def torch_device(driver: Path = Path("/proc/driver/nvidia/version")) -> Finding:
    """Check that torch loads, and name the GPU."""
    try:
        torch = importlib.import_module("torch")
        # A torchvision of another build loads torch and then fails itself.
        importlib.import_module("torchvision")
    except (ImportError, OSError, RuntimeError) as error:
        cure = "install torch and torchvision of one build; see deploy/README.md"
        return Finding("torch", ok=False, detail=f"does not load: {error}", cure=cure)
    if torch.cuda.is_available():
        devices = [torch.cuda.get_device_properties(i) for i in range(torch.cuda.device_count())]
        shown = ", ".join(f"{gpu.name} with {gpu.total_memory / GIB:.1f} GiB" for gpu in devices)
        return Finding("torch", ok=True, detail=f"{torch.__version__}; {shown}")
    detail = f"{torch.__version__}; no GPU: networks run on the processor, more slowly"
    if driver.exists():
        return Finding("torch", True, detail, "a GPU driver is there: install a torch built for it")
    cure = (
        f"this build brings CUDA {torch.version.cuda}, gigabytes that are not used here; a CPU "
        "build: make demo TORCH_INDEX=URL, see deploy/README.md"
    )
    return Finding("torch", ok=True, detail=detail, cure=cure if torch.version.cuda else "")


def projections() -> Finding:
    """Check both PROJ databases: UTM zone 31 puts 3° east on the equator at easting 500,000 m."""
    set_by = [name for name in ("PROJ_DATA", "PROJ_LIB") if name in os.environ]
    cure = f"unset {' and '.join(set_by)}" if set_by else "reinstall pyproj and rasterio"
    try:
        x, y = pyproj.Transformer.from_crs(4326, 32631, always_xy=True).transform(3, 0)
        xs, ys = rasterio.warp.transform("EPSG:4326", "EPSG:32631", [3], [0])
    except (pyproj.exceptions.ProjError, rasterio.errors.RasterioError) as error:
        return Finding("PROJ", ok=False, detail=f"has no database: {error}", cure=cure)
    if max(abs(x - 5e5), abs(y), abs(xs[0] - 5e5), abs(ys[0])) > 0.01:
        wrong = f"the origin of UTM zone 31 is put at {x:.2f}, {y:.2f} and {xs[0]:.2f}, {ys[0]:.2f}"
        return Finding("PROJ", ok=False, detail=wrong, cure=cure)
    return Finding("PROJ", ok=True, detail="a known point is where it should be")


def prefect_versions() -> Finding:
    """Compare Prefect and what it is built on with the bounds of this distribution."""
    try:
        bounds = [Requirement(text) for text in importlib.metadata.requires("aftermap") or ()]
    except importlib.metadata.PackageNotFoundError:
        cure = "install Aftermap in an environment of its own: make demo does"
        return Finding("Prefect", ok=False, detail="aftermap is not installed", cure=cure)
    bounds = [part for part in bounds if part.name in ("prefect", "fastapi", "sqlalchemy")]
    found = {part.name: importlib.metadata.version(part.name) for part in bounds}
    wanted = [f"{b.name} {b.specifier}" for b in bounds if not b.specifier.contains(found[b.name])]
    detail = ", ".join(f"{name} {version}" for name, version in found.items())
    if not wanted:
        return Finding("Prefect", ok=True, detail=detail)
    cure = (
        "later versions of fastapi stop the first flow, and of sqlalchemy the scheduler, without "
        "an error; install with -c constraints.txt"
    )
    return Finding("Prefect", ok=False, detail=f"{detail}; wanted: {', '.join(wanted)}", cure=cure)


def prefect_server(timeout_s: float = 3.0) -> Finding:
    """Check that the server that runs report to answers."""
    url = os.environ.get("PREFECT_API_URL", "").rstrip("/")
    if not url:
        detail = "PREFECT_API_URL is not set: each run starts a server of its own"
        return Finding("Prefect server", ok=True, detail=detail)
    try:
        status = httpx.get(f"{url}/health", timeout=timeout_s).status_code
        problem = "" if status == httpx.codes.OK else f"answers {status} to /health"
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        problem = f"cannot be reached: {type(error).__name__}"
    cure = "start it (prefect server start), or unset PREFECT_API_URL" if problem else ""
    shown = re.sub(r"//[^/@]*@", "//", url)  # without a password
    return Finding("Prefect server", not problem, f"{shown} {problem or 'answers'}", cure)


def model_registry(own: Path | None = None) -> Finding:
    """Check the cards of all models, and that their weights are those of their cards."""
    try:
        refs = all_cards(own)
        wrong = [ref.card.name for ref in refs if not _as_on_card(ref)]
    except (ModelError, OSError) as error:
        return Finding("models", False, str(error), "correct or remove the folder of that model")
    if wrong:
        cure = "take card and weights from the same place"
        detail = f"the weights of {', '.join(wrong)} are not those of the card"
        return Finding("models", ok=False, detail=detail, cure=cure)
    detail = f"{len(refs)}: {', '.join(ref.card.name for ref in refs)}; weights as in their cards"
    return Finding("models", ok=True, detail=detail)


def _as_on_card(ref: CardRef) -> bool:
    wanted = ref.card.weights_sha256
    return wanted is None or wanted == hashlib.sha256(ref.weights.read_bytes()).hexdigest()
