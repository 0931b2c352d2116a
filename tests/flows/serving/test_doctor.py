"""The checks of an installation, here and on machines that lack something."""

import hashlib
import http.server
import importlib
import importlib.metadata
import io
import json
import shutil
import threading
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import psutil
import pyproj
import pytest
import rasterio.warp
from rich.console import Console

from flows.serving import doctor
from flows.serving.doctor import Finding, as_table, checkup, healthy
from models.cards.registry import SHELF, CardRef, find


@pytest.fixture(scope="module")
def findings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Finding]:
    store = tmp_path_factory.mktemp("office") / "deep" / "store"
    found = checkup(store)
    assert not store.parent.exists()
    return {finding.name: finding for finding in found}


def test_this_machine_can_run_what_it_was_installed_for(findings: dict[str, Finding]) -> None:
    wanted = {"memory", "store", "torch", "PROJ", "Prefect", "Prefect server", "models"}
    assert set(findings) == wanted
    for name in wanted - {"memory", "Prefect server"}:
        assert findings[name].ok, findings[name]
    assert "does not exist yet" in findings["store"].detail


def test_the_findings_are_plain_for_json(findings: dict[str, Finding]) -> None:
    back = json.loads(json.dumps([asdict(finding) for finding in findings.values()]))
    assert back[0]["name"] == "memory"
    assert set(back[0]) == {"name", "ok", "detail", "cure"}


def test_nothing_points_to_schedules_that_are_not_there(findings: dict[str, Finding]) -> None:
    assert not any("schedule" in finding.cure for finding in findings.values())


def test_the_table_shows_what_fails_and_keeps_brackets() -> None:
    found = [Finding("a", True, "fine [x]"), Finding("b", False, "broken", "mend [it]")]
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(as_table(found))
    text = console.export_text()
    assert "fine [x]" in text
    assert "NOT OK" in text
    assert "mend [it]" in text
    assert not healthy(found)
    assert healthy(found[:1])


def test_free_memory_is_what_psutil_finds() -> None:
    free = float(doctor.memory(cgroup=Path("/no/such/cgroup")).detail.split()[0]) * 2**30
    assert free == pytest.approx(psutil.virtual_memory().available, rel=0.1)


@pytest.mark.parametrize(
    ("limit", "free"), [("max", "8.0"), ("3221225472", "1.1"), (str(2**40), "8.0")]
)
def test_the_limit_of_a_container_counts(tmp_path: Path, limit: str, free: str) -> None:
    (tmp_path / "meminfo").write_text(f"MemTotal: 99 kB\nMemAvailable: {8 * 2**20} kB\n")
    (tmp_path / "memory.max").write_text(f"{limit}\n")
    (tmp_path / "memory.current").write_text(f"{2 * 2**30}\n")
    (tmp_path / "memory.stat").write_text(f"anon 5\ninactive_file {2**27}\n")
    assert doctor.memory(tmp_path, tmp_path).detail == f"{free} GiB free"


def test_little_memory_is_not_ok_and_unknown_memory_is(tmp_path: Path) -> None:
    assert doctor.memory(tmp_path / "none").ok
    (tmp_path / "meminfo").write_text("MemAvailable: 500000 kB\n")
    found = doctor.memory(tmp_path, tmp_path)
    assert not found.ok
    assert "map smaller areas" in found.cure


def test_a_full_disk_is_not_ok(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Usage(NamedTuple):
        free: int

    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(2**30))
    found = doctor.store_folder(tmp_path)
    assert not found.ok
    assert found.detail == f"{tmp_path}, 1.0 GiB free"


def test_a_store_that_cannot_be_written_is_not_ok(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*, dir: Path) -> None:
        raise PermissionError(13, "Permission denied", str(dir))

    monkeypatch.setattr(doctor.tempfile, "TemporaryFile", refuse)
    found = doctor.store_folder(tmp_path)
    assert not found.ok
    assert found.detail == f"{tmp_path}: Permission denied"


def test_looking_at_the_store_leaves_nothing_in_it(tmp_path: Path) -> None:
    assert doctor.store_folder(tmp_path).ok
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_no_store(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("")
    found = doctor.store_folder(tmp_path / "store")
    assert not found.ok
    assert found.detail.endswith("Not a directory")


def test_torch_of_two_builds_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.import_module

    def broken(name: str) -> ModuleType:
        if name == "torchvision":
            raise RuntimeError("operator torchvision::nms does not exist")
        return real(name)

    monkeypatch.setattr(doctor.importlib, "import_module", broken)
    found = doctor.torch_device()
    assert not found.ok
    assert "torchvision::nms" in found.detail


def test_gpus_are_named_with_their_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    class Device(NamedTuple):
        name: str
        total_memory: int

    torch = importlib.import_module("torch")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    card = Device("NVIDIA H200", 139 * 2**30)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda i: card)
    assert "NVIDIA H200 with 139.0 GiB" in doctor.torch_device().detail


def test_a_missing_gpu_is_fine_and_the_fitting_build_is_advised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch = importlib.import_module("torch")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.version, "cuda", None)
    without = doctor.torch_device(tmp_path / "no driver")
    assert (without.ok, without.cure) == (True, "")
    assert "no GPU" in without.detail
    monkeypatch.setattr(torch.version, "cuda", "13.2")
    unused = doctor.torch_device(tmp_path / "no driver")
    assert unused.ok
    assert "brings CUDA 13.2" in unused.cure
    assert "make demo TORCH_INDEX=URL" in unused.cure
    (tmp_path / "version").write_text("NVRM")
    assert "a GPU driver is there" in doctor.torch_device(tmp_path / "version").cure


def test_proj_without_its_database_is_not_ok(monkeypatch: pytest.MonkeyPatch) -> None:
    def lost(*_: Any, **__: Any) -> None:
        raise pyproj.exceptions.CRSError("no database context specified")

    monkeypatch.setattr(pyproj.Transformer, "from_crs", lost)
    monkeypatch.setenv("PROJ_DATA", "/somewhere/else")
    found = doctor.projections()
    assert not found.ok
    assert found.cure == "unset PROJ_DATA"


def test_a_projection_that_misses_the_known_point_is_not_ok(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rasterio.warp, "transform", lambda *_: ([5e5], [3.0]))
    assert not doctor.projections().ok


@pytest.mark.parametrize(
    ("package", "version"), [("fastapi", "0.151.0"), ("sqlalchemy", "2.1.0"), ("prefect", "4.0.0")]
)
def test_versions_that_break_flows_are_not_ok(
    monkeypatch: pytest.MonkeyPatch, package: str, version: str
) -> None:
    real = importlib.metadata.version
    monkeypatch.setattr(
        importlib.metadata, "version", lambda name: version if name == package else real(name)
    )
    found = doctor.prefect_versions()
    assert not found.ok
    assert f"{package} {version}" in found.detail
    assert f"wanted: {package} <" in found.detail
    assert "constraints.txt" in found.cure


def test_without_the_distribution_its_bounds_are_not_known(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def missing(name: str) -> None:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "requires", missing)
    found = doctor.prefect_versions()
    assert (found.ok, found.detail) == (False, "aftermap is not installed")


class Api(http.server.BaseHTTPRequestHandler):
    """Answers like Prefect's health check, or not."""

    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/api/health" else 404)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def api() -> Iterator[str]:
    with http.server.HTTPServer(("127.0.0.1", 0), Api) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_prefect_server_that_answers_is_ok_and_its_password_is_not_shown(
    api: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFECT_API_URL", f"http://me:secret@{api}/api/")
    found = doctor.prefect_server()
    assert (found.ok, found.detail) == (True, f"http://{api}/api answers")


def test_a_prefect_server_that_is_another_is_not_ok(
    api: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFECT_API_URL", f"http://{api}")
    assert doctor.prefect_server().detail == f"http://{api} answers 404 to /health"


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/api", "not a url", "http://[::1"])
def test_a_prefect_server_that_is_away_is_not_ok(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("PREFECT_API_URL", url)
    found = doctor.prefect_server()
    assert not found.ok
    assert "unset PREFECT_API_URL" in found.cure


def test_no_prefect_server_is_fine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    assert doctor.prefect_server().ok


def test_a_model_whose_card_is_broken_is_not_ok(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "card.json").write_text("{}")
    found = doctor.model_registry(tmp_path)
    assert not found.ok
    assert "card.json is not valid" in found.detail


@pytest.mark.parametrize(
    ("content", "problem"),
    [(b"weights", ""), (b"others", "not those of the card"), (None, "No such file or directory")],
)
def test_weights_are_compared_with_their_card(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | None, problem: str
) -> None:
    digest = hashlib.sha256(b"weights").hexdigest()
    # Of a model whose weights lie beside its card: those of a package are not ours to write.
    card = find("ndwi-water").card.model_copy(update={"weights_sha256": digest})
    ref = CardRef(card, tmp_path)
    if content is not None:
        ref.weights.write_bytes(content)
    monkeypatch.setattr(doctor, "all_cards", lambda extra: (ref,))
    found = doctor.model_registry()
    assert found.ok is (problem == "")
    assert problem in found.detail


def test_the_models_are_counted() -> None:
    assert doctor.model_registry().detail.startswith(f"{len(list(SHELF.glob('*/card.json')))}: ")
