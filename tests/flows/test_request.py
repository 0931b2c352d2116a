"""The request: one for file, command line and form; a wrong one is refused in one sentence."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from flows.config import RequestInvalid
from flows.request import MapRequest, SourceSpec, make_request, read_request
from geo.scenes.sensors import SENSORS, Units
from geo.scenes.source import Preference
from geo.vector.hazards import Hazard

SMALL: dict[str, Any] = {"event": "ebro-2019", "hazard": "flood", "after": ["a.tif"]}


def written(path: Path, **fields: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(SMALL | fields))
    return path


def test_the_smallest_request_has_defaults() -> None:
    request = make_request(**SMALL)
    assert request.after == (SourceSpec(path="a.tif"),)
    assert request.before == () and request.area is None and request.model is None
    assert request.prefer is Preference.NEWEST and request.device == "auto"
    assert request.title == "ebro-2019"
    assert make_request(**SMALL, name="Ebro, September").title == "Ebro, September"


@pytest.mark.parametrize(
    ("given", "slug"),
    [
        ("Drava 2024", "drava-2024"),
        ("Überflutung, Passau", "uberflutung-passau"),
        ("A  B_c", "a-b_c"),
    ],
)
def test_a_name_of_an_event_as_people_write_it_is_filed_under_a_plain_one(
    tmp_path: Path, given: str, slug: str
) -> None:
    request = make_request(**SMALL | {"event": given})
    assert (request.event, request.title) == (slug, given)
    assert request.notes == (f"the event {given!r} is filed as {slug}",)
    assert read_request(written(tmp_path / "r.json", event=given), model="none").notes
    assert make_request(**SMALL | {"event": given, "name": "Flood"}).title == "Flood"
    assert make_request(**SMALL | {"event": slug}).notes == ()


names = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), min_size=1)
specs = st.fixed_dictionaries(
    {"path": st.from_regex(r"/[a-z]{1,9}(\.tif)?", fullmatch=True)},
    optional={
        "sensor": st.sampled_from(sorted(SENSORS)),
        "bands": st.lists(st.sampled_from(["red", "nir"]), max_size=3),
        "units": st.sampled_from([unit.value for unit in Units]),
        "taken": st.datetimes(datetime(1990, 1, 1), datetime(2099, 1, 1)).map(
            lambda t: t.isoformat() + "Z"
        ),
        "baseline": st.just("05.10"),
        "cloud_cover": st.floats(0, 100),
    },
)
requests = st.fixed_dictionaries(
    {
        "event": st.from_regex(r"[a-z0-9][a-z0-9_-]{0,20}", fullmatch=True),
        "hazard": st.sampled_from([hazard.value for hazard in Hazard]),
        "after": st.lists(specs, min_size=1, max_size=3),
    },
    optional={
        "name": names.filter(lambda text: len(text) <= 200),
        "area": st.tuples(*[st.floats(-90, 90)] * 4).map(list) | st.just("1,2,3,4")
        | st.just({"type": "Polygon", "coordinates": []}),
        "before": st.lists(specs, max_size=2),
        "buildings": st.just("/b/houses.gpkg"),
        "model": st.sampled_from(["none", "sar-change", "/models/own"]),
        "store": st.just("/store"),
        "resolution_m": st.floats(0.01, 1000),
        "crs": st.just("EPSG:32630"),
        "min_area_m2": st.floats(0, 1e6),
        "simplify_m": st.floats(0, 1e3),
        "prefer": st.sampled_from([p.value for p in Preference]),
        "device": st.sampled_from(["cpu", "cuda:1"]),
    },
)  # fmt: skip


@given(fields=requests)
@settings(max_examples=60, deadline=None)
def test_a_request_comes_back_from_json(
    fields: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    request = make_request(**fields)
    assert MapRequest.model_validate_json(request.model_dump_json()) == request
    path = tmp_path_factory.mktemp("request") / "request.json"
    path.write_text(request.model_dump_json())
    store = {} if "store" in fields else {"store": path.parent / "store"}
    assert read_request(path) == request.model_copy(update=store)


def test_paths_are_relative_to_the_folder_of_the_file(tmp_path: Path) -> None:
    path = written(
        tmp_path / "events" / "ebro.json", after=["s1/*.tif", {"path": "/data/x.tif"}],
        before=[{"path": "../old"}], area="area.geojson", buildings="houses.gpkg",
        store="../store", model="models/own",
    )  # fmt: skip
    request = read_request(path)
    folder = tmp_path / "events"
    assert [spec.path for spec in request.after] == [str(folder / "s1/*.tif"), "/data/x.tif"]
    assert request.before[0].path == str(folder / "../old")
    assert request.area == str(folder / "area.geojson")
    assert request.buildings == folder / "houses.gpkg"
    assert request.store == folder / "../store"
    assert request.model == str(folder / "models/own")


def test_the_home_folder_and_names_are_no_relative_paths(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/nina")
    request = read_request(written(tmp_path / "r.json", after=["~/x.tif"], model="sar-change"))
    assert request.after[0].path == "/home/nina/x.tif"
    assert request.model == "sar-change"


@pytest.mark.parametrize("area", ["1,2,3,4", '{"type": "Polygon", "coordinates": []}'])
def test_an_area_in_words_is_no_path(tmp_path: Path, area: str) -> None:
    assert read_request(written(tmp_path / "r.json", area=area)).area == area


def test_what_the_command_line_says_goes_before_the_file_and_is_checked(tmp_path: Path) -> None:
    path = written(tmp_path / "r.json", prefer="newest", resolution_m=10)
    changed = read_request(path, prefer="least-cloudy", after=["b.tif"], area="x.geojson")
    assert changed.prefer is Preference.LEAST_CLOUDY
    assert changed.after == (SourceSpec(path="b.tif"),)
    assert (changed.area, changed.resolution_m) == ("x.geojson", 10)
    for wrong in ({"prefer": "cheapest"}, {"resolution_m": -1}, {"hazard": "frogs"}):
        with pytest.raises(RequestInvalid, match=rf"{next(iter(wrong))}: Input should be"):
            read_request(path, **wrong)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"event": "../etc"}, "event: '../etc' names no event; give letters a-z and digits"),
        ({"event": "洪水"}, "event: '洪水' names no event"),
        ({"event": 7}, "event: Input should be a valid string"),
        ({"hazard": "frogs"}, "hazard: Input should be 'flood'"),
        ({"after": []}, "after: Tuple should have at least 1 item"),
        ({"after": [""]}, "after.0.path: String should have at least 1 character"),
        ({"after": [{"path": "a", "units": "db"}]}, "after.0.units: Input should be 'dB'"),
        (
            {"after": [{"path": "a", "sensr": "x"}]},
            "after.0.sensr: there is no such field; did you mean sensor?",
        ),
        ({"after": [{"path": "a", "cloud_cover": 101}]}, "after.0.cloud_cover: Input should be"),
        ({"after": [{"path": "a", "taken": "July"}]}, "after.0.taken: 'July' is no date; write"),
        ({"after": [{"path": "a", "taken": 1563840000}]}, "after.0.taken: '1563840000' is no date"),
        ({"area": [1, 2, 3]}, "area: a box has 4 numbers, west, south, east, north, not 3"),
        ({"resolution_m": 0}, "resolution_m: Input should be greater than 0"),
        ({"resolution_m": float("inf")}, "resolution_m: Input should be a finite number"),
        ({"min_area_m2": float("nan")}, "min_area_m2: Input should be"),
        ({"device": "tpu"}, "device: String should match"),
        ({"xq": "red"}, "xq: there is no such field; the fields are event, name, hazard"),
        ({"evnt": "x"}, "evnt: there is no such field; did you mean event?"),
        ({"name": "x" * 201}, "name: String should have at most 200 characters"),
    ],
)
def test_a_wrong_field_is_one_sentence(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(RequestInvalid) as refusal:
        make_request(**SMALL | fields)
    text = str(refusal.value)
    assert text.startswith("the request is not valid: ") and message in text
    assert "\n" not in text and "https://" not in text


def test_further_faults_are_counted() -> None:
    with pytest.raises(RequestInvalid, match=r"event: .* \(and 2 more\)$"):
        make_request(event="/", hazard="frogs", after=[])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("2019-07-23", datetime(2019, 7, 23, tzinfo=UTC)),
        ("20190723", datetime(2019, 7, 23, tzinfo=UTC)),
        ("July 23, 2019", datetime(2019, 7, 23, tzinfo=UTC)),
        ("2019-07-23T17:38:00Z", datetime(2019, 7, 23, 17, 38, tzinfo=UTC)),
        ("2019-07-23T19:38:00+02:00", datetime(2019, 7, 23, 17, 38, tzinfo=UTC)),
    ],
)
def test_how_a_time_is_written(text: str, said: datetime) -> None:
    taken = make_request(**SMALL | {"after": [{"path": "a", "taken": text}]}).after[0].taken
    assert taken == said
    assert make_request(**SMALL).after[0].as_source().taken is None


@pytest.mark.parametrize("as_text", [True, False])
def test_a_large_area_belongs_into_a_file(as_text: bool) -> None:
    ring = [[i / 1000, i / 999] for i in range(20_000)]
    area: Any = {"type": "Polygon", "coordinates": [ring]}
    with pytest.raises(RequestInvalid, match="area: an area above 256 kB belongs into a file"):
        make_request(**SMALL, area=json.dumps(area) if as_text else area)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"r.json cannot be read: No such file"),
        (b"\xff\xfe\x00", "r.json is no text file"),
        (b"{", "r.json is not valid: Invalid JSON"),
        (b"[]", "r.json is not valid: Input should be an object"),
        (b"{}", r"r.json is not valid: event: Field required \(and 2 more\)"),
    ],
)
def test_a_file_that_is_no_request_is_named(
    tmp_path: Path, content: bytes | None, message: str
) -> None:
    if content is not None:
        (tmp_path / "r.json").write_bytes(content)
    with pytest.raises(RequestInvalid, match=message):
        read_request(tmp_path / "r.json")


def test_a_request_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        make_request(**SMALL).event = "other"  # type: ignore[misc]  # that it raises is the test
