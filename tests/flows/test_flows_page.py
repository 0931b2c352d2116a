"""flows/README.md: its commands run, and its table of options is that of the command line."""

from pathlib import Path

import pytest
import typer

from flows.cli import maps
from tests.pages import read, run_commands

PAGE = "flows/README.md"


@pytest.mark.flow
@pytest.mark.data
def test_every_command_runs(data_dir: Path, tmp_path: Path) -> None:
    run_commands(PAGE, folder=tmp_path, data=data_dir)


def test_the_table_of_options_is_that_of_the_command_line() -> None:
    assert options_table() in read(PAGE), f"put this table into {PAGE}:\n{options_table()}"


def options_table() -> str:
    """Return the options of `aftermap map` that come from the request, as Markdown."""
    command = typer.main.get_group(maps.app).commands["map"]
    rows = [
        f"| {panel} | `{'`, `'.join([*option.opts, *option.secondary_opts])}` | {option.help} |"
        for option in command.params
        if (panel := getattr(option, "rich_help_panel", None)) is not None
    ]
    return "\n".join(["| group | option | meaning |", "|---|---|---|", *rows]) + "\n"
