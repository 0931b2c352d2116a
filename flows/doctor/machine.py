"""The machine: interpreter, cores, memory, and the disk of the store."""

import os
import shutil
import sys
import tempfile
from pathlib import Path

from flows.doctor.finding import Finding

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
