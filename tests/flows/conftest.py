"""The demo's product, made once: what the tests of the command line and of the clients look at."""

import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pytest

from geo.store.store import locked
from tests.aftermap import Ran, aftermap

DEMO = ("demo", "--model", "sar-change", "--direct", "--json")
"""By the radar detector, which finds the water before the flood, too: no layer is empty."""


@dataclass(frozen=True)
class Demo:
    """A store with the product of the demo."""

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
    """The demo, as a user runs it; the processes of a test run share one."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    store, home, told = folder / "demo-store", folder / "demo-home", folder / "demo.json"
    with locked(folder / "demo.lock"):
        if not told.exists():
            ran = aftermap(*DEMO, "--store", store, home=home)
            assert ran.status == 0, ran.err
            told.write_text(json.dumps(asdict(ran)))
    return Demo(store, Ran(**json.loads(told.read_text())), home)


@pytest.fixture
def unchanged(demo: Demo) -> Iterator[None]:
    """The product has the same files, with the same times, after a client looked at it."""

    def times() -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in demo.product.rglob("*")}

    before = times()
    yield
    assert times() == before
