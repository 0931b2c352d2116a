"""The README is a promise: its commands run and print what it shows; CI calls its commands."""

import re
from pathlib import Path

import numpy as np
import pytest
from skimage.io import imread
from skimage.transform import resize

from tests.pages import ROOT, commands, missing_links, read, run_commands

PAGES = ("README.md", "geo/README.md", "models/README.md", "flows/README.md", "deploy/README.md")


@pytest.mark.flow
@pytest.mark.data
def test_every_command_runs_and_prints_what_is_shown(data_dir: Path, tmp_path: Path) -> None:
    shown = next(c for c in commands("README.md") if c.text == "cat request.json")
    (tmp_path / "request.json").write_text("\n".join(shown.shown), encoding="utf-8")
    run_commands("README.md", folder=tmp_path, data=data_dir)
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


def test_ci_calls_the_make_targets_of_the_readme_and_nothing_else() -> None:
    lines = (ROOT / ".ci" / "run").read_text().splitlines()
    called = [
        line for line in lines if line and not line.startswith(("#", "set ", "cd ", "export "))
    ]
    targets = [line for line in called if not line.startswith("apt-get ")]
    assert targets
    assert all(re.fullmatch(r"make \w+", line) for line in targets)
    # `make test` is part of `make check`.
    assert re.search(r"^check:.*\btest\b", (ROOT / "Makefile").read_text(), re.MULTILINE)
    named = {c.text for c in commands("README.md") if c.text.startswith("make ")}
    assert named <= {*targets, "make test"}


@pytest.mark.parametrize("page", PAGES)
def test_every_file_that_is_named_exists(page: str) -> None:
    assert missing_links(page) == []


def test_the_readme_is_short_and_the_tables_are_on_their_pages() -> None:
    assert len(read("README.md").splitlines()) <= 200
