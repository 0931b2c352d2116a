"""`aftermap validate` on real imagery; grades and answers are made."""

import csv
import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pytest
from PIL import Image

from flows.cli.app import run
from geo.export.geopackage import write_geopackage
from geo.vector.schema import DAMAGE_GRA, LAYERS

pytestmark = pytest.mark.data

AREA = "-94.4972,37.0670,-94.4905,37.0725"
Output = tuple[int, str, str]
Command = Callable[..., Output]


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs a command in this process: exit status, stdout, stderr."""

    def execute(*words: object) -> Output:
        status = run([str(word) for word in words])
        out, err = capsys.readouterr()
        return status, out, err

    return execute


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory, data_dir: Path) -> Path:
    """Some streets of Joplin before and after the tornado, with grades that are made."""
    folder = data_dir / "joplin_vhr"
    store = tmp_path_factory.mktemp("validated") / "store"
    words = (
        "map", "--event", "joplin", "--hazard", "storm", "--model", "none", "--area", AREA,
        "--before", folder / "pre", "--after", folder / "post", "--resolution", 4,
        "--buildings", folder / "buildings.geojson", "--store", store, "--direct", "--quiet",
    )  # fmt: skip
    assert run([str(word) for word in words]) == 0
    (made,) = store.glob("events/joplin/products/*")
    regrade(made, seed=1)
    return made


def regrade(product: Path, *, seed: int) -> None:
    """Put made grades into a product's GeoPackage, and its manifest right."""
    path = product / "layers.gpkg"
    layers = {name: gpd.read_file(path, layer=name) for name in LAYERS}
    buildings = layers["built_up"]
    grades = np.random.default_rng(seed).choice(
        DAMAGE_GRA, len(buildings), p=[0.1, 0.1, 0.2, 0.5, 0.1]
    )
    layers["built_up"] = buildings.assign(damage_gra=grades)
    path.unlink()
    write_geopackage(layers, path)
    manifest = product / "manifest.json"
    manifest.chmod(0o644)
    content = json.loads(manifest.read_text())
    (entry,) = (file for file in content["files"] if file["path"] == "layers.gpkg")
    entry["size"] = path.stat().st_size
    entry["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    manifest.write_text(json.dumps(content))


def published(product: Path) -> dict[str, str]:
    """Return the made grades."""
    frame = gpd.read_file(product / "layers.gpkg", layer="built_up")
    return dict(zip(frame["id"], frame["damage_gra"], strict=True))


@pytest.fixture(scope="module")
def drawn(product: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sample of 25 buildings."""
    folder = tmp_path_factory.mktemp("drawn") / "sample"
    words = ["validate", str(product), "--out", str(folder), "--draw", "25", "--quiet"]
    assert run(words) == 0
    return folder


def rows_of(folder: Path) -> list[dict[str, str]]:
    """Return the rows of a sample."""
    with (folder / "sample.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def sample(drawn: Path, tmp_path: Path) -> Path:
    """A copy of the sample, to answer."""
    return shutil.copytree(drawn, tmp_path / "sample")


def test_the_sheet_holds_the_buildings_and_nothing_of_the_machine(
    drawn: Path, product: Path
) -> None:
    rows, grades = rows_of(drawn), published(product)
    assert list(rows[0]) == ["number", "id", "lon", "lat", "observed_grade"]
    assert [row["number"] for row in rows] == [str(n) for n in range(1, 26)]
    assert {row["observed_grade"] for row in rows} == {""}
    record = json.loads((drawn / "sample.json").read_text())
    assert record["ids"] == [row["id"] for row in rows]
    assert record["product_id"] == product.name
    seen = Counter(grades[row["id"]] for row in rows)
    whole = Counter(grades.values())
    assert {s["name"]: (s["buildings"], s["drawn"]) for s in record["strata"]} == {
        grade: (whole[grade], seen[grade]) for grade in seen
    }
    assert set(seen) == set(DAMAGE_GRA)
    west, south, east, north = map(float, AREA.split(","))
    slack = 0.001  # a building on the edge of the area may have its middle outside
    assert all(west - slack < float(row["lon"]) < east + slack for row in rows)
    assert all(south - slack < float(row["lat"]) < north + slack for row in rows)


class Page(HTMLParser):
    """Gathers what a page points to."""

    def __init__(self, text: str) -> None:
        """Read a page."""
        super().__init__()
        self.images: list[dict[str, str | None]] = []
        self.choices: Counter[str | None] = Counter()
        self.outside: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take what matters of a tag."""
        found = dict(attrs)
        if tag == "img":
            self.images.append(found)
        if tag == "input":
            self.choices[found["name"]] += 1
        self.outside += [v for k, v in attrs if k in ("src", "href") and v and ":" in v]


def test_the_page_shows_each_building_twice_and_needs_no_network(drawn: Path) -> None:
    text = (drawn / "sample.html").read_text(encoding="utf-8")
    page = Page(text)
    assert page.outside == []
    assert "http" not in text
    assert page.choices == {f"g{number}": 5 for number in range(1, 26)}
    assert len(page.images) == 50
    for number, image in enumerate(page.images):
        phase = ("before", "after")[number % 2]
        assert str(image["alt"]).startswith(f"Building {number // 2 + 1} {phase} the event")
        assert (drawn / str(image["src"])).is_file()


def test_before_and_after_show_the_same_place_with_the_outline(drawn: Path) -> None:
    alike = []
    for number in range(1, 26):
        pair = [
            np.asarray(Image.open(drawn / f"pictures/{number:04d}-{phase}.jpg"), np.int16)
            for phase in ("before", "after")
        ]
        assert pair[0].shape == pair[1].shape == (400, 400, 3)
        # The outline is yellow: strong red and green without blue, at the same pixels.
        yellow = [(p[..., 0] > 190) & (p[..., 1] > 170) & (p[..., 2] < 110) for p in pair]
        assert all(mask[60:340, 60:340].any() for mask in yellow)
        alike.append((yellow[0] & yellow[1]).sum() / min(mask.sum() for mask in yellow))
        assert not np.array_equal(*pair)
    assert np.median(alike) > 0.8


def answered(
    sample: Path,
    words: dict[str, str],
    *,
    name: str = "sample.csv",
    sep: str = ",",
    start: str = "",
    end: str = "\n",
) -> Path:
    """Write answers as a spreadsheet does."""  # fmt: skip
    head = sep.join(("number", "id", "lon", "lat", "observed_grade", "note"))
    lines = [
        sep.join((row["number"], row["id"], "", "", words.get(row["id"], ""), "é"))
        for row in rows_of(sample)
    ]
    path = sample / name
    path.write_bytes((start + end.join([head, *lines, ""])).encode())
    return path


def test_right_answers_in_any_dialect_make_the_grades_right(
    product: Path, sample: Path, command: Command
) -> None:
    grades = published(product)
    words = {n: "?" if g == "Not Analysed" else f" {g.upper()}" for n, g in grades.items()}
    before = {path: path.stat().st_mtime_ns for path in product.rglob("*")}
    results = []
    for dialect in (
        {},
        {"sep": ";", "start": "\ufeff", "end": "\r\n"},
        {"sep": "\t", "end": "\r"},
    ):
        answers = answered(sample, words, name="mine.csv", **dialect)
        status, out, err = command("validate", product, "--answers", answers, "--json")
        assert status == 0, err
        results.append(json.loads(out))
    found: dict[str, Any] = results[0]
    assert found == results[1] == results[2] == json.loads((sample / "validation.json").read_text())
    assert {path: path.stat().st_mtime_ns for path in product.rglob("*")} == before
    whole = Counter(grades.values())
    agreement, graded = found["agreement"], found["graded_buildings"]
    assert agreement["accuracy"]["estimate"] == agreement["macro_f1"] == pytest.approx(1)
    damaged = whole["Destroyed"] + whole["Damaged"]
    assert graded["damaged"]["estimate"] == pytest.approx(damaged)
    assert graded["damaged"]["low"] < damaged < graded["damaged"]["high"]
    everywhere = found["all_buildings"]["damaged"]
    assert everywhere["estimate"] is None
    assert everywhere["high"] == graded["damaged"]["high"] + whole["Not Analysed"]
    known = [row["id"] for row in rows_of(sample) if words[row["id"]] != "?"]
    assert found["sample"]["drawn"] == 25
    assert found["sample"]["answered"] == len(known)


def test_for_people_it_is_sentences_and_tables(
    product: Path, sample: Path, command: Command
) -> None:
    some = rows_of(sample)[:12]
    answers = answered(sample, {row["id"]: "major-damage" for row in some})
    status, out, err = command("validate", product, "--answers", answers)
    assert status == 0, err
    assert "12 of the 25 buildings that were drawn have an answer; 13 (? or empty) count" in out
    assert "Damaged or destroyed, of all buildings" in out
    for word in ("95 % interval", "published \\ observed", "macro F1", "validation.json"):
        assert word in out


def test_what_is_wrong_with_answers_is_one_sentence(
    product: Path, sample: Path, command: Command
) -> None:
    first, second = rows_of(sample)[:2]
    path = sample / "mine.csv"

    def message(content: str | bytes) -> str:
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        status, out, err = command("validate", product, "--answers", path)
        assert (status, out) == (2, "")
        assert len(err.splitlines()) == 1
        return err

    head = "id,observed_grade\n"
    assert "line 2: 'wrecked' is no grade" in message(f"{head}{first['id']},wrecked\n")
    assert "'b-7' is no building of this sample" in message(f"{head}b-7,Damaged\n")
    twice = f"{head}{first['id']},?\n{second['id']},Damaged\n{first['id']},Damaged\n"
    assert "line 4" in message(twice) and "answered in line 2 already" in message(twice)
    assert "without one column observed_grade" in message(f"id,grade\n{first['id']},Damaged\n")
    assert "is a workbook, not text; save it as CSV" in message(b"PK\x03\x04 and more")
    assert "answers for none of the 25 buildings" in message(f"{head}{first['id']},?\n")
    assert "without one column id and one observed_grade" in message("")
    assert not (sample / "validation.json").exists()


def test_what_is_wrong_with_the_sample_is_one_sentence(
    product: Path, sample: Path, command: Command, tmp_path: Path
) -> None:
    answers = answered(sample, {rows_of(sample)[0]["id"]: "Damaged"})

    def message(*words: object) -> str:
        status, out, err = command("validate", product, *words)
        assert (status, out) == (2, "")
        assert len(err.splitlines()) == 1
        return err

    assert "holds a sample already" in message("--out", sample)
    assert "one of the two" in message()
    assert "cannot be drawn from 5 grades" in message("--out", tmp_path / "few", "--draw", 9)
    gone = message("--out", tmp_path / "gone", "--after", tmp_path / "nowhere.tif", "--quiet")
    assert "nowhere.tif" in gone and "put it back" in gone
    assert not (tmp_path / "gone").exists()
    record = json.loads((sample / "sample.json").read_text())
    (sample / "sample.json").write_text(json.dumps(record | {"product_id": "feedfeedfeedfeed"}))
    other = message("--answers", answers)
    assert "feedfeedfeedfeed" in other and product.name in other
    (sample / "sample.json").write_text("{}")
    assert "is not as it was written" in message("--answers", answers)
    (sample / "sample.json").unlink()
    assert "has no sample.json; give the sample's folder with --sample" in message(
        "--answers", answers
    )
