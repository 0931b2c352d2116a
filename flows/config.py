"""Settings of this machine from the environment, and what can be wrong with a request.

FlowError
├── RequestInvalid     the request cannot be read, or a field is wrong
└── HomeUnwritable     there is no folder for Prefect's history
"""

import os
from dataclasses import dataclass, field
from pathlib import Path


def _folder(name: str, default: Path) -> Path:
    return Path(os.environ.get(f"AFTERMAP_{name}") or default)


@dataclass(frozen=True)
class Settings:
    """What an office sets once for its machine."""

    store: Path = field(default_factory=lambda: _folder("STORE", Path("store")))
    """Folder that products are published in, where the command names none."""
    models: Path | None = field(
        default_factory=lambda: Path(m) if (m := os.environ.get("AFTERMAP_MODELS")) else None
    )
    """Folder of the office's own models, besides the shipped ones."""
    home: Path = field(default_factory=lambda: _folder("HOME", Path.home() / ".aftermap"))
    """Folder of what Aftermap keeps for itself: Prefect's database and logs."""


class FlowError(Exception):
    """Base of everything that this room raises on purpose."""


class RequestInvalid(FlowError):
    """The request cannot be read, or a field is wrong."""


class HomeUnwritable(FlowError):
    """There is no folder for Prefect's history."""
