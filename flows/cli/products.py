"""The commands that look at what is there: events, products, models, fields, serve, doctor."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from flows.cli.options import Json, StoreAt
from flows.cli.output import print_json, print_rows
from flows.config import Settings
from flows.mapping.records import event_rows, product_rows
from geo.store.store import LocalStore
from geo.vector.schema import schema_markdown
from models.cards.registry import all_cards, find


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (events, products, models, fields, serve, doctor):
        app.command()(command)


def events(store: StoreAt = None, as_json: Json = False) -> None:
    """List the events of a store."""
    rows = event_rows(_store(store))
    print_rows(rows, as_json=as_json, empty="no event has been published in this store")


def products(
    event: Annotated[str | None, typer.Argument(help="Only those of this event.")] = None,
    store: StoreAt = None,
    as_json: Json = False,
) -> None:
    """List the products of a store."""
    rows = product_rows(_store(store), event)
    print_rows(rows, as_json=as_json, empty="no product has been published in this store")


def models(
    name: Annotated[str | None, typer.Argument(help="Name or folder of a model.")] = None,
    as_json: Json = False,
) -> None:
    """List the models, or print the card of one."""
    extra = Settings().models
    if name is not None:
        print_json(find(name, extra=extra).card.model_dump(mode="json"))
        return
    rows = [
        {
            "name": r.card.name,
            "version": r.card.version,
            "task": r.card.task,
            "what": r.card.summary,
        }
        for r in all_cards(extra)
    ]
    print_rows(rows, as_json=as_json, empty="there is no model")


def fields() -> None:
    """Print the table of fields of every layer, as Markdown."""
    print(schema_markdown(), end="")


def serve(
    store: StoreAt = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 8765,
) -> None:
    """Serve a store over HTTP, for QGIS, GDAL and web maps."""
    from flows.serving.serve import serve as run  # noqa: PLC0415 (only this command needs a web server)

    run(_store(store).root, host=host, port=port)


def doctor(store: StoreAt = None, as_json: Json = False) -> None:
    """Say what this machine can do, and what is missing."""
    from flows.serving.doctor import as_table, checkup, healthy  # noqa: PLC0415 (imports torch and Prefect)

    findings = checkup(_store(store).root, models=Settings().models)
    if as_json:
        print_json([asdict(finding) for finding in findings])
    else:
        Console().print(as_table(findings))
    if not healthy(findings):
        raise typer.Exit(1)


def _store(folder: Path | None) -> LocalStore:
    return LocalStore(folder or Settings().store)
