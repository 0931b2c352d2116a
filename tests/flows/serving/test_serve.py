"""The served store, read over real loopback sockets by httpx, GDAL and pyogrio."""

import asyncio
import http.client
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import geopandas as gpd
import httpx
import numpy as np
import pytest
import rasterio
import uvicorn
from rasterio.transform import from_origin
from rasterio.windows import Window
from shapely.geometry import box

from flows.serving.serve import app, index_html, listen
from geo.errors import StoreError
from geo.store.store import LocalStore

PRODUCT = "events/spain-2019/products/p1"
PIXELS = np.random.default_rng(7).integers(0, 255, (1024, 1024), dtype=np.uint8)


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with one event, a product, one half-written, and a secret beside the store."""
    outside = tmp_path_factory.mktemp("outside")
    write(outside / "secret.json", '{"secret": 1}')
    root = outside / "store"
    event = root / "events" / "spain-2019"
    product = root / PRODUCT
    (product / "layers").mkdir(parents=True)
    (product / "rasters").mkdir()
    with rasterio.open(
        product / "rasters" / "class.tif", "w", driver="COG", dtype="uint8", count=1, width=1024,
        height=1024, crs="EPSG:32630", transform=from_origin(5e5, 4.5e6, 10, 10), blocksize=128,
    ) as file:  # fmt: skip
        file.write(PIXELS, 1)
    layer = gpd.GeoDataFrame({"notation": ["Flooded area"]}, geometry=[box(-3, 40, -2.9, 40.1)])
    layer.set_crs(4326).to_file(product / "layers" / "observed_event.geojson", driver="GeoJSON")
    write(product / "layers.gpkg", "not really")
    write(product / "item.json", "{}")
    write(event / "products" / ".tmp-p2" / "item.json", "{}")
    write(event / "latest.json", '{"product_id": "p1"}')
    write(event / "collection.json", '{"title": "Ebro <script>alert(1)</script>"}')
    write(event / "notes.txt", "not for the public")
    write(root / "catalog.json", "{}")
    write(root / "events" / "empty" / "collection.json", "[]")
    (product / "out.json").symlink_to(outside / "secret.json")
    (product / "in.json").symlink_to(event / "products" / ".tmp-p2" / "item.json")
    (product / "loop.json").symlink_to(product / "loop.json")
    return root


@pytest.fixture(scope="module")
def address(store: Path) -> Iterator[str]:
    """Address of the served store; the server runs in a thread, on a free port."""
    bound = listen("127.0.0.1", 0)
    server = uvicorn.Server(uvicorn.Config(app(store), log_config=None, server_header=False))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]})
    thread.start()
    yield f"http://127.0.0.1:{bound.getsockname()[1]}"
    server.should_exit = True
    thread.join(timeout=20)
    bound.close()
    assert not thread.is_alive()


@pytest.fixture
def client(address: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=address, trust_env=False) as found:
        yield found


def raw_get(address: str, target: str) -> tuple[int, bytes]:
    """Ask for a path exactly as written; httpx would tidy it first."""
    connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=10)
    connection.putrequest("GET", target, skip_host=False)
    connection.endheaders()
    reply = connection.getresponse()
    body = reply.read()
    connection.close()
    return reply.status, body


def test_gdal_reads_one_window_of_a_cog_in_ranges(address: str) -> None:
    with (
        rasterio.Env(GDAL_DISABLE_READDIR_ON_OPEN="EMPTY_DIR", GDAL_HTTP_PROXY="", NO_PROXY="*"),
        rasterio.open(f"/vsicurl/{address}/{PRODUCT}/rasters/class.tif") as file,
    ):
        found = file.read(1, window=Window(256, 512, 128, 128))
    np.testing.assert_array_equal(found, PIXELS[512:640, 256:384])


def test_gdal_reads_a_cog_by_the_stable_address(address: str) -> None:
    with (
        rasterio.Env(GDAL_DISABLE_READDIR_ON_OPEN="EMPTY_DIR", GDAL_HTTP_PROXY="", NO_PROXY="*"),
        rasterio.open(f"/vsicurl/{address}/events/spain-2019/latest/rasters/class.tif") as file,
    ):
        np.testing.assert_array_equal(file.read(1), PIXELS)


def test_pyogrio_reads_a_layer_whole(address: str) -> None:
    layer = gpd.read_file(f"{address}/{PRODUCT}/layers/observed_event.geojson", engine="pyogrio")
    assert layer["notation"].tolist() == ["Flooded area"]
    assert layer.total_bounds == pytest.approx([-3, 40, -2.9, 40.1])


@pytest.mark.parametrize(
    ("asked", "rows"),
    [
        ("bytes=0-99", slice(0, 100)),
        ("bytes=500-", slice(500, None)),
        ("bytes=-7", slice(-7, None)),
    ],
)
def test_a_range_is_answered_with_its_bytes(
    client: httpx.Client, store: Path, asked: str, rows: slice
) -> None:
    whole = (store / PRODUCT / "rasters" / "class.tif").read_bytes()
    reply = client.get(f"/{PRODUCT}/rasters/class.tif", headers={"Range": asked})
    first = rows.indices(len(whole))[0]
    assert reply.status_code == 206
    assert reply.content == whole[rows]
    assert reply.headers["content-range"].startswith(f"bytes {first}-")
    assert reply.headers["content-range"].endswith(f"/{len(whole)}")


def test_several_ranges_come_as_parts(client: httpx.Client, store: Path) -> None:
    whole = (store / PRODUCT / "rasters" / "class.tif").read_bytes()
    headers = {"Range": "bytes=0-9,1000-1009"}
    reply = client.get(f"/{PRODUCT}/rasters/class.tif", headers=headers)
    assert reply.status_code == 206
    assert reply.headers["content-type"].startswith("multipart/byteranges")
    assert whole[:10] in reply.content
    assert whole[1000:1010] in reply.content


def test_a_range_past_the_end_is_refused(client: httpx.Client, store: Path) -> None:
    size = (store / PRODUCT / "rasters" / "class.tif").stat().st_size
    headers = {"Range": f"bytes={size}-"}
    reply = client.get(f"/{PRODUCT}/rasters/class.tif", headers=headers)
    assert reply.status_code == 416
    assert reply.headers["content-range"] == f"bytes */{size}"
    assert reply.headers["access-control-allow-origin"] == "*"


def test_a_range_of_another_version_is_answered_whole(client: httpx.Client) -> None:
    url = f"/{PRODUCT}/rasters/class.tif"
    whole = client.get(url)
    same = client.get(url, headers={"Range": "bytes=0-9", "If-Range": whole.headers["etag"]})
    other = client.get(url, headers={"Range": "bytes=0-9", "If-Range": '"another"'})
    assert (same.status_code, other.status_code) == (206, 200)
    assert other.content == whole.content


@pytest.mark.parametrize("url", [f"/{PRODUCT}/item.json", "/events/spain-2019/latest.json"])
def test_an_unchanged_file_is_not_sent_again(client: httpx.Client, url: str) -> None:
    etag = client.get(url).headers["etag"]
    for held in (etag, f'"x", W/{etag}', "*"):
        reply = client.get(url, headers={"If-None-Match": held})
        assert (reply.status_code, reply.content) == (304, b"")
        assert reply.headers["etag"] == etag
    assert client.get(url, headers={"If-None-Match": '"x"'}).status_code == 200


def test_the_pointer_is_asked_for_anew_and_its_etag_follows_its_content(
    client: httpx.Client, store: Path
) -> None:
    pointer = store / "events" / "spain-2019" / "latest.json"
    before = pointer.read_text()
    first = client.get("/events/spain-2019/latest.json")
    pointer.write_text('{"product_id": "p9"}')
    second = client.get("/events/spain-2019/latest.json")
    pointer.write_text(before)
    assert first.headers["cache-control"] == "no-cache"
    assert first.headers["etag"] != second.headers["etag"]
    assert second.json() == {"product_id": "p9"}


@pytest.mark.parametrize(
    ("name", "media_type"),
    [
        ("rasters/class.tif", "image/tiff; application=geotiff; profile=cloud-optimized"),
        ("layers/observed_event.geojson", "application/geo+json"),
        ("layers.gpkg", "application/geopackage+sqlite3"),
        ("item.json", "application/json"),
    ],
)
def test_files_of_a_product_have_their_media_type_and_never_change(
    client: httpx.Client, name: str, media_type: str
) -> None:
    reply = client.head(f"/{PRODUCT}/{name}")
    assert reply.headers["content-type"] == media_type
    assert reply.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert reply.headers["accept-ranges"] == "bytes"
    assert reply.content == b""


def test_a_browser_may_ask_for_ranges_from_another_site(client: httpx.Client) -> None:
    asked = {
        "Origin": "https://map.example",
        "Access-Control-Request-Method": "GET",
        "Access-Control-Request-Headers": "range",
    }
    reply = client.options(f"/{PRODUCT}/rasters/class.tif", headers=asked)
    assert reply.status_code == 204
    assert reply.headers["access-control-allow-origin"] == "*"
    assert "Range" in reply.headers["access-control-allow-headers"]
    assert reply.headers["access-control-allow-methods"] == "GET, HEAD, OPTIONS"
    exposed = client.get(f"/{PRODUCT}/item.json").headers["access-control-expose-headers"]
    assert {"Content-Range", "ETag", "Accept-Ranges"} <= set(exposed.split(", "))


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_nothing_can_be_written(client: httpx.Client, method: str) -> None:
    assert client.request(method, f"/{PRODUCT}/item.json").status_code == 405


@pytest.mark.parametrize(
    "target",
    [
        "/../secret.json",
        "/%2e%2e/secret.json",
        "/events/%2e%2e%2f%2e%2e%2fsecret.json",
        "/events/..%5c..%5csecret.json",
        "//secret.json",
        "/%00",
        "/events/" + "a" * 4000,
        "/events/%e2%80%ae",
        "/events/%ff%fe",
        f"/{PRODUCT}/out.json",
        f"/{PRODUCT}/in.json",
        f"/{PRODUCT}/loop.json",
        f"/{PRODUCT}/item.json/",
        f"/{PRODUCT}",
        f"/{PRODUCT}/layers",
        f"/{PRODUCT}/layers/",
        "/events",
        "/events/spain-2019/products/.tmp-p2/item.json",
        "/events/spain-2019/products/%2etmp-p2/item.json",
        "/events/spain-2019/notes.txt",
        "/events/spain-2019/latest/nothing.json",
        "/events/spain-2019/latest/",
        "/events/spain-2019/latest/..%2f.tmp-p2/item.json",
        "/events/empty/latest/item.json",
        "/events/%2e%2e/latest/item.json",
    ],
)
def test_what_is_not_published_is_not_found(address: str, target: str) -> None:
    status, body = raw_get(address, target)
    assert status == 404
    assert b"secret" not in body


def test_the_stable_address_leads_to_the_current_product(client: httpx.Client) -> None:
    reply = client.get("/events/spain-2019/latest/item.json")
    assert reply.status_code == 307
    assert reply.headers["location"] == f"/{PRODUCT}/item.json"
    assert reply.headers["cache-control"] == "no-cache"
    assert client.get("/events/spain-2019/latest/item.json", follow_redirects=True).json() == {}


def test_the_index_lists_the_layers_and_escapes_names(client: httpx.Client) -> None:
    reply = client.get("/")
    assert reply.headers["content-type"] == "text/html; charset=utf-8"
    assert "script" not in reply.headers["content-security-policy"]
    assert "<script>" not in reply.text
    assert "Ebro &lt;script&gt;" in reply.text
    assert 'href="events/spain-2019/latest/layers/observed_event.geojson"' in reply.text
    assert f'href="{PRODUCT}/rasters/class.tif"' in reply.text
    assert ".tmp-p2" not in reply.text
    assert "Nothing is published for this event." in reply.text


def test_every_link_of_the_index_can_be_followed(client: httpx.Client) -> None:
    links = [part.split('"')[0] for part in client.get("/").text.split('href="')[1:]]
    assert len(links) > 4
    for link in links:
        assert client.get(f"/{link}", follow_redirects=True).status_code == 200, link


def test_a_store_without_events_has_an_index(tmp_path: Path) -> None:
    assert "No event has been mapped yet." in index_html(tmp_path)


def test_no_store_and_a_taken_port_are_told(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="it is not a folder"):
        app(tmp_path / "nowhere")
    with listen("127.0.0.1", 0) as bound:
        port = bound.getsockname()[1]
        with pytest.raises(StoreError, match=f"cannot serve at 127.0.0.1 port {port}"):
            listen("127.0.0.1", port)


def test_a_torn_pointer_hides_the_product_and_breaks_nothing(
    client: httpx.Client, store: Path
) -> None:
    pointer = store / "events" / "spain-2019" / "latest.json"
    before = pointer.read_text()
    for torn in ("", '{"product', "[]", '{"product_id": 3}', json.dumps({"product_id": "../x"})):
        pointer.write_text(torn)
        assert client.get("/events/spain-2019/latest/item.json").status_code == 404
        assert "Nothing is published" in client.get("/").text
    pointer.write_text(before)


def test_the_stable_address_follows_what_the_store_publishes(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    transport = httpx.ASGITransport(app=app(tmp_path))

    async def read_latest() -> str:
        async with httpx.AsyncClient(transport=transport, base_url="http://store") as client:
            reply = await client.get("/events/ebro/latest/summary.json", follow_redirects=True)
            return reply.text

    for product in ("p1", "p2"):
        with store.workspace("ebro", product) as workspace:
            (workspace.folder / "summary.json").write_text(product)
            assert asyncio.run(read_latest()) == {"p1": "Not Found", "p2": "p1"}[product]
            store.publish(workspace, {})
        assert asyncio.run(read_latest()) == product
