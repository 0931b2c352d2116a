"""The command line: its commands, and what they print: results on stdout, errors on stderr.

A command is imported when it is run: `aftermap --help` needs none of them.
"""

import json
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import version
from typing import Annotated, Any, TypeGuard

import typer
from typer.core import TyperCommand, TyperGroup

from flows.config import FlowError, HomeUnwritable
from geo.errors import GeoError, StoreError
from models.errors import ModelError

BAD_INPUT, FAILURE, STOPPED = 2, 1, 130


@dataclass(frozen=True)
class Entry:
    """Where a command is, and the line about it in the list of commands."""

    module: str
    group: str
    summary: str


_MAPS, _PRODUCTS, _MODELS = ("Map", "Look at products", "Models")
COMMANDS = {
    "map": Entry("maps", _MAPS, "Map an event: imagery in, published layers out."),
    "demo": Entry("maps", _MAPS, "Map a synthetic flood, and compare the map with its reference."),
    "events": Entry("products", _PRODUCTS, "List the events of a store."),
    "products": Entry("products", _PRODUCTS, "List the products of a store."),
    "fields": Entry("products", _PRODUCTS, "Print the fields of every layer, as Markdown."),
    "serve": Entry("products", _PRODUCTS, "Serve a store over HTTP, for QGIS and web maps."),
    "explain": Entry("products", _PRODUCTS, "Draw what the model saw at one polygon, and why."),
    "validate": Entry("products", _PRODUCTS, "Check a sample of buildings visually."),
    "score": Entry("maps", _PRODUCTS, "Compare a product with a reference."),
    "doctor": Entry("products", _PRODUCTS, "Say what this machine can do, and what is missing."),
    "models": Entry("products", _MODELS, "List the models, or print the card of one."),
    "adapt": Entry("models", _MODELS, "Adapt a model to a new event, from a few labels of it."),
    "evaluate": Entry("models", _MODELS, "Score a model on labelled imagery."),
    "train": Entry("models", _MODELS, "Train a model on labelled imagery."),
    "pretrain": Entry("models", _MODELS, "Train the encoder of a network without labels."),
    "page": Entry("models", _MODELS, "Measure a model, and write its page."),
}
"""By name, in the order in which they are listed."""


class Commands(TyperGroup):
    """The commands, imported one at a time."""

    def __init__(self, **attributes: Any) -> None:
        """Take the list of commands without the commands."""
        super().__init__(**attributes)
        self.commands = {
            name: TyperCommand(name, help=entry.summary, rich_help_panel=entry.group)
            for name, entry in COMMANDS.items()
        }

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the command that is run, and its arguments."""
        found, _, rest = super().resolve_command(ctx, args)
        name = str(found)
        module = import_module(f"flows.cli.{COMMANDS[name].module}")
        return name, typer.main.get_group(module.app).commands[name], rest


app = typer.Typer(
    name="aftermap",
    cls=Commands,
    help="Flood and damage layers from satellite and drone imagery.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"aftermap {version('aftermap')}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print it.")
    ] = False,
) -> None:
    """Flood and damage layers from satellite and drone imagery."""


def main() -> None:
    """Run a command; an error is one sentence on stderr and an exit status."""
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    debug = len(arguments) < len(sys.argv[1:])
    # Service managers and schedulers stop with SIGTERM: as by Ctrl+C, what was begun is cleared
    # away, and the server that Prefect started for the run goes with it.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(run(arguments, debug=debug))


def run(arguments: Sequence[str], *, debug: bool = False) -> int:
    """Run a command and return its exit status: 2 for bad input, 1 for a failure.

    Raises:
        Exception: what went wrong, with `debug`.
    """
    command = typer.main.get_command(app)
    try:
        result = command.main(list(arguments), prog_name="aftermap", standalone_mode=False)
    except typer.TyperException as error:
        return _misused(error)
    except Exception as error:
        if debug:
            raise
        return _report(error)
    if result == STOPPED:
        return _failed("stopped; a product that was not finished was not published", STOPPED)
    return result if isinstance(result, int) else 0


def _misused(error: typer.TyperException) -> int:
    """Say how a command was misused; where its help was printed instead, that says enough."""
    said = error.format_message().replace("Value error, ", "").rstrip(".")
    if not said:
        return error.exit_code
    context: typer.Context | None = getattr(error, "ctx", None)
    return _failed(f"{said}; see {context.command_path if context else 'aftermap'} --help", 2)


def _report(error: Exception) -> int:
    if isinstance(error, StoreError | HomeUnwritable | OSError):
        return _failed(str(error), FAILURE)
    if isinstance(error, GeoError | ModelError | FlowError):
        return _failed(str(error), BAD_INPUT)
    name = type(error).__name__
    return _failed(f"{name}: {error}; this is a fault of ours: --debug shows where", FAILURE)


def _failed(sentence: str, status: int) -> int:
    # A library may put a line break into what it says.
    print(f"aftermap: {' '.join(sentence.splitlines())}", file=sys.stderr)
    return status


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


def _is_table(value: object) -> TypeGuard[list[dict[str, object]]]:
    return isinstance(value, list) and any(isinstance(row, dict) for row in value)


def _cell(value: object) -> str:
    return "" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    main()
