"""Old or new, never a third state: shown by killing, filling the disk and racing."""

import hashlib
import json
import multiprocessing
import os
import resource
import shutil
import signal
import threading
from collections.abc import Callable
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any, NoReturn

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from geo.errors import StoreError
from geo.store.store import LocalStore, Publication, SceneState

EVENT = "valencia-2024"
CALLS = ("fsync", "rename", "replace", "unlink", "mkdir", "chmod", "rmdir")
"""Where a killed run can leave something behind."""


@pytest.fixture(scope="module")
def children() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["geo.store.store"])
    return context


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "store")


def fill(folder: Path, text: str) -> None:
    (folder / "layers").mkdir()
    (folder / "layers" / "observed_event.geojson").write_text(text)
    (folder / "item.json").write_text("{}")


def publish(store: LocalStore, product_id: str, text: str = "x", **said: str) -> Publication:
    with store.workspace(EVENT, product_id) as workspace:
        fill(workspace.folder, text)
        (workspace.scratch / "class.tif").write_text("scratch")
        return store.publish(workspace, {"model": "ndwi", **said})


def assert_sound(store: LocalStore, wanted: list[str]) -> None:
    """The store holds these products, whole, and nothing that a killed run left."""
    assert [product.product_id for product in store.products(EVENT)] == wanted
    latest = store.latest(EVENT)
    assert latest is not None
    assert latest.product_id == wanted[-1]
    for product in store.products(EVENT):
        assert_whole(product.folder)
    found = {path.name for path in (store.root / "events" / EVENT / "products").iterdir()}
    assert found == set(wanted)
    assert not list((store.root / "events" / EVENT).glob(".tmp*"))


def assert_whole(folder: Path) -> None:
    files = json.loads((folder / "manifest.json").read_text())["files"]
    listed = {file["path"]: (file["size"], file["sha256"]) for file in files}
    there = {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != "manifest.json"
    }
    assert listed == {
        name: (len(data), hashlib.sha256(data).hexdigest()) for name, data in there.items()
    }


def test_a_product_appears_with_its_manifest_and_latest_points_to_it(store: LocalStore) -> None:
    assert store.events() == []
    assert store.products(EVENT) == []
    assert store.latest(EVENT) is None
    publication = publish(store, "p1")
    assert publication.ours
    assert store.events() == [EVENT]
    product = store.find(EVENT, "p1")
    assert product == publication.product
    assert product is not None
    assert product.manifest["model"] == "ndwi"
    assert product.manifest["product_id"] == "p1"
    assert product.sequence == 1
    assert_sound(store, ["p1"])
    publish(store, "p0")
    assert_sound(store, ["p1", "p0"])
    pointer = json.loads((store.root / "events" / EVENT / "latest.json").read_text())
    assert pointer["product_id"] == "p0"
    assert pointer["previous"] == "p1"
    assert pointer["published"].endswith("Z")


def test_the_same_product_is_published_once_and_the_loser_is_told(store: LocalStore) -> None:
    publish(store, "p1", "first")
    publish(store, "p2")
    second = publish(store, "p1", "second")
    assert not second.ours
    assert "first" in (second.product.folder / "layers" / "observed_event.geojson").read_text()
    assert_sound(store, ["p1", "p2"])


def test_files_of_a_product_are_read_only(store: LocalStore) -> None:
    folder = publish(store, "p1").product.folder
    modes = {path.stat().st_mode & 0o777 for path in folder.rglob("*") if path.is_file()}
    assert modes == {0o444}


def test_nothing_is_visible_while_it_is_made_and_nothing_stays_of_a_failure(
    store: LocalStore,
) -> None:
    def fail() -> None:
        with store.workspace(EVENT, "p1") as workspace:
            fill(workspace.folder, "half")
            assert store.products(EVENT) == []
            assert store.events() == []
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert not list((store.root / "events" / EVENT / "products").iterdir())


@pytest.mark.parametrize("damage", ["short", "missing", "torn manifest", "no manifest", "renamed"])
def test_a_damaged_product_is_not_there_and_the_next_run_makes_it_anew(
    store: LocalStore, damage: str
) -> None:
    publish(store, "p1", "old")
    folder = publish(store, "p2", "new").product.folder
    layer = folder / "layers" / "observed_event.geojson"
    if damage == "short":
        os.truncate(layer, 1)
    elif damage == "missing":
        layer.unlink()
    elif damage == "torn manifest":
        os.truncate(folder / "manifest.json", 20)
    elif damage == "no manifest":
        (folder / "manifest.json").unlink()
    else:
        shutil.copytree(folder, folder.with_name("p3"))
        shutil.rmtree(folder)
    assert store.find(EVENT, "p2") is None
    assert [product.product_id for product in store.products(EVENT)] == ["p1"]
    store.repair(EVENT)
    latest = store.latest(EVENT)
    assert latest is not None
    assert latest.product_id == "p1"
    assert publish(store, "p2", "new").ours
    aside = list((store.root / "events" / EVENT / "products").glob(".broken-*"))
    assert len(aside) == 1
    shutil.rmtree(aside[0])
    assert_sound(store, ["p1", "p2"])


def test_photos_that_lie_nowhere_take_no_map_s_place(store: LocalStore) -> None:
    def pointed() -> tuple[str, str | None]:
        pointer = json.loads((store.root / "events" / EVENT / "latest.json").read_text())
        return pointer["product_id"], pointer["previous"]

    publish(store, "photos-1", kind="photos")
    assert pointed() == ("photos-1", None)
    publish(store, "photos-2", kind="photos")
    assert pointed() == ("photos-2", "photos-1")
    publish(store, "map-1")
    assert pointed() == ("map-1", None)
    publish(store, "photos-3", kind="photos")
    assert pointed() == ("map-1", None)
    publish(store, "map-2")
    assert pointed() == ("map-2", "map-1")
    assert [product.product_id for product in store.products(EVENT)][-2:] == ["photos-3", "map-2"]


def test_latest_goes_with_its_only_product(store: LocalStore) -> None:
    folder = publish(store, "p1").product.folder
    (folder / "item.json").unlink()
    store.repair(EVENT)
    assert store.latest(EVENT) is None
    assert not (store.root / "events" / EVENT / "latest.json").exists()
    assert store.events() == []


@pytest.mark.parametrize("text", ["", "[]", "{", '{"previous": null}'])
def test_a_damaged_latest_is_made_anew(store: LocalStore, text: str) -> None:
    publish(store, "p1")
    (store.root / "events" / EVENT / "latest.json").write_text(text)
    assert store.latest(EVENT) is None
    store.repair(EVENT)
    assert_sound(store, ["p1"])


def test_repair_of_a_sound_store_changes_nothing(store: LocalStore) -> None:
    publish(store, "p1")
    publish(store, "p2")
    before = {path: path.stat().st_mtime_ns for path in store.root.rglob("*")}
    store.repair(EVENT)
    store.repair("nobody-knows")
    assert {path: path.stat().st_mtime_ns for path in store.root.rglob("*")} == before


def test_a_link_is_refused(store: LocalStore, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("x")
    with store.workspace(EVENT, "p1") as workspace:
        (workspace.folder / "a").symlink_to(tmp_path / "secret")
        with pytest.raises(StoreError, match="is a link"):
            store.publish(workspace, {})
    assert store.products(EVENT) == []


def test_a_link_out_of_the_store_is_refused(store: LocalStore, tmp_path: Path) -> None:
    publish(store, "p1")
    (tmp_path / "elsewhere").mkdir()
    (store.root / "events" / "other").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StoreError, match="leads out of the store"):
        store.products("other")


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.text(max_size=80) | st.sampled_from(["..", ".", "a/b", "../x", "a\n", "A", "-a"]))
def test_names_never_lead_out_of_the_store(store: LocalStore, name: str) -> None:
    fits = name.isascii() and name.replace("-", "").replace("_", "").isalnum()
    if fits and name == name.lower() and name[0] not in "-_" and len(name) <= 64:
        assert store.find(EVENT, name) is None
    else:
        for call in (store.products, store.latest, store.repair):
            with pytest.raises(StoreError, match="is no valid name"):
                call(name)
        with pytest.raises(StoreError, match="is no valid name"):
            store.find(EVENT, name)


def test_scenes_keep_their_state_and_count_their_attempts(store: LocalStore) -> None:
    for _ in range(2):
        store.record_scene(EVENT, "s2-a", state=SceneState.QUARANTINED, why="truncated")
    store.record_scene(EVENT, "s2-a", state=SceneState.PUBLISHED)
    scenes = store.root / "events" / EVENT / "scenes"
    record = json.loads((scenes / "s2-a.json").read_text())
    assert record["state"] == "published"
    assert record["why"] is None
    assert record["attempts"] == 3
    assert [path.name for path in scenes.iterdir()] == ["s2-a.json"]


def test_a_record_that_cannot_be_replaced_stays(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.record_scene(EVENT, "s1", state=SceneState.QUARANTINED, why="damaged")
    path = store.root / "events" / EVENT / "scenes" / "s1.json"
    before = path.read_bytes()

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreError, match="disk is full"):
        store.record_scene(EVENT, "s1", state=SceneState.PUBLISHED)
    assert path.read_bytes() == before


def test_a_store_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with (
        pytest.raises(StoreError, match=r"file.* could not be written .*another store"),
        LocalStore(tmp_path / "file").workspace(EVENT, "p1"),
    ):
        pass


def test_a_store_without_rights_says_so(store: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    # By a stub: the tests may run as root, whom no rights stop.
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "mkdir", refuse)
    with (
        pytest.raises(StoreError, match=r"cannot be written by this user .*allow writing there"),
        store.workspace(EVENT, "p1"),
    ):
        pass


def test_everything_is_on_the_disk_before_its_name_is(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """E2 of the faults: sync the file, rename, sync the folder; then latest.json the same."""
    publish(store, "p0")
    done: list[tuple[str, str]] = []

    def spy(name: str) -> None:
        real: Callable[..., Any] = getattr(os, name)

        def call(first: Any, *rest: Any, **named: Any) -> Any:
            path = Path(f"/proc/self/fd/{first}").readlink() if name == "fsync" else first
            done.append((name, Path(path).name))
            return real(first, *rest, **named)

        monkeypatch.setattr(os, name, call)

    for name in ("fsync", "rename", "replace"):
        spy(name)
    publish(store, "p1")
    assert done == [
        ("fsync", "item.json"),
        ("fsync", "observed_event.geojson"),
        ("fsync", "layers"),
        ("fsync", "manifest.json"),
        ("fsync", "product"),
        ("rename", "product"),
        ("fsync", "products"),
        ("fsync", ".tmp-latest.json"),
        ("replace", ".tmp-latest.json"),
        ("fsync", EVENT),
    ]


def _publish_and_be_killed(root: Path, step: int, *, done: bool) -> NoReturn:
    """Publish p1, and be killed at a step, before or after it is done; exit 0 past the end."""
    steps = iter(range(1, 1_000_000))

    def lethal(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **named: Any) -> Any:
            here = next(steps) == step
            if here and not done:
                os.kill(os.getpid(), signal.SIGKILL)
            try:
                return real(*args, **named)
            finally:
                if here:
                    os.kill(os.getpid(), signal.SIGKILL)

        return call

    for name in CALLS:
        setattr(os, name, lethal(getattr(os, name)))
    publish(LocalStore(root), "p1", "new")
    os._exit(0)


def _kill_at_every_step(folder: Path) -> None:
    """Exit 0 where each kill leaves old or new, and the next run repairs it."""
    template = LocalStore(folder / "template")
    publish(template, "p0", "old")
    seen, killed, step = set(), True, 0
    while killed:
        step += 1
        for done in (False, True):
            store = LocalStore(folder / f"{step}-{done}")
            shutil.copytree(template.root, store.root)
            if (child := os.fork()) == 0:
                _publish_and_be_killed(store.root, step, done=done)
            killed = os.WIFSIGNALED(os.waitpid(child, 0)[1])
            seen.add(_state(store))
            publish(store, "p1", "new")
            assert_sound(store, ["p0", "p1"])
            shutil.rmtree(store.root)
    assert step > 20
    assert seen == {("p0", ("p0",)), ("p0", ("p0", "p1")), ("p1", ("p0", "p1"))}


def test_killed_at_any_step_a_reader_sees_old_or_new_and_the_next_run_repairs(
    tmp_path: Path, children: ForkServerContext
) -> None:
    # In a child, because it forks: the process of the tests may have threads.
    child = children.Process(target=_kill_at_every_step, args=(tmp_path,), daemon=True)
    child.start()
    child.join(120)
    assert child.exitcode == 0


def _state(store: LocalStore) -> tuple[str, tuple[str, ...]]:
    latest = store.latest(EVENT)
    assert latest is not None
    for product in store.products(EVENT):
        assert_whole(product.folder)
    return latest.product_id, tuple(product.product_id for product in store.products(EVENT))


def _work_until_killed(root: Path, working: Any) -> None:
    with LocalStore(root).workspace(EVENT, "p1") as workspace:
        fill(workspace.folder, "slow")
        working.set()
        signal.pause()


def test_the_workspace_of_a_live_run_stays_and_that_of_a_killed_one_goes(
    store: LocalStore, children: ForkServerContext
) -> None:
    working = children.Event()
    child = children.Process(target=_work_until_killed, args=(store.root, working), daemon=True)
    child.start()
    assert working.wait(60)
    products = store.root / "events" / EVENT / "products"
    assert publish(store, "p1").ours
    assert len(list(products.glob(".tmp-*"))) == 1
    child.kill()
    child.join(60)
    store.repair(EVENT)
    assert_sound(store, ["p1"])


def _race(root: Path, number: int, barrier: Any, results: Any) -> None:
    store = LocalStore(root)
    for trial in range(5):
        with store.workspace(EVENT, f"p{trial}") as workspace:
            fill(workspace.folder, f"run {number}")
            barrier.wait(20)
            results.put((trial, store.publish(workspace, {}).ours))


def test_of_eight_runs_one_publishes_and_the_others_are_told(
    store: LocalStore, children: ForkServerContext
) -> None:
    barrier, results = children.Barrier(8), children.Queue()
    runs = [
        children.Process(target=_race, args=(store.root, i, barrier, results), daemon=True)
        for i in range(8)
    ]
    for run in runs:
        run.start()
    outcomes = [results.get(timeout=30) for _ in range(8 * 5)]
    for run in runs:
        run.join(60)
        assert run.exitcode == 0
    assert sorted(trial for trial, ours in outcomes if ours) == [0, 1, 2, 3, 4]
    assert [product.sequence for product in store.products(EVENT)] == [1, 2, 3, 4, 5]
    assert_sound(store, [f"p{trial}" for trial in range(5)])


def test_readers_never_see_a_torn_or_a_mixed_product(store: LocalStore) -> None:
    publish(store, "p0", "0" * 1000)
    stop, reads = threading.Event(), []

    def read() -> None:
        while not stop.is_set():
            latest = store.latest(EVENT)
            assert latest is not None
            assert_whole(latest.folder)
            reads.append(latest.sequence)

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for i in range(1, 20):
        publish(store, f"p{i}", str(i) * 1000)
    stop.set()
    for reader in readers:
        reader.join()
    assert len(set(reads)) > 3


def _publish_with_little_room(root: Path, room: int) -> None:
    """Exit 0 where publishing fails with one sentence."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, resource.RLIM_INFINITY))
    with pytest.raises(StoreError, match="disk is full"):
        publish(LocalStore(root), "p1", "x" * 100_000)


# Room for nothing, for the lock, for less than the layer.
@pytest.mark.parametrize("room", [0, 10, 50_000])
def test_a_disk_that_fills_loses_nothing(
    store: LocalStore, children: ForkServerContext, room: int
) -> None:
    publish(store, "p0")
    child = children.Process(target=_publish_with_little_room, args=(store.root, room), daemon=True)
    child.start()
    child.join(60)
    assert child.exitcode == 0
    assert_sound(store, ["p0"])


@pytest.mark.parametrize("number", [28, 122, 27])  # ENOSPC, EDQUOT, EFBIG
def test_a_disk_that_fills_at_any_sync_loses_nothing(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    publish(store, "p0")
    real = os.fsync

    def full_at(step: int) -> Callable[[int], None]:
        calls = iter(range(1, 100))

        def fsync(handle: int) -> None:
            if next(calls) == step:
                raise OSError(number, "no room")
            real(handle)

        return fsync

    for step in range(1, 20):
        monkeypatch.setattr(os, "fsync", full_at(step))
        try:
            publish(store, "p1")
        except StoreError as error:
            assert "disk is full" in str(error)
        else:
            break
        monkeypatch.setattr(os, "fsync", real)
        _state(store)
        store.repair(EVENT)
        if store.find(EVENT, "p1") is not None:
            shutil.rmtree(store.root / "events" / EVENT / "products" / "p1")
            store.repair(EVENT)
        assert_sound(store, ["p0"])
    assert step > 8
    assert_sound(store, ["p0", "p1"])
