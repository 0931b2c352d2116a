"""What a command prints: JSON for scripts, tables and Markdown for people."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.markdown import Markdown
from rich.table import Table

from flows.photo_report import photos_markdown
from flows.photos import PublishedPhotos
from flows.published import Published
from flows.report import summary_markdown


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
