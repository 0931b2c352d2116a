"""What a command prints: JSON for scripts, columns and Markdown for people."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard

from flows.config import HomeUnwritable

if TYPE_CHECKING:
    from flows.mapping.records import Published


def print_json(value: object) -> None:
    """Print one JSON value."""
    print(json.dumps(value, indent=2, ensure_ascii=False, default=str))


def print_rows(
    rows: Sequence[Mapping[str, Any]], *, as_json: bool = False, empty: str = ""
) -> None:
    """Print rows as columns, or a sentence where there are none.

    Nothing is cut, however narrow the terminal: ids and paths are there to be copied.
    """
    if as_json:
        print_json(rows)
        return
    if not rows:
        print(empty)
        return
    lines = [list(rows[0]), *([_cell(value) for value in row.values()] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        print("  ".join(cells).rstrip())


def print_scores(scores: Mapping[str, object]) -> None:
    """Print scores as a table, and each list among them as a table of its own below."""
    tables = {name: rows for name, rows in scores.items() if _is_table(rows)}
    print_rows([{"what": k, "value": v} for k, v in scores.items() if k not in tables])
    for rows in tables.values():
        print()
        print_rows(rows)


def print_product(
    published: "Published", *, as_json: bool, extra: Mapping[str, Mapping[str, Any]] | None = None
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
    from rich.console import Console  # noqa: PLC0415 (takes as long as a small command)
    from rich.markdown import Markdown  # noqa: PLC0415 (the same)

    Console().print(Markdown(published.markdown(str(published.folder))))
    for title, figures in more.items():
        print(f"\n{title}: " + ", ".join(f"{k} {_figure(v)}" for k, v in figures.items()))
    if not published.new:
        print("\nThese inputs had been published before: nothing was computed.")
    print(f"\n{published.main_file}\nproduct: {published.folder}")


def _is_table(value: object) -> TypeGuard[list[dict[str, object]]]:
    return isinstance(value, list) and any(isinstance(row, dict) for row in value)


def _cell(value: object) -> str:
    return "" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)


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
