"""The store over HTTP: files of products are cached for ever, all else is validated."""

import copy
import hashlib
import os
import re
import socket
import sys
from collections.abc import Sequence
from contextlib import suppress
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote

import uvicorn
from starlette.applications import Starlette
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import PathLike, StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.config import LOGGING_CONFIG

from geo.errors import StoreError
from geo.export.formats import ProductFile, files_of_product, media_type_of
from geo.store.manifest import read_json

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Aftermap store</title>
<style>
body {{ font: 16px/1.5 sans-serif; max-width: 50rem; margin: 2rem auto; padding: 0 1rem }}
img {{ max-width: 100%; height: auto; border: 1px solid #999 }}
</style>
</head>
<body>
<h1>Aftermap store</h1>
<p>Put an address into QGIS (Layer, Add Layer, Protocol HTTP) or into a web map. One with
<em>latest</em> in it always gives the newest product of its event; one with <em>products</em>
in it never changes. The catalogue is <a href="catalog.json">catalog.json</a> (STAC).</p>
{events}
</body>
</html>
"""


def index_html(root: Path) -> str:
    """Return the page, with every name escaped; its links are relative to the store's root."""
    events = [
        _event_html(folder)
        for folder in sorted(root.glob("events/*"))
        if folder.is_dir() and not folder.name.startswith(".")
    ]
    return _PAGE.format(events="\n".join(events) or "<p>No event has been mapped yet.</p>")


def current_product(event: Path) -> str | None:
    """Return the id of the product that `latest.json` names, or None where it names none."""
    product = (read_json(event / "latest.json") or {}).get("product_id")
    if not isinstance(product, str) or not product or "/" in product or product.startswith("."):
        return None
    return product


def _event_html(event: Path) -> str:
    title = (read_json(event / "collection.json") or {}).get("title") or event.name
    heading = f"<h2>{escape(str(title))}</h2>"
    product = current_product(event)
    if product is None:
        return f"{heading}\n<p>Nothing is published for this event.</p>"
    files = files_of_product(event / "products" / product)
    links = [(file.path, _address(event.name, product=product, file=file)) for file in files]
    rows = "\n".join(f'<li><a href="{href}">{escape(name)}</a></li>' for name, href in links)
    return f"{heading}\n<p>Product {escape(product)}</p>\n{_picture(links)}<ul>\n{rows}\n</ul>"


def _address(event: str, *, product: str, file: ProductFile) -> str:
    """Return where a file is offered: the stable address where that is safe."""
    folder = "latest" if file.format.read_whole else f"products/{product}"
    return quote(f"events/{event}/{folder}/{file.path}")


def _picture(links: list[tuple[str, str]]) -> str:
    pictures = [href for name, href in links if name == "map.png"]
    return "".join(f'<p><img src="{href}" alt="Map" loading="lazy"></p>\n' for href in pictures)


_PRODUCT_FILE = re.compile(r"events/[^/]+/products/[^/]+/(.+)")
_METHODS = "GET, HEAD, OPTIONS"

# Sent with every answer, not only where an Origin was given: an answer without them that a
# browser has cached for a year would later be refused to a web map.
_ON_ALL: dict[str, str] = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Expose-Headers": "Accept-Ranges, Content-Length, Content-Range, ETag",
    "X-Content-Type-Options": "nosniff",
}
_PREFLIGHT: dict[str, str] = {
    "Allow": _METHODS,
    "Access-Control-Allow-Methods": _METHODS,
    "Access-Control-Allow-Headers": "If-None-Match, If-Range, Range",
    "Access-Control-Max-Age": "86400",
}
_INDEX_POLICY = "default-src 'none'; img-src 'self'; style-src 'unsafe-inline'"


class StoreFiles(StaticFiles):
    """The public files of a store; starlette answers ranges, HEAD and conditional requests."""

    def get_path(self, scope: Scope) -> str:
        """Return the path as it was requested: one that has to be tidied names no file."""
        return str(scope["path"]).removeprefix(str(scope.get("root_path", ""))).removeprefix("/")

    def lookup_path(self, path: str) -> tuple[str, os.stat_result | None]:
        """Return the file; none where hidden, outside, missing or, but for products, not JSON."""
        # The name of a product that is being written starts with a dot.
        public = _PRODUCT_FILE.fullmatch(path) or path.endswith(".json")
        if not public or not _visible(path.split("/")):
            return "", None
        try:
            full, status = super().lookup_path(path)
        except OSError:
            return "", None  # a loop of links, or a name that is too long
        root = os.path.realpath(str(self.directory))
        inside = status is not None and _visible(Path(full).relative_to(root).parts)
        return (full, status) if inside else ("", None)

    def file_response(
        self, full_path: PathLike, stat_result: os.stat_result, scope: Scope, status_code: int = 200
    ) -> Response:
        """Answer with a file of a product, which never changes, or with the state of the store."""
        path = Path(full_path)
        media_type = "application/json"
        if product_file := _PRODUCT_FILE.fullmatch(self.get_path(scope)):
            media_type = media_type_of(product_file[1])
            response = super().file_response(path, stat_result, scope, status_code)
            response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
        else:
            # One read gives one version: sent in pieces, a file replaced in between could go out
            # with the length of the old one and the text of the new one.
            content = path.read_bytes()
            etag = f'"{hashlib.sha256(content).hexdigest()}"'
            response = Response(content, status_code, headers={"ETag": etag})
            if self.is_not_modified(response.headers, Headers(scope=scope)):
                response = Response(status_code=304, headers={"ETag": etag})
        if response.status_code != 304:
            response.headers["Content-Type"] = media_type
        return response


def app(store_root: Path) -> ASGIApp:
    """Return the application that serves a store; raises StoreError where it is no folder."""
    if not store_root.is_dir():
        raise StoreError(
            f"no store at {store_root}: it is not a folder; map an event into it first"
        )
    root = store_root.resolve()
    files = StoreFiles(directory=root)

    def index(request: Request) -> Response:
        return HTMLResponse(index_html(root), headers={"Content-Security-Policy": _INDEX_POLICY})

    def latest(request: Request) -> Response:
        event, name = request.path_params["event"], request.path_params["name"]
        product = current_product(root / "events" / event) if _visible([event]) else None
        target = f"events/{event}/products/{product}/{name}"
        if product is None or files.lookup_path(target)[1] is None:
            raise HTTPException(404)
        return RedirectResponse(f"{request.scope.get('root_path', '')}/{target}", status_code=307)

    def preflight(request: Request) -> Response:
        return Response(status_code=204, headers=_PREFLIGHT)

    routes = [
        Route("/", index),
        Route("/events/{event}/latest/{name:path}", latest),
        Route("/{name:path}", preflight, methods=["OPTIONS"]),
        Mount("/", files),
    ]
    return _with_headers(Starlette(routes=routes))


def listen(host: str, port: int) -> socket.socket:
    """Return a socket bound to that address, port 0: a free one; raises StoreError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except (OSError, OverflowError) as error:
        raise StoreError(
            f"cannot serve at {host} port {port}: {error}; choose another host or port"
        ) from error


def serve(store_root: Path, *, host: str = "127.0.0.1", port: int = 8765) -> None:
    """Serve until interrupted, the log on stderr; StoreError: no such folder or address."""
    config = uvicorn.Config(app(store_root), log_config=_log_to_stderr(), server_header=False)
    # An interrupt is how it is stopped.
    with listen(host, port) as bound, suppress(KeyboardInterrupt):
        shown = f"[{host}]" if ":" in host else host
        address = f"http://{shown}:{bound.getsockname()[1]}/"
        print(f"{store_root} is served at {address} until Ctrl+C", file=sys.stderr, flush=True)
        uvicorn.Server(config).run(sockets=[bound])


def _visible(parts: Sequence[str]) -> bool:
    return all(part and not part.startswith(".") and "\\" not in part for part in parts)


def _with_headers(inner: ASGIApp) -> ASGIApp:
    async def outer(scope: Scope, receive: Receive, send: Send) -> None:
        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(_ON_ALL)
                headers.setdefault("Cache-Control", "no-cache")
            await send(message)

        await inner(scope, receive, sending)

    return outer


def _log_to_stderr() -> dict[str, Any]:
    config: dict[str, Any] = copy.deepcopy(LOGGING_CONFIG)
    config["handlers"]["access"]["stream"] = "ext://sys.stderr"
    return config
