"""Settings of this machine from the environment, and what can be wrong with a request."""

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
    """Base of the errors that flows raise on purpose."""


class RequestInvalid(FlowError):
    """The request cannot be read, or a field is wrong."""


class HomeUnwritable(FlowError):
    """There is no folder for Prefect's history."""


def quiet_prefect(home: Path) -> None:
    """Set what Prefect reads when imported, where the user has not; raises HomeUnwritable."""
    try:
        # Prefect makes its own folder and not the one above it.
        (home / "prefect").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise HomeUnwritable(
            f"Prefect's history cannot be kept in {home} ({error.strerror}); set AFTERMAP_HOME to "
            "a folder that can be written, or map with --direct, without a history"
        ) from error
    wanted = {
        "PREFECT_HOME": str(home / "prefect"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        "PREFECT_SERVER_LOGGING_LEVEL": "ERROR",
        # The very first start migrates the database, which took 16 s on two cores.
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
        "PREFECT_CLI_COLORS": "false",
    }
    if "PREFECT_LOGGING_LEVEL" not in os.environ:
        # A run's log goes to its page in the UI; stderr has the progress and one sentence.
        wanted["PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL"] = "CRITICAL"
    for name, value in wanted.items():
        os.environ.setdefault(name, value)
