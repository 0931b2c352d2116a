"""Progress on stderr: which scene, how many windows of how many, time left.

What a run cost: time, memory, and energy where the machine meters it.
"""

import logging
import resource
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, ProgressColumn, TaskID, TextColumn
from rich.progress import Progress as RichProgress
from rich.progress import Task as RichTask
from rich.text import Text

Clock = Callable[[], float]
"""Seconds from any fixed point on; never steps back."""

LINE_EVERY_S = 5.0
"""Between two lines where stderr is a file, seconds."""
DRAW_EVERY_S = 0.1
"""Between two drawings of a bar, seconds."""
_ONLY = TaskID(0)


class Progress(Protocol):
    """Told how the work goes on, one piece of work at a time; used by one thread.

    Call `finish` in a `finally`: what it says depends on how far the work got.
    """

    def start(self, label: str, total: int) -> None:
        """Begin a piece of work.

        Args:
            label: what is worked on, such as a scene's id.
            total: windows that there are to do.
        """
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
    """Return bars on a terminal, lines in a file, or nothing.

    Args:
        stream: stderr where None; never stdout, which carries the results.
        quiet: say nothing.
        clock: told apart for tests.
    """
    target = sys.stderr if stream is None else stream
    if quiet:
        return QuietProgress()
    if target.isatty():
        return BarProgress(target, clock=clock)
    return LineProgress(target, clock=clock)


class QuietProgress:
    """Says nothing."""

    def start(self, label: str, total: int) -> None:
        """Say nothing."""

    def advance(self, n: int = 1) -> None:
        """Say nothing."""

    def finish(self) -> None:
        """Say nothing."""


class LineProgress:
    """A line at the start, every few seconds, and at the end."""

    def __init__(
        self, stream: TextIO, *, clock: Clock = time.monotonic, every_s: float = LINE_EVERY_S
    ) -> None:
        self._stream = stream
        self._clock = clock
        self._every_s = every_s
        self._label = ""
        self._total = 0
        self._done = 0
        self._started_s = 0.0
        self._said_s = 0.0

    def start(self, label: str, total: int) -> None:
        """Begin a piece of work, and say so."""
        self._label, self._total, self._done = label, total, 0
        self._started_s = self._said_s = self._clock()
        self._say(f"{total} {'window' if total == 1 else 'windows'} to do")

    def advance(self, n: int = 1) -> None:
        """Count `n` more windows; say so where the last line is some seconds old."""
        self._done += n
        now_s = self._clock()
        if now_s - self._said_s >= self._every_s and self._done < self._total:
            self._said_s = now_s
            left_s = time_left_s(self._done, total=self._total, elapsed_s=now_s - self._started_s)
            self._say(f"{_share(self._done, self._total)}, {left_text(left_s)}")

    def finish(self) -> None:
        """Say how far it got and how long it took."""
        took = duration_text(self._clock() - self._started_s)
        stopped = "" if self._done >= self._total else "stopped after "
        self._say(f"{stopped}{_share(self._done, self._total)} in {took}")

    def _say(self, what: str) -> None:
        print(f"{self._label}: {what}", file=self._stream, flush=True)


class BarProgress:
    """A bar for each piece of work; the finished ones stay on the screen."""

    def __init__(self, stream: TextIO, *, clock: Clock = time.monotonic) -> None:
        self._console = Console(file=stream)
        self._clock = clock
        self._bar: RichProgress | None = None
        self._drawn_s = 0.0

    def start(self, label: str, total: int) -> None:
        """Begin a bar."""
        self.finish()
        self._bar = _bar(self._console, self._clock)
        self._bar.add_task(label, total=total)
        self._bar.start()
        self._drawn_s = self._clock()

    def advance(self, n: int = 1) -> None:
        """Move the bar on, and draw it where the last drawing is some time old."""
        if self._bar is None:
            return
        self._bar.advance(_ONLY, n)
        if self._clock() - self._drawn_s >= DRAW_EVERY_S:
            self._drawn_s = self._clock()
            self._bar.refresh()

    def finish(self) -> None:
        """Leave the bar as it is, and give the terminal back."""
        if self._bar is not None:
            self._bar.stop_task(_ONLY)
            self._bar.stop()
            self._bar = None


def _bar(console: Console, clock: Clock) -> RichProgress:
    """Return a bar of its own: one that is started again would draw the finished ones anew."""
    return RichProgress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("windows"),
        _LeftColumn(),
        console=console,
        get_time=clock,
        auto_refresh=False,
        # What others print to stdout is a result, and stays there.
        redirect_stdout=False,
    )


class _LeftColumn(ProgressColumn):
    """Time left, by the rate so far; once ended, how long it took."""

    def render(self, task: RichTask) -> Text:
        elapsed_s = task.elapsed or 0.0
        if task.finished:
            return Text(f"in {duration_text(elapsed_s)}")
        if task.stop_time is not None:
            return Text(f"stopped after {duration_text(elapsed_s)}")
        total = int(task.total or 0)
        return Text(left_text(time_left_s(int(task.completed), total=total, elapsed_s=elapsed_s)))


def time_left_s(done: int, *, total: int, elapsed_s: float) -> float | None:
    """Return the seconds left at the rate so far; None before anything is done."""
    if done <= 0:
        return None
    return elapsed_s / done * max(total - done, 0)


def left_text(left_s: float | None) -> str:
    """Return the time left in words."""
    return "time left not known yet" if left_s is None else f"about {duration_text(left_s)} left"


def duration_text(seconds: float) -> str:
    """Return a duration in its two largest units: "42 s", "3 min 5 s", "2 h 10 min"."""
    whole = round(seconds)
    minutes, rest_s = divmod(whole, 60)
    hours, rest_min = divmod(minutes, 60)
    if hours:
        return f"{hours} h {rest_min} min"
    return f"{minutes} min {rest_s} s" if minutes else f"{whole} s"


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
            # A counter that wrapped around in between tells nothing.
            energy_wh=spent / 3600 if metered and spent >= 0 else None,
        )


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _joules(counters: Path) -> float | None:
    """Return the sum of the package counters, or None where none can be read."""
    try:
        packages = sorted(counters.glob("intel-rapl:[0-9]*/energy_uj"))
        packages = [path for path in packages if path.parent.name.count(":") == 1]
        readings = [int(path.read_text()) for path in packages]
    except OSError:
        return None  # only root may read them on most systems
    return sum(readings) / 1e6 if readings else None


_CURRENT: ContextVar[Progress] = ContextVar("progress", default=QuietProgress())  # noqa: B039 (it has no state)


def current_progress() -> Progress:
    """Return who is told how the steps of this run go on."""
    return _CURRENT.get()


@contextmanager
def reporting(progress: Progress) -> Iterator[None]:
    """Tell the steps that are run within of whom to tell how they go on."""
    token = _CURRENT.set(progress)
    try:
        yield
    finally:
        _CURRENT.reset(token)


class LogProgress:
    """A line in the log for each tenth of a piece of work; `also` is told as well."""

    def __init__(self, log: logging.Logger, also: Progress) -> None:
        self._log, self._also = log, also
        self._label, self._total, self._done = "", 0, 0

    def start(self, label: str, total: int) -> None:
        """Begin a piece of work."""
        self._label, self._total, self._done = label, total, 0
        self._also.start(label, total)

    def advance(self, n: int = 1) -> None:
        """Count `n` more windows as done."""
        before, self._done = self._done, self._done + n
        self._also.advance(n)
        if self._total and 10 * self._done // self._total > 10 * before // self._total:
            self._log.info("%s: %s", self._label, _share(self._done, self._total))

    def finish(self) -> None:
        """End the piece of work."""
        self._also.finish()
