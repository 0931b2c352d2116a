"""Settings from the environment: AFTERMAP_STORE, AFTERMAP_MODELS, AFTERMAP_HOME."""

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
