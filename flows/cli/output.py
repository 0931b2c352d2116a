"""What a command prints: JSON for scripts, tables and Markdown for people.

Prefect's own noise, off by default; must run before Prefect is imported.
"""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markdown import Markdown
from rich.table import Table

from flows.config import HomeUnwritable
from flows.mapping.photos import PublishedPhotos
from flows.mapping.records import Published
from flows.reports.summary import photos_markdown, summary_markdown


def print_json(value: object) -> None:
    """Print one JSON value."""
    print(json.dumps(value, indent=2, ensure_ascii=False, default=str))


def print_rows(rows: Sequence[dict[str, Any]], *, as_json: bool, empty: str) -> None:
    """Print rows as a table, or a sentence where there are none."""
    if as_json:
        print_json(rows)
    elif not rows:
        print(empty)
    else:
        table = Table(*rows[0])
        for row in rows:
            table.add_row(*(str(value) for value in row.values()))
        Console().print(table)


def print_product(
    published: Published, *, as_json: bool, extra: Mapping[str, Mapping[str, Any]] | None = None
) -> None:
    """Print a product: for people its summary and where it is, for scripts one JSON object.

    Args:
        extra: further figures, by their title.
    """
    more = dict(extra or {})
    if as_json:
        print_json(
            {
                "product": str(published.folder),
                "product_id": published.product_id,
                "event": published.event_id,
                "new": published.new,
                "summary": published.summary.model_dump(mode="json"),
                **more,
            }
        )
        return
    Console().print(Markdown(summary_markdown(published.summary, product=str(published.folder))))
    for title, figures in more.items():
        print(f"\n{title}: " + ", ".join(f"{k} {_figure(v)}" for k, v in figures.items()))
    if not published.new:
        print("\nThese inputs had been published before: nothing was computed.")
    print(f"\nmap:     {published.folder / 'map.png'}\nproduct: {published.folder}")


def print_photos(published: PublishedPhotos, *, as_json: bool) -> None:
    """Print a product of photos: for people its summary, for scripts one JSON object."""
    if as_json:
        print_json(
            {
                "product": str(published.folder),
                "product_id": published.product_id,
                "event": published.event_id,
                "new": published.new,
                "summary": published.summary.model_dump(mode="json"),
            }
        )
        return
    Console().print(Markdown(photos_markdown(published.summary, product=str(published.folder))))
    if not published.new:
        print("\nThese inputs had been published before: nothing was computed.")
    print(f"\nphotos:  {published.folder / 'photos.csv'}\nproduct: {published.folder}")


def _figure(value: object) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)


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
