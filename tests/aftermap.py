"""Runs the command line: as a user does, in another process, or in this one, which is quicker."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from flows.cli.app import run


@dataclass(frozen=True)
class Ran:
    """What a command did."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What it printed, as JSON."""
        return json.loads(self.out)


def aftermap(*arguments: object, home: Path, cwd: Path | None = None) -> Ran:
    """Run `aftermap ARGUMENTS`.

    Args:
        home: folder for Prefect's database, so that tests share nothing with the user.
    """
    done = subprocess.run(
        _command(arguments),
        capture_output=True,
        text=True,
        cwd=cwd,
        env=_environment(home),
        timeout=600,
        check=False,
    )
    return Ran(done.returncode, done.stdout, done.stderr)


def within(*arguments: object, home: Path) -> Ran:
    """Run `aftermap ARGUMENTS` in this process: what needs no Prefect starts at once.

    Args:
        home: as of `aftermap`.
    """
    out, err = StringIO(), StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.setenv("AFTERMAP_HOME", str(home))
        status = run([str(argument) for argument in arguments])
    return Ran(status, out.getvalue(), err.getvalue())


@contextmanager
def started(*arguments: object, home: Path) -> Iterator["subprocess.Popen[str]"]:
    """Start `aftermap ARGUMENTS` in a process group of its own, and kill it after a minute."""
    with subprocess.Popen(
        _command(arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=_environment(home), start_new_session=True,
    ) as process:  # fmt: skip
        patience = threading.Timer(60, process.kill)
        patience.start()
        yield process
        patience.cancel()


def _command(arguments: Sequence[object]) -> list[str]:
    return [sys.executable, "-m", "flows.cli.app", *map(str, arguments)]


def _environment(home: Path) -> dict[str, str]:
    return {**os.environ, "AFTERMAP_HOME": str(home), "COLUMNS": "120"}
