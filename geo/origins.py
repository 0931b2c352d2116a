"""Origins: where the inputs of a product lie on the machine that made it.

They lie beside the products in a hidden folder, never in them: a product is handed on and
served, and names no folder of whoever made it.
"""

from dataclasses import dataclass

from geo.manifest import Product, read_json

ORIGINS = ".origins"
"""Folder of an event; a file a product."""


@dataclass(frozen=True)
class Origins:
    """Where the sources of a request and its model lie."""

    before: list[str]
    """Absolute paths of files, folders or globs, in the order of the request."""
    after: list[str]
    """The same, after the event."""
    model: str | None
    """Folder of the model's card; None where no model was run."""


def read_origins(product: Product) -> Origins | None:
    """Return where the inputs of a product lie, or None where that is not written down.

    Raises:
        StoreError: where it cannot be read.
    """
    path = product.folder.parent.parent / ORIGINS / f"{product.product_id}.json"
    content = read_json(path)
    if content is None or content.keys() != Origins.__annotations__.keys():
        return None
    return Origins(**content)
