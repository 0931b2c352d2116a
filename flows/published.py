"""Published: a product that can be read, and what it found."""

from dataclasses import dataclass
from pathlib import Path

from flows.report import Summary


@dataclass(frozen=True)
class Published:
    """A product that can be read."""

    folder: Path
    event_id: str
    product_id: str
    summary: Summary
    new: bool
    """False where the same inputs had been published before, and nothing was computed."""


def read_published(folder: Path, *, new: bool) -> Published:
    """Return the product in a folder."""
    summary = Summary.model_validate_json((folder / "summary.json").read_text(encoding="utf-8"))
    return Published(folder, summary.event_id, summary.product_id, summary, new)
