"""Pages are promises: their commands run, in their order, and print what they show."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Command:
    """One command of a page and what the page shows below it."""

    text: str
    shown: tuple[str, ...]
    """Lines; `...` stands for anything."""


def read(page: str) -> str:
    """Return the text of a page, such as flows/README.md."""
    return (ROOT / page).read_text(encoding="utf-8")


def commands(page: str) -> Iterator[Command]:
    """Yield the commands of the console blocks of a page, in order."""
    for block in re.findall(r"```console\n(.*?)```", read(page), re.DOTALL):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            match = re.match(r"((?:[^\n]*\\\n)*[^\n]*)\n?(.*)", part, re.DOTALL)
            assert match is not None
            yield Command(match[1], tuple(line for line in match[2].splitlines() if line.strip()))


def run_commands(page: str, *, folder: Path, data: Path) -> None:
    """Run the commands of a page in a folder, and compare what they print with what it shows."""
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "AFTERMAP_DATA": str(data),
        "AFTERMAP_HOME": str(folder / "home"),
        "COLUMNS": "100",
    }
    for command in commands(page):
        if command.text.startswith("make "):
            continue
        # A server runs until it is stopped: five seconds, and it must still be running then.
        serving = f"timeout 5 {command.text}; test $? -eq 124"
        bounded = serving if command.text.startswith("aftermap serve") else command.text
        done = subprocess.run(
            ["bash", "-c", bounded], cwd=folder, env=environment, capture_output=True, text=True,
            timeout=600, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{command.text}\n{done.stdout}\n{done.stderr}"
        for line in command.shown:
            assert re.search(f"^{_pattern(line)}$", done.stdout, re.MULTILINE), (
                f"{command.text}\nshows: {line}\nprinted:\n{done.stdout}"
            )


def missing_links(page: str) -> list[str]:
    """Return the files that a page links to and that do not exist."""
    folder = (ROOT / page).parent
    return [
        target
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", read(page))
        if not (folder / target).exists()
    ]


def _pattern(line: str) -> str:
    """Return a regular expression for a shown line."""
    return r"\s*" + ".*".join(re.escape(part.strip()) for part in line.split("...")) + r"\s*"
