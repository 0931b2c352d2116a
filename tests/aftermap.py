"""Runs the command line as a user does: another process, its own Prefect home."""

import json
import os
import subprocess
import sys
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
        [sys.executable, "-m", "flows.cli", *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**os.environ, "AFTERMAP_HOME": str(home), "COLUMNS": "120"},
        timeout=600,
        check=False,
    )
    return Ran(done.returncode, done.stdout, done.stderr)
