"""The store: products are made in hidden workspaces and published atomically, once each."""

import errno
import fcntl
import os
import re
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from geo.errors import StoreError
from geo.scenes.source import expanded
from geo.store.atomic_io import (
    is_full,
    make_folder,
    replace_file,
    sync_folder,
    unwritable,
    write_file,
    writing,
)
from geo.store.manifest import (
    MANIFEST,
    ORIGINS,
    Origins,
    Product,
    current,
    read_json,
    read_product,
    seal,
    to_json,
)

_PREFIX = ".tmp-"
_LOCK = "lock"


@dataclass(frozen=True)
class Workspace:
    """Where a product is made, hidden until it is published."""

    event_id: str
    product_id: str
    folder: Path
    """Becomes the product, with everything in it."""
    scratch: Path
    """On the same disk; removed with the workspace, never published."""


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Wait for a lock file and hold it; the kernel releases it if the process is killed."""
    with path.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _is_alive(home: Path) -> bool:
    """Whether the run that made a workspace still holds its lock."""
    try:
        handle = os.open(home / _LOCK, os.O_RDWR)
    except FileNotFoundError:
        return False
    except PermissionError:
        return True  # of another user, who has to decide
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


_ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")


class SceneState(StrEnum):
    """What became of an acquisition."""

    PUBLISHED = "published"
    DEGRADED = "degraded"
    QUARANTINED = "quarantined"


@dataclass(frozen=True)
class Publication:
    """What came of publishing."""

    product: Product
    ours: bool
    """False where another run had published the same product: that one is kept."""


class LocalStore:
    """A store in a folder of a local or network disk with `flock`.

    Ids of events, products and acquisitions match `[a-z0-9][a-z0-9_-]{0,63}`.
    """

    def __init__(self, root: Path) -> None:
        """Take the folder; it is made when something is first written."""
        self.root = expanded(root).resolve()

    def events(self) -> list[str]:
        """Return the ids of the events with a product, sorted."""
        names = [path.name for path in _folders(self.root / "events")]
        return sorted(name for name in names if _ID.fullmatch(name) and self.products(name))

    def products(self, event_id: str) -> list[Product]:
        """Return the complete products of an event, oldest first."""
        names = [path.name for path in _folders(self._event(event_id) / "products")]
        found = [self.find(event_id, name) for name in names if _ID.fullmatch(name)]
        complete = [product for product in found if product is not None]
        return sorted(complete, key=lambda product: product.sequence)

    def find(self, event_id: str, product_id: str) -> Product | None:
        """Return a product if it is there and complete."""
        products = self._event(event_id) / "products"
        return read_product(self._inside(products / _checked_id(product_id)))

    def latest(self, event_id: str) -> Product | None:
        """Return the product that is current."""
        pointer = read_json(self._event(event_id) / "latest.json") or {}
        return self.find(event_id, pointer["product_id"]) if "product_id" in pointer else None

    @contextmanager
    def workspace(self, event_id: str, product_id: str) -> Iterator[Workspace]:
        """Give a folder to make a product in; it goes with the context unless published."""
        products = self._event(event_id) / "products"
        unique = f"{_checked_id(product_id)}-{os.getpid()}-{secrets.token_hex(4)}"
        home = products / f"{_PREFIX}{unique}"
        workspace = Workspace(event_id, product_id, home / "product", home / "scratch")
        with writing(self.root):
            make_folder(products)
        self.repair(event_id)
        # Under the lock of the event no other run can remove the workspace before it is locked.
        with writing(self.root), self.locked(event_id):
            workspace.folder.mkdir(parents=True)
            workspace.scratch.mkdir()
            handle = os.open(home / _LOCK, os.O_CREAT | os.O_RDWR)
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        try:
            yield workspace
        except OSError as error:
            if is_full(error):
                raise unwritable(workspace.folder, error) from error
            raise
        finally:
            shutil.rmtree(home, ignore_errors=True)
            os.close(handle)

    def publish(self, workspace: Workspace, manifest: Mapping[str, Any]) -> Publication:
        """Make what is in a workspace visible, all at once, unless it is there already.

        Every file and folder is on the disk before the name is, and the name before `latest.json`
        moves. Files become read-only: QGIS would write into a GeoPackage that it only shows.

        Args:
            manifest: `product_id`, `event_id`, `sequence`, `published` and `files` are added.

        Raises:
            StoreError: where the store cannot be written, or its disk is full.
        """
        with writing(workspace.folder):
            files = seal(workspace.folder)
        with writing(self.root), self.locked(workspace.event_id):
            ours = self._reveal(workspace, {**manifest, "files": files})
            self._point(workspace.event_id)
        product = self.find(workspace.event_id, workspace.product_id)
        if product is None:
            raise StoreError(
                f"product {workspace.product_id} was published and cannot be read back from "
                f"{self.root}; look at its disk"
            )
        return Publication(product, ours)

    def record_scene(
        self, event_id: str, acquisition: str, *, state: SceneState, why: str | None = None
    ) -> None:
        """Record what became of an acquisition; each call counts as an attempt."""
        path = self._event(event_id) / "scenes" / f"{_checked_id(acquisition)}.json"
        with writing(path):
            make_folder(path.parent)
            with self.locked(event_id):
                attempts = (read_json(path) or {}).get("attempts", 0) + 1
                record = {"acquisition": acquisition, "state": state, "why": why}
                replace_file(path, to_json({**record, "attempts": attempts, "updated": _now()}))

    def has_scene(self, event_id: str, acquisition: str) -> bool:
        """Whether it is recorded what became of an acquisition."""
        path = self._event(event_id) / "scenes" / f"{_checked_id(acquisition)}.json"
        return read_json(path) is not None

    def record_origins(self, event_id: str, product_id: str, origins: Origins) -> None:
        """Record where the inputs of a product are; `geo.store.manifest.read_origins` reads it."""
        path = self._event(event_id) / ORIGINS / f"{_checked_id(product_id)}.json"
        content = asdict(origins)
        with writing(path):
            make_folder(path.parent)
            with self.locked(event_id):
                if read_json(path) != content:
                    replace_file(path, to_json(content))

    def repair(self, event_id: str) -> None:
        """Finish or clear away what killed runs left; complete products are never touched."""
        event = self._event(event_id)
        if not (event / "products").is_dir():
            return
        with writing(self.root), self.locked(event_id):
            for home in event.glob(f"products/{_PREFIX}*"):
                if not _is_alive(home):
                    shutil.rmtree(home, ignore_errors=True)
            for path in [*event.glob(".tmp-*"), *event.glob("scenes/.tmp-*")]:
                path.unlink()
            for folder in _folders(event / "products"):
                if _ID.fullmatch(folder.name):
                    self._set_aside(event_id, folder.name)
            self._point(event_id)

    @contextmanager
    def locked(self, event_id: str | None = None) -> Iterator[None]:
        """Hold the lock of an event, or of the whole store, for a short change."""
        folder = self.root if event_id is None else self._event(event_id)
        with locked(folder / ".lock"):
            yield

    def _reveal(self, workspace: Workspace, manifest: Mapping[str, Any]) -> bool:
        """Rename the workspace to its product; return False where that is there already."""
        event_id, product_id = workspace.event_id, workspace.product_id
        if self.find(event_id, product_id) is not None:
            return False
        self._set_aside(event_id, product_id)
        before = [product.sequence for product in self.products(event_id)]
        whole = {
            **manifest,
            "event_id": event_id,
            "product_id": product_id,
            "sequence": max(before, default=0) + 1,
            "published": _now(),
        }
        write_file(workspace.folder / MANIFEST, to_json(whole))
        (workspace.folder / MANIFEST).chmod(0o444)
        sync_folder(workspace.folder)
        try:
            # Onto a folder that holds anything this fails: rename(2) creates only.
            workspace.folder.rename(self._event(event_id) / "products" / product_id)
        except OSError as error:
            if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
                return False
            raise
        sync_folder(self._event(event_id) / "products")
        return True

    def _set_aside(self, event_id: str, product_id: str) -> None:
        """Hide a product that is there and not complete."""
        folder = self._event(event_id) / "products" / product_id
        if not folder.is_dir() or self.find(event_id, product_id) is not None:
            return
        hidden = (folder.with_name(f".broken-{product_id}-{i}") for i in range(1, 1_000_000))
        folder.rename(next(path for path in hidden if not path.exists()))
        sync_folder(folder.parent)

    def _point(self, event_id: str) -> None:
        """Let `latest.json` name the product that stands for the event, see `current`."""
        path = self._event(event_id) / "latest.json"
        products = self.products(event_id)
        if not products:
            path.unlink(missing_ok=True)
            return
        newest, previous = current(products)
        pointer = {
            "product_id": newest.product_id,
            "published": newest.published,
            "sequence": newest.sequence,
            "previous": previous.product_id if previous else None,
        }
        if read_json(path) != pointer:
            replace_file(path, to_json(pointer))

    def _event(self, event_id: str) -> Path:
        return self._inside(self.root / "events" / _checked_id(event_id))

    def _inside(self, path: Path) -> Path:
        if not path.resolve().is_relative_to(self.root):
            raise StoreError(f"{path} leads out of the store {self.root}; remove that link")
        return path


def _checked_id(name: str) -> str:
    if not _ID.fullmatch(name):
        raise StoreError(
            f"{name[:80]!r} is no valid name in a store; use at most 64 of a-z, 0-9, _ and -, and "
            "begin with a letter or a digit"
        )
    return name


def _folders(parent: Path) -> list[Path]:
    return [path for path in parent.iterdir() if path.is_dir()] if parent.is_dir() else []


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
