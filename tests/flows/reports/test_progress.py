"""Progress, with a clock that the test turns."""

import io
import re
import sys

import pytest

from flows.reports.progress import (
    BarProgress,
    LineProgress,
    Progress,
    QuietProgress,
    duration_text,
    progress_on,
)


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def plain(stream: io.StringIO) -> str:
    """Return what was written, without colours and cursor movements."""
    return re.sub(r"\x1b\[[?\d;]*[A-Za-z]", "", stream.getvalue())


def run(progress: Progress, clock: Clock, *, windows: int, of: int, each_s: float) -> None:
    """Do some windows, each of the same duration."""
    progress.start("S1A_20190915", of)
    try:
        for _ in range(windows):
            clock.now_s += each_s
            progress.advance(1)
    finally:
        progress.finish()


def test_lines_come_at_the_start_every_five_seconds_and_at_the_end() -> None:
    clock, stream = Clock(), io.StringIO()
    run(LineProgress(stream, clock=clock), clock, windows=12, of=12, each_s=2)
    assert stream.getvalue().splitlines() == [
        "S1A_20190915: 12 windows to do",
        "S1A_20190915: 3 of 12 windows (25 %), about 18 s left",
        "S1A_20190915: 6 of 12 windows (50 %), about 12 s left",
        "S1A_20190915: 9 of 12 windows (75 %), about 6 s left",
        "S1A_20190915: 12 of 12 windows (100 %) in 24 s",
    ]


def test_a_thousand_fast_windows_make_two_lines() -> None:
    clock, stream = Clock(), io.StringIO()
    run(LineProgress(stream, clock=clock), clock, windows=1000, of=1000, each_s=0.001)
    assert len(stream.getvalue().splitlines()) == 2


def test_work_that_broke_off_is_not_called_done() -> None:
    clock, stream = Clock(), io.StringIO()
    run(LineProgress(stream, clock=clock), clock, windows=199, of=200, each_s=0.01)
    assert stream.getvalue().splitlines()[-1] == (
        "S1A_20190915: stopped after 199 of 200 windows (99 %) in 2 s"
    )


def test_the_bar_shows_scene_windows_and_time_left() -> None:
    clock, stream = Clock(), Terminal()
    bar = BarProgress(stream, clock=clock)
    bar.start("scene [1]", 200)
    for _ in range(2):
        clock.now_s += 15
        bar.advance(25)
    midway = plain(stream)
    clock.now_s += 90
    bar.advance(150)
    bar.finish()
    assert "scene [1]" in midway
    assert "50/200 windows 0:01:30" in midway
    assert "200/200 windows 0:02:00" in plain(stream)


def test_a_bar_that_broke_off_stays_and_a_second_one_can_follow() -> None:
    clock, stream = Clock(), Terminal()
    bar = BarProgress(stream, clock=clock)
    run(bar, clock, windows=3, of=8, each_s=1)
    run(bar, clock, windows=8, of=8, each_s=1)
    assert "3/8 windows" in plain(stream)
    assert "8/8 windows 0:00:08" in plain(stream)


def test_a_bar_leaves_stdout_to_the_results(capsys: pytest.CaptureFixture[str]) -> None:
    bar = BarProgress(Terminal())
    bar.start("scene", 2)
    print("a result")
    bar.finish()
    assert capsys.readouterr().out == "a result\n"


def test_the_stream_decides_and_stdout_stays_clean(capsys: pytest.CaptureFixture[str]) -> None:
    assert isinstance(progress_on(Terminal()), BarProgress)
    assert isinstance(progress_on(io.StringIO()), LineProgress)
    assert isinstance(progress_on(Terminal(), quiet=True), QuietProgress)
    for progress in (progress_on(), progress_on(quiet=True), BarProgress(sys.stderr)):
        run(progress, Clock(), windows=1, of=1, each_s=0)
    found = capsys.readouterr()
    assert found.out == ""
    assert "S1A_20190915: 1 window to do" in found.err


def test_a_scene_without_windows_is_done_at_once() -> None:
    clock, stream = Clock(), io.StringIO()
    run(LineProgress(stream, clock=clock), clock, windows=0, of=0, each_s=1)
    assert stream.getvalue().splitlines()[-1] == "S1A_20190915: 0 of 0 windows in 0 s"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (59.4, "59 s"), (59.6, "1 min 0 s"), (185, "3 min 5 s"), (7825, "2 h 10 min")],
)
def test_durations_in_words(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text
