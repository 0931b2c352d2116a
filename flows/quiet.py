"""Prefect's own noise, off by default; must run before Prefect is imported."""

import os
from pathlib import Path

from flows.errors import HomeUnwritable


def quiet_prefect(home: Path) -> None:
    """Set what Prefect reads when it is imported; what the user has set stays.

    Args:
        home: folder of Prefect's database and logs, Aftermap's own: another Prefect on the
            machine keeps its history.

    Raises:
        HomeUnwritable: where that folder cannot be made.
    """
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
        "PREFECT_LOGGING_LEVEL": "ERROR",
        "PREFECT_SERVER_LOGGING_LEVEL": "ERROR",
        # The very first start migrates the database, which took 16 s on two cores.
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
        "PREFECT_CLI_COLORS": "false",
    }
    if "PREFECT_LOGGING_LEVEL" not in os.environ:
        # An error is kept with its run, and the command line says it in one sentence.
        wanted["PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL"] = "CRITICAL"
    for name, value in wanted.items():
        os.environ.setdefault(name, value)
