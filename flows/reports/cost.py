"""Cost of a run: time, memory, and energy where the machine meters it."""

import resource
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

RAPL = Path("/sys/class/powercap")
"""Where Linux shows the energy counters of Intel and AMD processors (powercap, RAPL)."""


@dataclass(frozen=True)
class Cost:
    """What was spent since a meter was started."""

    wall_s: float
    cpu_s: float
    """Of this process, all cores together."""
    peak_memory_mb: float
    """Largest resident memory of the process so far."""
    energy_wh: float | None
    """Of the processor packages, whoever used them; None where nothing meters it."""

    def as_json(self) -> dict[str, float | str | None]:
        """Return it for the manifest, and say why a figure is missing."""
        record: dict[str, float | str | None] = {
            "wall_s": round(self.wall_s, 2),
            "cpu_s": round(self.cpu_s, 2),
            "peak_memory_mb": round(self.peak_memory_mb),
            "energy_wh": None if self.energy_wh is None else round(self.energy_wh, 4),
        }
        if self.energy_wh is None:
            record["energy_note"] = "not measured: this machine shows no energy counter"
        return record


@dataclass(frozen=True)
class Meter:
    """Started with a run."""

    wall: float
    cpu: float
    joules: float | None
    clock: Callable[[], float]
    counters: Path

    @classmethod
    def start(
        cls, *, clock: Callable[[], float] = time.monotonic, counters: Path = RAPL
    ) -> "Meter":
        """Begin to count."""
        return cls(clock(), _cpu_s(), _joules(counters), clock, counters)

    def read(self) -> Cost:
        """Return what was spent so far."""
        joules = _joules(self.counters)
        metered = None not in (joules, self.joules)
        spent = (joules or 0.0) - (self.joules or 0.0)
        return Cost(
            wall_s=self.clock() - self.wall,
            cpu_s=_cpu_s() - self.cpu,
            # Linux counts in kilobytes.
            peak_memory_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            # A counter may have wrapped around in between.
            energy_wh=spent / 3600 if metered and spent >= 0 else None,
        )


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _joules(counters: Path) -> float | None:
    try:
        packages = sorted(counters.glob("intel-rapl:[0-9]*/energy_uj"))
        packages = [path for path in packages if path.parent.name.count(":") == 1]
        readings = [int(path.read_text()) for path in packages]
    except OSError:
        return None  # only root may read them on most systems
    return sum(readings) / 1e6 if readings else None
