"""Runs the command line as a user does: another process, its own Prefect home."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any


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
    return [sys.executable, "-m", "flows.cli", *map(str, arguments)]


def _environment(home: Path) -> dict[str, str]:
    return {**os.environ, "AFTERMAP_HOME": str(home), "COLUMNS": "120"}
