"""Finding: one thing that was looked at, and what to do about it."""

from dataclasses import dataclass

from rich.table import Table
from rich.text import Text


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    name: str
    ok: bool
    """False where runs fail or go wrong because of it."""
    detail: str
    """What was found."""
    cure: str = ""
    """What to do; advice where it is ok."""


def healthy(findings: list[Finding]) -> bool:
    """Whether nothing is missing; the command exits with status 1 where it is not."""
    return all(finding.ok for finding in findings)


def as_table(findings: list[Finding]) -> Table:
    """Return the findings as a table for people."""
    table = Table(show_lines=False)
    for column in ("", "what", "found", "what to do"):
        table.add_column(column)
    for finding in findings:
        mark = Text("ok", style="green") if finding.ok else Text("NOT OK", style="bold red")
        # Text, not markup: a path may hold square brackets.
        table.add_row(mark, *map(Text, (finding.name, finding.detail, finding.cure)))
    return table
