"""The README is a promise: its commands run, in its order, and print what it shows."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from skimage.io import imread
from skimage.transform import resize

from geo.vector.schema import schema_markdown
from models.cards.registry import find

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


@dataclass(frozen=True)
class Command:
    """One command of the README and what it shows below it."""

    text: str
    shown: tuple[str, ...]
    """Lines; `...` stands for anything."""


def commands() -> Iterator[Command]:
    """Yield the commands of the README's console blocks, in order."""
    for block in re.findall(r"```console\n(.*?)```", README, re.DOTALL):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            match = re.match(r"((?:[^\n]*\\\n)*[^\n]*)\n?(.*)", part, re.DOTALL)
            assert match is not None
            yield Command(match[1], tuple(line for line in match[2].splitlines() if line.strip()))


def pattern(line: str) -> str:
    """Return a regular expression for a shown line."""
    return r"\s*" + ".*".join(re.escape(part.strip()) for part in line.split("...")) + r"\s*"


@pytest.mark.flow
@pytest.mark.data
def test_every_command_runs_and_prints_what_is_shown(data_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "request.json").write_text(request_shown(), encoding="utf-8")
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "AFTERMAP_DATA": str(data_dir),
        "AFTERMAP_HOME": str(tmp_path / "home"),
        "COLUMNS": "100",
    }
    for command in commands():
        if command.text.startswith("make "):
            assert command.text in (ROOT / ".ci" / "run").read_text() or is_covered(command.text)
            continue
        # A server runs until it is stopped: five seconds, and it must still be running then.
        serving = f"timeout 5 {command.text}; test $? -eq 124"
        bounded = serving if command.text.startswith("aftermap serve") else command.text
        done = subprocess.run(
            ["bash", "-c", bounded], cwd=tmp_path, env=environment, capture_output=True, text=True,
            timeout=300, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{command.text}\n{done.stdout}\n{done.stderr}"
        for line in command.shown:
            assert re.search(f"^{pattern(line)}$", done.stdout, re.MULTILINE), (
                f"{command.text}\nshows: {line}\nprinted:\n{done.stdout}"
            )
    [drawn] = tmp_path.glob("store/events/demo-flood/products/*/map.png")
    assert_shows(ROOT / "tests" / "readme" / "demo-map.jpg", drawn)


def assert_shows(picture: Path, drawn: Path) -> None:
    """Compare the README's picture with what the demo drew, both small enough to lose speckle."""
    shape = (110, 250, 3)
    shown, now = (
        resize(imread(path)[..., :3], shape, anti_aliasing=True, preserve_range=True)
        for path in (picture, drawn)
    )
    assert np.abs(shown - now).mean() < 2, "copy the demo's map.png, at half its size"


def request_shown() -> str:
    """Return the request file that the README shows."""
    shown = next(command for command in commands() if command.text == "cat request.json")
    return "\n".join(shown.shown)


def is_covered(make: str) -> bool:
    """Whether CI runs a make target as part of another: `test` is part of `check`."""
    makefile = (ROOT / "Makefile").read_text()
    return (
        make == "make test" and re.search(r"^check:.*\btest\b", makefile, re.MULTILINE) is not None
    )


def test_ci_calls_the_make_targets_of_the_readme_and_nothing_else() -> None:
    lines = (ROOT / ".ci" / "run").read_text().splitlines()
    called = [
        line for line in lines if line and not line.startswith(("#", "set ", "cd ", "export "))
    ]
    targets = [line for line in called if not line.startswith("apt-get ")]
    assert targets
    assert all(re.fullmatch(r"make \w+", line) for line in targets)


def test_the_table_of_fields_is_the_schema() -> None:
    assert schema_markdown() in README


def test_every_file_that_is_named_exists() -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / target).exists(), target


def test_the_scores_of_the_networks_are_those_of_their_cards() -> None:
    """`aftermap models NAME` prints the cards, and `test_shipped_scores` measures them."""
    flood = find("flood-s1s2").card
    assert flood.training is not None
    columns: dict[str | None, dict[str, float]] = {"test": {}, flood.training.left_out: {}}
    for score in flood.scores:
        if score.split in columns and score.measure == "iou":
            columns[score.split][score.metric.rpartition(" from ")[2]] = score.value
    test, left_out = columns.values()
    rows = [f"| {images} | {iou:.3f} | {left_out[images]:.3f} |" for images, iou in test.items()]
    assert len(rows) == 7
    assert "\n".join(rows) in README
    for name in ("water-multispectral", "flood-rgb"):
        assert f"an IoU of {headline(name):.3f}" in README.replace("\n", " ")


def headline(name: str) -> float:
    """Return the IoU over all folds or, where there was one training, over what it left out."""
    scores = [score for score in find(name).card.scores if score.measure == "iou"]
    folds = [score.value for score in scores if score.trainings_differ_in == "fold"]
    return [*folds, scores[0].value][0]
