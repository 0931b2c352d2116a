"""The catalogue is STAC 1.1 by pystac's own word, complete, relative, and stable."""

import json
import shutil
import socket
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pystac
import pytest
import shapely

from geo.errors import StoreError
from geo.store.stac import rebuild, write_item
from geo.store.store import LocalStore
from geo.vector.area_files import Polygonal

EVENT = "valencia-2024"
AREA = shapely.box(-0.5, 39.2, -0.2, 39.5)
TIMES = [datetime(2024, 10, 31, 10, 58, 51, tzinfo=UTC), datetime(2024, 10, 6, 11, tzinfo=UTC)]
FILES = (
    "layers/observed_event.geojson",
    "layers/observed_event.qml",
    "layers.gpkg",
    "rasters/class.tif",
    "rasters/class.tif.aux.xml",
    "styles/observed_event.sld",
    "summary.json",
    "map.png",
)


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "store")


def publish(
    store: LocalStore,
    product_id: str,
    *,
    event_id: str = EVENT,
    area: Polygonal = AREA,
    bounds: Sequence[float] = AREA.bounds,
    times: Sequence[datetime] = TIMES,
    **properties: Any,
) -> Path:
    with store.workspace(event_id, product_id) as workspace:
        for name in FILES:
            path = workspace.folder / name
            path.parent.mkdir(exist_ok=True)
            path.write_text("{}")
        write_item(
            workspace.folder,
            event_id=event_id,
            product_id=product_id,
            area=area,
            bounds=bounds,
            times=times,
            undated=datetime(2024, 11, 1, tzinfo=UTC),
            properties={
                "aftermap:model": "ndwi 0123",
                "aftermap:hazard": "flood",
                "aftermap:share_observed": 0.93,
                **properties,
            },
        )
        return store.publish(workspace, {}).product.folder


def collection(store: LocalStore, event_id: str = EVENT) -> dict[str, Any]:
    path = store.root / "events" / event_id / "collection.json"
    content: dict[str, Any] = json.loads(path.read_text())
    return content


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the catalogue reached for the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.mark.usefixtures("offline")
def test_everything_is_valid_without_a_network(store: LocalStore) -> None:
    publish(store, "p1")
    publish(store, "p2", title="Second", license="CC-BY-4.0", gsd=10.0)
    publish(store, "q1", event_id="coldsprings", times=[])
    rebuild(store, EVENT)
    rebuild(store, "coldsprings")
    catalog = pystac.Catalog.from_file(store.root / "catalog.json")
    assert catalog.validate_all() == 3
    assert {item.id for item in catalog.get_items(recursive=True)} == {"p1", "p2", "q1"}
    assert catalog.to_dict()["stac_version"] == "1.1.0"


def test_validation_can_fail(store: LocalStore) -> None:
    folder = publish(store, "p1")
    item = json.loads((folder / "item.json").read_text())
    del item["properties"]["datetime"]
    with pytest.raises(pystac.errors.STACValidationError):
        pystac.validation.validate_dict(item)


def test_links_are_relative_and_the_store_can_be_moved(store: LocalStore, tmp_path: Path) -> None:
    publish(store, "p1")
    rebuild(store, EVENT)
    moved = tmp_path / "elsewhere"
    shutil.move(store.root, moved)
    for path in [
        moved / "catalog.json",
        *moved.rglob("collection.json"),
        *moved.rglob("item.json"),
    ]:
        assert str(tmp_path) not in path.read_text()
        for link in json.loads(path.read_text())["links"]:
            assert (path.parent / link["href"]).is_file(), link
    catalog = pystac.Catalog.from_file(moved / "catalog.json")
    (item,) = catalog.get_items(recursive=True)
    parent = item.get_parent()
    assert parent is not None
    assert parent.id == item.collection_id == EVENT
    assert item.get_root() is catalog


def test_every_file_is_an_asset_that_exists_with_its_type_and_role(store: LocalStore) -> None:
    folder = publish(store, "p1")
    item = pystac.Item.from_file(folder / "item.json")
    assert {asset.href for asset in item.assets.values()} == {
        f"./{name}" for name in (*FILES, "manifest.json")
    }
    for asset in item.assets.values():
        assert (folder / asset.href).is_file()
        assert asset.roles
    assert item.assets["observed_event"].media_type == "application/geo+json"
    assert item.assets["observed_event"].title == "Observed event"
    assert item.assets["observed_event"].roles == ["data"]
    assert item.assets["layers"].media_type == "application/geopackage+sqlite3"
    assert item.assets["class"].media_type == pystac.MediaType.COG
    assert item.assets["map-png"].roles == ["overview"]
    assert item.assets["manifest-json"].roles == ["metadata"]


def test_an_item_says_where_when_and_how(store: LocalStore) -> None:
    item = pystac.Item.from_file(publish(store, "p1", gsd=10.0) / "item.json")
    assert shapely.geometry.shape(item.geometry).equals(AREA)
    assert item.bbox == list(AREA.bounds)
    assert item.datetime is None
    assert item.common_metadata.start_datetime == TIMES[1]
    assert item.common_metadata.end_datetime == TIMES[0]
    assert item.common_metadata.gsd == 10
    assert item.properties["aftermap:share_observed"] == 0.93
    assert item.properties["aftermap:dated"] is True


def test_an_item_without_times_says_that_its_time_is_not_one(store: LocalStore) -> None:
    item = pystac.Item.from_file(publish(store, "p1", times=[]) / "item.json")
    assert item.properties["start_datetime"] == "2024-11-01T00:00:00Z"
    assert item.properties["aftermap:dated"] is False


def test_items_have_no_clock(store: LocalStore, tmp_path: Path) -> None:
    one = publish(store, "p1") / "item.json"
    other = publish(LocalStore(tmp_path / "other"), "p1") / "item.json"
    assert one.read_bytes() == other.read_bytes()


def test_the_collection_covers_its_products_and_names_the_latest(store: LocalStore) -> None:
    publish(store, "p1")
    publish(
        store,
        "p2",
        bounds=(-0.6, 39.3, -0.3, 39.6),
        times=[datetime(2024, 11, 2, tzinfo=UTC)],
        license="CC-BY-4.0",
        gsd=3.0,
    )
    rebuild(store, EVENT)
    found = collection(store)
    assert found["extent"]["spatial"]["bbox"] == [[-0.6, 39.2, -0.2, 39.6]]
    assert found["extent"]["temporal"]["interval"] == [
        ["2024-10-06T11:00:00Z", "2024-11-02T00:00:00Z"]
    ]
    assert found["license"] == "CC-BY-4.0"
    assert found["summaries"]["aftermap:model"] == ["ndwi 0123"]
    assert found["summaries"]["gsd"] == [3.0]
    links = [(link["rel"], link["href"]) for link in found["links"]]
    assert ("item", "./products/p1/item.json") in links
    assert ("latest-version", "./products/p2/item.json") in links


def test_the_collection_of_an_event_across_the_antimeridian(store: LocalStore) -> None:
    fiji = shapely.MultiPolygon(
        [shapely.box(177, -20, 180, -16), shapely.box(-180, -20, -178, -16)]
    )
    publish(store, "p1", area=fiji, bounds=(177, -20, -178, -16))
    publish(store, "p2", area=shapely.box(178, -19, 179, -15), bounds=(178, -19, 179, -15))
    rebuild(store, EVENT)
    assert collection(store)["extent"]["spatial"]["bbox"] == [[177, -20, -178, -15]]


def test_made_again_nothing_is_written(store: LocalStore) -> None:
    publish(store, "p1")
    rebuild(store, EVENT)
    before = {path: path.stat().st_mtime_ns for path in store.root.rglob("*")}
    rebuild(store, EVENT)
    assert {path: path.stat().st_mtime_ns for path in store.root.rglob("*")} == before


def test_a_product_that_is_not_whole_is_not_in_the_catalogue(store: LocalStore) -> None:
    publish(store, "p1")
    (publish(store, "p2") / "map.png").unlink()
    rebuild(store, EVENT)
    items = [link["href"] for link in collection(store)["links"] if link["rel"] == "item"]
    assert items == ["./products/p1/item.json"]


def test_an_event_without_products_is_not_in_the_catalog(store: LocalStore) -> None:
    publish(store, "p1")
    with store.workspace("other", "p1"):
        rebuild(store, "other")
    catalog = json.loads((store.root / "catalog.json").read_text())
    children = [link["href"] for link in catalog["links"] if link["rel"] == "child"]
    assert children == [f"./events/{EVENT}/collection.json"]
    assert not (store.root / "events" / "other" / "collection.json").exists()


def test_a_product_without_its_item_is_named(store: LocalStore) -> None:
    with store.workspace(EVENT, "p1") as workspace:
        store.publish(workspace, {})
    with pytest.raises(StoreError, match=r"p1 has no item\.json"):
        rebuild(store, EVENT)
