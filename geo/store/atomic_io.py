"""Writes that survive a crash, and that fail with one sentence.

A file is complete once it is synced, and its name is permanent once its folder is synced, too
(POSIX fsync; OSDI 2014, "All File Systems Are Not Created Equal").
"""

import errno
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from geo.errors import StoreError

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_REFUSED = {errno.EACCES, errno.EPERM, errno.EROFS}


@contextmanager
def writing(path: Path, *also: type[Exception]) -> Iterator[None]:
    """Turn a failure to write, an OSError or one of `also`, into one sentence with its cure."""
    failures: tuple[type[Exception], ...] = (OSError, *also)
    try:
        yield
    except failures as error:
        raise unwritable(path, error) from error


@contextmanager
def making(path: Path, *also: type[Exception]) -> Iterator[None]:
    """Do as `writing`, for a new file: no part of it is left behind."""
    try:
        with writing(path, *also):
            yield
    except StoreError:
        if path.is_file():
            path.unlink()
        raise


def unwritable(path: Path, error: Exception) -> StoreError:
    """Return the error for a path that could not be written."""
    if is_full(error):
        return StoreError(
            f"{path} could not be written, the disk is full ({_cause(error)}); free space there, "
            "or choose another store"
        )
    if isinstance(error, OSError) and error.errno in _REFUSED:
        return StoreError(
            f"{path} cannot be written by this user ({_cause(error)}); allow writing "
            "there, or choose another store"
        )
    # A library that wraps the failure of the disk seldom says that it is full; rasterio wraps
    # it in an OSError without a number.
    numbered = isinstance(error, OSError) and error.errno is not None
    full = "" if numbered else "free space on that disk, or "
    return StoreError(f"{path} could not be written ({_cause(error)}); {full}choose another store")


def require_room(folder: Path, needed_bytes: int) -> None:
    """Raise StoreError where a disk lacks room, before hours of work end on a full one."""
    free_bytes = shutil.disk_usage(folder).free
    if free_bytes < needed_bytes:
        raise StoreError(
            f"{folder} has {free_bytes / 1e6:,.1f} MB free and the rasters of this map need "
            f"{needed_bytes / 1e6:,.1f} MB: the disk is full; free space there, choose another "
            "store, or give a smaller --area or a larger --resolution"
        )


def is_full(error: Exception) -> bool:
    """Whether an error is of a full disk, quota or size limit."""
    return isinstance(error, OSError) and error.errno in _FULL


def _cause(error: Exception) -> str:
    """Return the end of a library's message: some print whole programs before it."""
    text = (isinstance(error, OSError) and error.strerror) or str(error.__cause__ or error)
    return text if len(text) <= 200 else f"... {text[-80:]}"


def sync_file(path: Path) -> tuple[str, int]:
    """Wait until a file is on the disk; return its sha256 and its size in bytes."""
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
            size += len(block)
        os.fsync(file.fileno())
    return digest.hexdigest(), size


def sync_folder(folder: Path) -> None:
    """Wait until the names in a folder are on the disk."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, synced."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    sync_folder(folder.parent)


def write_file(path: Path, data: bytes) -> None:
    """Write a new file and wait until it is on the disk."""
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def replace_file(path: Path, data: bytes) -> None:
    """Put new bytes under a name at once; the caller holds a lock: the temporary name is fixed."""
    temporary = path.with_name(f".tmp-{path.name}")
    write_file(temporary, data)
    temporary.replace(path)
    sync_folder(path.parent)
