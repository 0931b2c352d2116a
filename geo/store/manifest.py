"""The manifest of a product: its files with size and sha256, its inputs, and where these are."""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from geo.errors import StoreError
from geo.store.atomic_io import sync_file, sync_folder

MANIFEST = "manifest.json"
PHOTOS = "photos"
"""`kind` in the manifest of a product of photos without georeference."""


@dataclass(frozen=True)
class Product:
    """What one run published; nobody changes it."""

    event_id: str
    product_id: str
    folder: Path
    manifest: Mapping[str, Any]
    """Whole content of its manifest.json."""

    @property
    def sequence(self) -> int:
        """Its number among the publications of its event, from 1; independent of clocks."""
        return int(self.manifest["sequence"])

    @property
    def published(self) -> str:
        """When it was published, ISO 8601 UTC."""
        return str(self.manifest["published"])

    @property
    def is_georeferenced(self) -> bool:
        """Whether a map can show it; photos have no georeference."""
        return self.manifest.get("kind") != PHOTOS


def current(products: Sequence[Product]) -> tuple[Product, Product | None]:
    """Return the current product of an event, and the one before it, of products oldest first.

    Photos are the current product only where there is no georeferenced one.
    """
    maps = [product for product in products if product.is_georeferenced]
    *older, newest = maps or products
    return newest, older[-1] if older else None


def read_product(folder: Path) -> Product | None:
    """Return the product in a folder; None unless its files are there with their sizes."""
    manifest = read_json(folder / MANIFEST)
    if manifest is None:
        return None
    with suppress(FileNotFoundError, NotADirectoryError, KeyError, TypeError, ValueError):
        product = Product(manifest["event_id"], manifest["product_id"], folder, manifest)
        whole = all(
            (folder / file["path"]).stat().st_size == file["size"] for file in manifest["files"]
        )
        if whole and product.product_id == folder.name and product.sequence and product.published:
            return product
    return None


def seal(folder: Path) -> list[dict[str, Any]]:
    """Sync all of a product, read-only; return path, size in bytes and sha256 of each file."""
    paths = sorted(folder.rglob("*"))
    links = [path for path in paths if path.is_symlink()]
    if links:
        raise StoreError(f"{links[0]} is a link; a product holds files only: write the file itself")
    files = []
    for path in paths:
        if path.is_file():
            path.chmod(0o444)
            sha256, size = sync_file(path)
            name = path.relative_to(folder).as_posix()
            files.append({"path": name, "size": size, "sha256": sha256})
    for path in reversed(paths):
        if path.is_dir():
            sync_folder(path)
    return files


def read_json(path: Path) -> dict[str, Any] | None:
    """Return a JSON object, or None where there is none or it is damaged."""
    try:
        content = json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    except OSError as error:
        raise StoreError(f"{path} cannot be read ({error.strerror}); allow reading it") from error
    return content if isinstance(content, dict) else None


def to_json(content: Mapping[str, Any]) -> bytes:
    """Return a JSON object as a file holds it."""
    text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False)
    return (text + "\n").encode()


ORIGINS = ".origins"
"""Hidden folder of an event, with a file a product: a product is handed on and served, and names no
folder of the machine that made it."""


@dataclass(frozen=True)
class Origins:
    """Where the sources of a request and its model are, on the machine that made the product."""

    before: list[str]
    """Absolute paths of files, folders or globs, in the order of the request."""
    after: list[str]
    model: str | None
    """Folder of the model's card; None where no model was run."""


def read_origins(product: Product) -> Origins | None:
    """Return where the inputs of a product are, or None where that is not recorded."""
    path = product.folder.parent.parent / ORIGINS / f"{product.product_id}.json"
    content = read_json(path)
    if content is None or content.keys() != Origins.__annotations__.keys():
        return None
    return Origins(**content)
