"""The demo's product, made once: what the tests of the command line and of the clients look at."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.aftermap import Ran, aftermap


@dataclass(frozen=True)
class Demo:
    """A store with the product of `aftermap demo --direct --json`."""

    store: Path
    ran: Ran
    home: Path

    @property
    def result(self) -> dict[str, Any]:
        """What the command printed."""
        printed: dict[str, Any] = self.ran.json
        return printed

    @property
    def product(self) -> Path:
        """Folder of the product."""
        return Path(self.result["product"])


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    """The demo, as a user runs it."""
    folder = tmp_path_factory.mktemp("demo")
    ran = aftermap("demo", "--direct", "--json", "--store", folder / "store", home=folder / "home")
    assert ran.status == 0, ran.err
    return Demo(folder / "store", ran, folder / "home")


@pytest.fixture
def unchanged(demo: Demo) -> Iterator[None]:
    """The product has the same files, with the same times, after a client looked at it."""

    def times() -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in demo.product.rglob("*")}

    before = times()
    yield
    assert times() == before
