"""Progress of a run (scenes, windows, time left), and its cost in time, memory and energy."""

import logging
import resource
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TextIO

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress

Clock = Callable[[], float]
"""Seconds from any fixed point on; never steps back."""

LINE_EVERY_S = 5.0
DRAW_EVERY_S = 0.1


class Progress(Protocol):
    """Receives progress of one piece of work at a time, in one thread; `finish` in a `finally`."""

    def start(self, label: str, total: int) -> None:
        """Begin a piece of work of so many windows; the label may be a scene's id."""
        ...

    def advance(self, n: int = 1) -> None:
        """Count `n` more windows as done."""
        ...

    def finish(self) -> None:
        """End the piece of work, done or not."""
        ...


def progress_on(
    stream: TextIO | None = None, *, quiet: bool = False, clock: Clock = time.monotonic
) -> Progress:
    """Return bars on a terminal, lines in a file, or nothing where quiet; None: on stderr."""
    target = sys.stderr if stream is None else stream
    if quiet:
        return QuietProgress()
    if target.isatty():
        return BarProgress(target, clock=clock)
    return LineProgress(target, clock=clock)


class QuietProgress:
    """Reports nothing."""

    def start(self, label: str, total: int) -> None: ...
    def advance(self, n: int = 1) -> None: ...
    def finish(self) -> None: ...


_CURRENT: ContextVar[Progress] = ContextVar("progress", default=QuietProgress())  # noqa: B039 (it has no state)


def current_progress() -> Progress:
    """Return the receiver of the progress of this run."""
    return _CURRENT.get()


@contextmanager
def reporting(progress: Progress) -> Iterator[None]:
    """Make a receiver the current one."""
    token = _CURRENT.set(progress)
    try:
        yield
    finally:
        _CURRENT.reset(token)


class LineProgress:
    """A line at the start, every few seconds, and at the end."""

    def __init__(self, stream: TextIO, *, clock: Clock = time.monotonic) -> None:
        self._stream = stream
        self._clock = clock
        self._label, self._total, self._done = "", 0, 0
        self._started_s = self._written_s = 0.0

    def start(self, label: str, total: int) -> None:
        self._label, self._total, self._done = label, total, 0
        self._started_s = self._written_s = self._clock()
        self._write(f"{total} {'window' if total == 1 else 'windows'} to do")

    def advance(self, n: int = 1) -> None:
        self._done += n
        now_s = self._clock()
        if now_s - self._written_s >= LINE_EVERY_S and 0 < self._done < self._total:
            self._written_s = now_s
            left_s = (now_s - self._started_s) / self._done * (self._total - self._done)
            self._write(f"{_share(self._done, self._total)}, about {duration_text(left_s)} left")

    def finish(self) -> None:
        took = duration_text(self._clock() - self._started_s)
        stopped = "" if self._done >= self._total else "stopped after "
        self._write(f"{stopped}{_share(self._done, self._total)} in {took}")

    def _write(self, text: str) -> None:
        print(f"{self._label}: {text}", file=self._stream, flush=True)


class BarProgress:
    """A bar for each piece of work; the finished ones stay on the screen."""

    def __init__(self, stream: TextIO, *, clock: Clock = time.monotonic) -> None:
        self._stream = stream
        self._clock = clock
        self._bar: RichProgress | None = None
        self._drawn_s = 0.0

    def start(self, label: str, total: int) -> None:
        """Begin a bar of its own: one that is started again would draw the finished ones anew."""
        from rich import progress as bars  # noqa: PLC0415 (only a terminal needs it)
        from rich.console import Console  # noqa: PLC0415 (the same)

        self.finish()
        self._bar = bars.Progress(
            bars.TextColumn("{task.description}", markup=False),
            bars.BarColumn(),
            bars.MofNCompleteColumn(),
            bars.TextColumn("windows"),
            bars.TimeRemainingColumn(elapsed_when_finished=True),
            console=Console(file=self._stream),
            get_time=self._clock,
            auto_refresh=False,
            # What others print to stdout is a result, and stays there.
            redirect_stdout=False,
        )
        self._bar.add_task(label, total=total)
        self._bar.start()
        self._drawn_s = self._clock()

    def advance(self, n: int = 1) -> None:
        if self._bar is None:
            return
        self._bar.advance(self._bar.task_ids[0], n)
        if self._clock() - self._drawn_s >= DRAW_EVERY_S:
            self._drawn_s = self._clock()
            self._bar.refresh()

    def finish(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


class LogProgress:
    """A line in the log for each tenth of a piece of work; `also` receives the progress, too."""

    def __init__(self, log: logging.Logger, also: Progress) -> None:
        self._log, self._also = log, also
        self._label, self._total, self._done = "", 0, 0

    def start(self, label: str, total: int) -> None:
        self._label, self._total, self._done = label, total, 0
        self._also.start(label, total)

    def advance(self, n: int = 1) -> None:
        before, self._done = self._done, self._done + n
        self._also.advance(n)
        if self._total and 10 * self._done // self._total > 10 * before // self._total:
            self._log.info("%s: %s", self._label, _share(self._done, self._total))

    def finish(self) -> None:
        self._also.finish()


def duration_text(seconds: float) -> str:
    """Return a duration in its two largest units: "42 s", "3 min 5 s", "2 h 10 min"."""
    minutes, rest_s = divmod(round(seconds), 60)
    hours, rest_min = divmod(minutes, 60)
    if hours:
        return f"{hours} h {rest_min} min"
    return f"{minutes} min {rest_s} s" if minutes else f"{rest_s} s"


def _share(done: int, total: int) -> str:
    # Rounded down: 100 % means all of them.
    share = f" ({100 * min(done, total) // total} %)" if total else ""
    return f"{done} of {total} windows{share}"


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
