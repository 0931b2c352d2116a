"""Hidden folders in which products are made, and the removal of those of killed runs."""

import fcntl
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_PREFIX = ".tmp-"
_LOCK = "lock"


@dataclass(frozen=True)
class Workspace:
    """Where a product is made: nobody sees it before it is published."""

    event_id: str
    product_id: str
    folder: Path
    """Becomes the product, with everything in it."""
    scratch: Path
    """On the same disk; removed with the workspace, never published."""


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Wait for a lock file and hold it; the kernel lets go where its holder is killed."""
    with path.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def open_workspace(products: Path, *, event_id: str, product_id: str) -> tuple[Workspace, int]:
    """Make a workspace and lock it as alive.

    Whoever calls this holds the lock of the event, so that nobody can take the workspace
    for a dead one before it is locked.

    Returns:
        The workspace, and the open file that holds its lock.
    """
    home = products / f"{_PREFIX}{product_id}-{os.getpid()}-{secrets.token_hex(4)}"
    workspace = Workspace(event_id, product_id, home / "product", home / "scratch")
    workspace.folder.mkdir(parents=True)
    workspace.scratch.mkdir()
    handle = os.open(home / _LOCK, os.O_CREAT | os.O_RDWR)
    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return workspace, handle


def close_workspace(workspace: Workspace, handle: int) -> None:
    """Remove what is left of a workspace, and its lock with it."""
    shutil.rmtree(workspace.folder.parent, ignore_errors=True)
    os.close(handle)


def remove_dead_workspaces(products: Path) -> None:
    """Remove the workspaces whose run is gone.

    Whoever calls this holds the lock of the event.
    """
    for home in products.glob(f"{_PREFIX}*"):
        if not _is_alive(home):
            shutil.rmtree(home, ignore_errors=True)


def _is_alive(home: Path) -> bool:
    try:
        handle = os.open(home / _LOCK, os.O_RDWR)
    except FileNotFoundError:
        return False
    except PermissionError:
        return True  # of another user: for them to judge
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False
