"""What another process takes: its time, and the memory of it and of its children."""

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[2]
EVERY_S = 0.1
"""High-water marks are looked at: only what is taken in the last moment is missed."""


@dataclass(frozen=True)
class Taken:
    """What a command took."""

    wall_s: float
    cpu_s: float
    """Of the process and of the children that it waited for."""
    peak_mb: float
    """Largest resident memory of the process itself (VmHWM), without the page cache."""
    children_mb: float
    """Sum of the same of its children, each at its own worst."""


def watch(*command: object, env: Mapping[str, str] | None = None) -> Taken:
    """Run a command, and return what it took.

    Raises:
        RuntimeError: where it fails, with the end of what it said.
    """
    start = time.perf_counter()
    before = os.times()
    peaks: dict[int, float] = {}
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            [str(part) for part in command],
            cwd=ROOT, env={**os.environ, **(env or {})}, stdout=subprocess.DEVNULL, stderr=said,
        )  # fmt: skip
        while process.poll() is None:
            _look(process.pid, peaks)
            time.sleep(EVERY_S)
        wall_s, after = time.perf_counter() - start, os.times()
        if process.returncode:
            said.seek(0)
            raise RuntimeError(f"{command} failed: {said.read().decode()[-2000:]}")
    cpu_s = after.children_user + after.children_system
    cpu_s -= before.children_user + before.children_system
    own = peaks.pop(process.pid)
    return Taken(wall_s, cpu_s, own, sum(peaks.values()))


def _look(pid: int, peaks: dict[int, float]) -> None:
    """Note the high-water mark of a process and of all below it; some may be gone already."""
    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        for each in [process, *process.children(recursive=True)]:
            if (mark := high_water_mb(each.pid)) is not None:
                peaks[each.pid] = mark


def high_water_mb(pid: int) -> float | None:
    """Return VmHWM, None where the process is gone; Linux counts in kilobytes."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    except OSError:
        return None
    marks = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:")]
    return float(marks[0]) / 1024 if marks else None


def machine() -> str:
    """Return the machine in a line."""
    names = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text(encoding="ascii").splitlines()
        if line.startswith("model name")
    ]
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    memory = psutil.virtual_memory().total / 2**30
    return (
        f"{os.cpu_count()} x {names[0] if names else 'unknown processor'}, {memory:.0f} GiB, "
        f"Python {sys.version.split()[0]}, load before {load}"
    )
