"""Settings from the environment: AFTERMAP_STORE, AFTERMAP_MODELS, AFTERMAP_HOME.

What can be wrong with a request, as nouns.

FlowError
└── RequestInvalid     the request cannot be read, or a field is wrong
"""

from pathlib import Path

from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """What an office sets once for its machine."""

    model_config = SettingsConfigDict(env_prefix="AFTERMAP_", frozen=True)

    store: Path = Path("store")
    """Folder that products are published in, where the command names none."""
    models: Path | None = None
    """Folder of the office's own models, besides the shipped ones."""
    home: Path = Path.home() / ".aftermap"
    """Folder of what Aftermap keeps for itself: Prefect's database and logs."""


class FlowError(Exception):
    """Base of everything that this room raises on purpose."""


class RequestInvalid(FlowError):
    """The request cannot be read, or a field is wrong."""


class HomeUnwritable(FlowError):
    """There is no folder for Prefect's history."""
