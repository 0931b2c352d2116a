"""The command line as people and scripts use it: results on stdout, progress on stderr."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import geopandas as gpd
import httpx
import pytest

from flows.cli.app import COMMANDS, run
from geo.store.store import LocalStore
from geo.vector.schema import LAYERS
from models.cards.registry import all_cards
from tests.aftermap import started
from tests.flows.conftest import DEMO, Demo
from tests.flows.imagery import INSIDE, radar


def printed(capsys: pytest.CaptureFixture[str], *arguments: object, status: int = 0) -> str:
    """Run a command and return what it printed; nothing goes to stderr."""
    capsys.readouterr()
    found = run([str(argument) for argument in arguments])
    out, err = capsys.readouterr()
    assert (found, err) == (status, "")
    return out


def test_the_demo_makes_a_product_and_says_how_good_it_is(demo: Demo) -> None:
    assert demo.result["new"]
    assert demo.result["event"] == "demo-flood"
    assert (demo.product / "map.png").stat().st_size > 50_000
    score = demo.result["score"]
    # Flood under trees and between houses is missed, and nothing dry is called flooded.
    assert score["precision"] > 0.97
    assert 0.55 < score["iou"] < 0.8
    assert score["iou"] == pytest.approx(score["f1"] / (2 - score["f1"]), abs=1e-3)
    assert demo.result["summary"]["observed_share"] < 1
    layers = {path.stem for path in (demo.product / "layers").glob("*.geojson")}
    assert layers == set(LAYERS)


def test_progress_goes_to_stderr_and_nothing_else_does(demo: Demo) -> None:
    *lines, last = demo.ran.err.splitlines()
    assert lines
    assert all("window" in line for line in (*lines, last))
    assert re.search(r"\d+ of \d+ windows \(100 %\) in \d+ s$", last)


def test_the_demo_again_finds_its_product(
    demo: Demo, capsys: pytest.CaptureFixture[str], unchanged: None
) -> None:
    again = json.loads(printed(capsys, *DEMO, "--store", demo.store))
    assert not again["new"]
    for key in ("product", "summary", "score"):
        assert again[key] == demo.result[key]


def test_another_seed_is_another_place(demo: Demo) -> None:
    names = {path.name for path in (demo.store / "imagery").iterdir()}
    assert names == {"demo-flood-7"}


def test_lists_of_events_and_products_can_be_copied_from_any_terminal(
    demo: Demo, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    (row,) = json.loads(printed(capsys, "products", "--store", demo.store, "--json"))
    (event,) = json.loads(printed(capsys, "events", "--store", demo.store, "--json"))
    assert event == {"event": "demo-flood", "products": 1, **row}
    wanted = ("event", "title", "hazard", "date", "km2", "id", "path")
    assert set(wanted) <= set(row)
    assert (row["event"], row["hazard"], row["id"], row["path"]) == (
        "demo-flood", "flood", demo.result["product_id"], str(demo.product),
    )  # fmt: skip
    assert row["title"] == demo.result["summary"]["event_name"]
    assert row["km2"] == pytest.approx(demo.result["summary"]["area_km2"], abs=0.005)
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", row["date"])
    for command in ("events", "products"):
        head, line = printed(capsys, command, "--store", demo.store).splitlines()
        assert set(wanted) <= set(head.split())
        assert all(str(row[name]) in line for name in wanted)


def test_an_empty_store_is_said_to_be_empty(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert printed(capsys, "events", "--store", tmp_path / "none").startswith("no event")
    assert printed(capsys, "products", "--store", tmp_path / "none").startswith("no product")
    assert json.loads(printed(capsys, "events", "--store", tmp_path / "none", "--json")) == []
    assert not (tmp_path / "none").exists()


def test_the_store_of_the_office_is_the_default(
    demo: Demo, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AFTERMAP_STORE", str(demo.store))
    assert [row["event"] for row in json.loads(printed(capsys, "events", "--json"))] == [
        "demo-flood"
    ]


def test_models_are_listed_and_one_shows_its_card(capsys: pytest.CaptureFixture[str]) -> None:
    listed = json.loads(printed(capsys, "models", "--json"))
    assert [row["name"] for row in listed] == [ref.card.name for ref in all_cards()]
    table = printed(capsys, "models")
    for row in listed:
        assert row["name"] in table
    card = json.loads(printed(capsys, "models", "sar-change"))
    assert card["name"] == "sar-change"
    assert {"inputs", "resolution_m", "limits", "licence"} <= set(card)


def test_fields_are_a_table_of_every_layer(capsys: pytest.CaptureFixture[str]) -> None:
    table = printed(capsys, "fields")
    for layer in LAYERS.values():
        for field in layer.extra:
            assert f"| `{layer.name}` | `{field.name}` |" in table


def test_doctor_says_what_is_missing_by_its_exit_status(
    demo: Demo, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    status = run(["doctor", "--json", "--store", str(demo.store)])
    out, err = capsys.readouterr()
    findings = {finding["name"]: finding for finding in json.loads(out)}
    assert err == ""
    assert status == (0 if all(finding["ok"] for finding in findings.values()) else 1)
    (tmp_path / "file").touch()
    broken = printed(capsys, "doctor", "--json", "--store", tmp_path / "file", status=1)
    store = next(finding for finding in json.loads(broken) if finding["name"] == "store")
    assert not store["ok"]
    assert store["cure"]
    assert "NOT OK" in printed(capsys, "doctor", "--store", tmp_path / "file", status=1)


@pytest.fixture
def request_file(tmp_path: Path) -> Path:
    """A request whose files lie beside it, written with relative paths."""
    folder = tmp_path / "office"
    radar(folder / "images" / "before.tif")
    radar(folder / "images" / "after" / "after.tif", water_cols=70, seed=2)
    gpd.GeoDataFrame(
        geometry=gpd.GeoSeries.from_wkt(["POLYGON ((15.005 45.145, 15.006 45.145, 15.006 45.146, "
                                         "15.005 45.145))"]), crs=4326
    ).to_file(folder / "houses.geojson")  # fmt: skip
    west, south, east, north = map(float, INSIDE.split(","))
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    (folder / "area.geojson").write_text(json.dumps({"type": "Polygon", "coordinates": [ring]}))
    asked = {
        "event": "drava-2024", "name": "Drava, made", "hazard": "flood", "area": "area.geojson",
        "before": [{"path": "images/before.tif", "sensor": "sentinel-1-grd",
                    "taken": "2024-06-06T05:01:01Z"}],
        "after": [{"path": "images/after", "sensor": "sentinel-1-grd", "taken": "2024-06-18"}],
        "buildings": "houses.geojson", "store": "maps", "min_area_m2": 5000,
    }  # fmt: skip
    path = folder / "request.json"
    path.write_text(json.dumps(asked))
    return path


def test_paths_in_a_request_are_relative_to_it_and_quiet_is_quiet(
    request_file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir("/")
    out = printed(capsys, "map", request_file, "--direct", "--quiet", "--json")
    result = json.loads(out)
    store = request_file.parent / "maps"
    assert Path(result["product"]).is_relative_to(store)
    assert result["summary"]["event_name"] == "Drava, made"
    assert result["summary"]["buildings"] == {"Not Analysed": 1}
    assert result["summary"]["area_km2"] == pytest.approx(0.61, abs=0.01)
    (product,) = LocalStore(store).products("drava-2024")
    # The manifest can be published: it names files, and no folder of this machine.
    assert str(request_file.parent) not in json.dumps(product.manifest)
    people = printed(capsys, "map", request_file, "--direct", "--quiet")
    assert "Drava, made" in people
    assert "nothing was computed" in people
    assert str(product.folder / "map.png") in people


def test_the_command_line_goes_over_the_request(
    request_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["map", request_file, "--direct", "--json", "--store", tmp_path / "elsewhere"]
    status = run([str(word) for word in [*arguments, "--event", "mura-2024", "--model", "none"]])
    out, err = capsys.readouterr()
    result = json.loads(out)
    assert status == 0
    assert (result["event"], result["summary"]["model"]) == ("mura-2024", None)
    assert Path(result["product"]).is_relative_to(tmp_path / "elsewhere")
    assert not (request_file.parent / "maps").exists()
    assert "windows (100 %)" in err


def test_the_store_of_the_office_holds_for_a_request_that_names_none(
    request_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    asked = json.loads(request_file.read_text())
    del asked["store"]
    request_file.write_text(json.dumps({**asked, "model": "none"}))
    monkeypatch.setenv("AFTERMAP_STORE", str(tmp_path / "office-store"))
    result = json.loads(printed(capsys, "map", request_file, "--direct", "--quiet", "--json"))
    assert Path(result["product"]).is_relative_to(tmp_path / "office-store")


def test_serve_offers_the_product_until_it_is_told_to_stop(demo: Demo) -> None:
    with started("serve", "--store", demo.store, "--port", 0, home=demo.home) as server:
        assert server.stderr is not None
        said = server.stderr.readline()
        address = re.findall(r"http://127\.0\.0\.1:\d+/", said)[0]
        with httpx.Client(base_url=address, trust_env=False) as client:
            product = demo.product.relative_to(demo.store)
            for name in LAYERS:
                reply = client.get(f"/{product}/layers/{name}.geojson")
                assert reply.content == (demo.product / f"layers/{name}.geojson").read_bytes()
            assert client.get("/catalog.json").json()["type"] == "Catalog"
        server.send_signal(signal.SIGTERM)
        rest = server.stderr.read()
        assert server.wait() == 0
    assert "Traceback" not in rest


def test_help_is_there_for_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    overview = printed(capsys, "--help")
    for command in COMMANDS:
        assert f" {command} " in overview
        assert f"aftermap {command}" in printed(capsys, command, "--help")


HEAVY = ("torch", "numba", "prefect", "matplotlib", "geopandas", "scipy.stats", "pyarrow", "captum")
"""What takes long to import, and only computing needs."""
AT_ONCE = {
    "--help": (0, 0.6), "--version": (0, 0.6), "events": (0, 0.8), "products": (0, 0.8),
    "models": (0, 0.8), "map --help": (0, 1.0),
    "map --event e --hazard flood --after nowhere.tif": (2, 1.0),
    "map --event e --hazard flood --after FILE --after-date yesterday": (2, 1.0),
    "map --event e --hazard flood --after FILE --clouds many": (2, 1.0),
}  # fmt: skip
"""Commands with their exit status, and the seconds of a processor that they may take."""


@pytest.mark.parametrize("command", AT_ONCE)
def test_commands_that_compute_nothing_start_at_once(command: str, tmp_path: Path) -> None:
    status, limit_s = AT_ONCE[command]
    image = radar(tmp_path / "after.tif")
    code = (
        "import resource, sys; from flows.cli.app import run; status = run(sys.argv[1:]);"
        "used = resource.getrusage(resource.RUSAGE_SELF);"
        f"print(status, {HEAVY}, used.ru_utime + used.ru_stime, sep='|', file=sys.stderr)"
    ).replace(f"{HEAVY}", f"sorted(set({HEAVY}) & set(sys.modules))")
    words = [str(image) if word == "FILE" else word for word in command.split()]
    done = subprocess.run(
        [sys.executable, "-c", code, *words], capture_output=True, text=True, check=True,
        env={**os.environ, "AFTERMAP_STORE": str(tmp_path / "store")},
    )  # fmt: skip
    found, heavy, used_s = done.stderr.splitlines()[-1].split("|")
    print(f"aftermap {command}: {float(used_s):.2f} s of a processor")
    assert (int(found), heavy) == (status, "[]"), done.stderr
    # A loaded machine with shared cores takes longer for the same work.
    assert float(used_s) < 3 * limit_s


def test_output_that_nobody_reads_ends_quietly(demo: Demo) -> None:
    pipe = f"{sys.executable} -m flows.cli.app products --store {demo.store} --json | true"
    done = subprocess.run(["bash", "-c", pipe], capture_output=True, text=True, check=True)
    assert done.stderr == ""


def test_told_to_stop_it_says_that_nothing_is_half_published(
    request_file: Path, tmp_path: Path
) -> None:
    with started("map", request_file, "--direct", home=tmp_path) as process:
        assert process.stderr is not None
        assert "window to do" in process.stderr.readline()
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate()
    assert (process.returncode, out) == (130, "")
    assert "Traceback" not in err
    assert err.splitlines()[-1].startswith("aftermap: stopped")
    store = LocalStore(request_file.parent / "maps")
    assert store.events() == []
    assert not list(store.root.rglob(".tmp-*"))
