"""Killed or out of room at any moment, a run leaves nothing half; the next one repairs it."""

import json
import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

import pytest

from flows.cli.app import run
from flows.mapping import publish as publishing
from flows.mapping import steps
from geo.store import store as stores
from geo.store.store import LocalStore
from tests.aftermap import started
from tests.flows.imagery import asked, radar

EVENT = "drava-2024"


@pytest.fixture(scope="module")
def children() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["flows.mapping.map_run"])
    return context


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return radar(tmp_path_factory.mktemp("image") / "after.tif")


def killed_at(moment: str, arguments: list[str]) -> None:
    """Run a command, and die at a moment of it as the kernel kills: nothing is cleaned up."""
    room, name = MOMENTS[moment]
    setattr(room, name, _lethal(getattr(room, name), after=moment.startswith("after")))
    run(arguments)


def _lethal(real: Callable[..., Any], *, after: bool) -> Callable[..., Any]:
    def call(*arguments: Any, **named: Any) -> Any:
        if after:
            real(*arguments, **named)
        os.kill(os.getpid(), signal.SIGKILL)

    return call


MOMENTS: dict[str, tuple[Any, str]] = {
    "after the layers": (steps, "make_layers"),
    "before the name, after the manifest": (stores, "sync_folder"),
    "after the name, before latest.json": (LocalStore, "_reveal"),
    "before the scenes": (LocalStore, "record_scene"),
    "before the catalogues": (publishing, "rebuild"),
}
"""Where a run is killed, in their order: before or after a function of a module or class."""


def visible(store: Path, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Return the ids of the products that `aftermap products` shows."""
    capsys.readouterr()
    assert run(["products", "--store", str(store), "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert run(["events", "--store", str(store), "--json"]) == 0
    events = json.loads(capsys.readouterr().out)
    assert [row["products"] for row in events] == ([len(rows)] if rows else [])
    return [row["id"] for row in rows]


def hidden(store: Path) -> list[Path]:
    """Return what a killed run left in a store."""
    left = [*store.rglob(".tmp-*"), *store.rglob(".broken-*")]
    return [path for path in left if path.parent.name == "products" or path.is_file()]


def test_killed_at_any_moment_nothing_half_is_visible_and_the_next_run_repairs(
    tmp_path: Path, image: Path, children: ForkServerContext, capsys: pytest.CaptureFixture[str]
) -> None:
    store = tmp_path / "store"
    arguments = [*asked(image), "--store", str(store)]
    loud = [word for word in arguments if word != "--quiet"]
    with started(*loud, home=tmp_path) as process:
        assert process.stderr is not None
        assert "window to do" in process.stderr.readline()
        os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert visible(store, capsys) == []
    assert len(hidden(store)) == 1
    seen = []
    for moment in MOMENTS:
        child = children.Process(target=killed_at, args=(moment, arguments))
        child.start()
        child.join(120)
        assert child.exitcode == -signal.SIGKILL, moment
        seen.append(visible(store, capsys))
        # Each run clears away what the one before it left.
        assert len(hidden(store)) <= 1
    assert run([*arguments, "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    one = [result["product_id"]]
    assert seen == [[], [], one, one, one]
    assert visible(store, capsys) == one
    assert not result["new"]
    assert hidden(store) == []
    latest = LocalStore(store).latest(EVENT)
    assert latest is not None
    assert latest.product_id == result["product_id"]
    assert latest.sequence == 1
    event = store / "events" / EVENT
    assert (store / "catalog.json").is_file()
    assert (event / "collection.json").is_file()
    assert [json.loads(p.read_text())["state"] for p in event.glob("scenes/*")] == ["published"]


def may_mount() -> bool:
    """Whether this user may mount a small disk that only one process sees."""
    done = subprocess.run(
        ["unshare", "--map-root-user", "--mount", "true"], capture_output=True, check=False
    )
    return done.returncode == 0


def test_on_a_disk_that_fills_nothing_is_published_until_there_is_room(
    tmp_path: Path, image: Path
) -> None:
    # The rasters of the run take 1.3 MB, and the product some 0.3 MB on top.
    kilobytes = [4, 700, 1400, 1600, 1700, 8000]
    alone = ["unshare", "--map-root-user", "--mount"] if may_mount() else []
    script = Path(__file__).with_name("full_disk.py")
    words = [*asked(image), "--store", str(tmp_path), "--json"]
    done = subprocess.run(
        [*alone, sys.executable, script, "mount" if alone else "limit", tmp_path, *words],
        env={**os.environ, "PYTHONPATH": str(script.parents[3])},
        input=json.dumps(kilobytes), capture_output=True, text=True, check=True,
    )  # fmt: skip
    runs = json.loads(done.stdout)
    assert runs[0]["status"] == 1
    for failed in (one for one in runs if one["status"]):
        assert failed["status"] == 1
        assert failed["out"] == ""
        assert failed["err"].startswith("aftermap: ")
        assert failed["err"].count("\n") == 1
        assert str(tmp_path) in failed["err"]
        assert "full" in failed["err"] or "free space on that disk" in failed["err"]
        assert [name for name in failed["files"] if not name.endswith(".lock")] == []
    made = [one for one in runs if not one["status"]]
    assert made[-1] is runs[-1]
    assert json.loads(made[0]["out"])["new"]
    assert [name for name in made[-1]["files"] if ".tmp-" in name] == []
    if alone:
        assert len({one["err"].split(" could ")[0].split("/")[-1] for one in runs}) >= 4
