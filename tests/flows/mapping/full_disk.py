"""Runs a command on a disk that is too small, a little less so each time; a script.

`unshare --map-root-user --mount python full_disk.py mount FOLDER ARGUMENT ... < SIZES` makes the
disk a tmpfs at FOLDER that only this process sees. With `limit` in place of `mount`, where that
is not permitted, no file may grow beyond the size. SIZES is a JSON list of kilobytes; what came
of each is printed as JSON.
"""

import contextlib
import io
import json
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

from flows.cli.app import run


def ran(arguments: list[str], store: Path) -> dict[str, Any]:
    """Run a command and return its status, what it said and which files there are then."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = run(arguments)
    files = sorted(str(path.relative_to(store)) for path in store.rglob("*") if path.is_file())
    return {"status": status, "out": out.getvalue(), "err": err.getvalue(), "files": files}


def mount(folder: str, kilobytes: int, *, again: bool) -> None:
    """Give the disk a size."""
    options = f"{'remount,' if again else ''}size={kilobytes}k"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], check=True)


def limit(folder: str, kilobytes: int, *, again: bool) -> None:
    """Give every file a size that it cannot outgrow."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (kilobytes * 1024, resource.RLIM_INFINITY))


def main() -> None:
    """Run once a size."""
    how, folder, *arguments = sys.argv[1:]
    found = []
    for number, kilobytes in enumerate(json.load(sys.stdin)):
        {"mount": mount, "limit": limit}[how](folder, kilobytes, again=number > 0)
        found.append(ran(arguments, Path(folder)))
    print(json.dumps(found))


if __name__ == "__main__":
    main()
