"""The architecture, read from the imports: geo <- models <- flows."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("geo", "models", "flows")

FORBIDDEN = {
    "geo": {"models", "flows", "torch", "torchvision", "prefect", "typer", "rich"},
    "models": {"flows", "prefect", "typer", "rich"},
    "flows": set[str](),
}
"""What each room must not import."""

DOORS = {
    "area_input",  # the area that somebody hands in
    "source", "image", "whole", "discover",  # imagery: which files, whole or not, their headers
    "georeference", "tile", "tiles", "photo",  # what lies beside them, tile trees, photos
    "footprints",  # buildings
    "footprint_files",
    "durable", "workspace", "manifest", "store",  # products
    "catalogue",  # STAC
}  # fmt: skip
"""Modules of geo that look at the disk; beside them geo.write, one module a format."""

ON_DISK = {
    "open", "connect", "read_text", "read_bytes", "read_file", "read_parquet", "read_dataframe",
    "write_text", "write_bytes", "write_dataframe", "to_file", "to_parquet", "mkdir", "unlink",
    "rmdir", "rmtree", "rename", "is_file", "is_dir", "exists", "glob", "rglob", "iterdir", "stat",
    "chmod", "touch", "symlink_to",
}  # fmt: skip
"""Calls that look at the disk or change it."""

NETWORK = {"socket", "http", "urllib", "httpx", "requests", "aiohttp", "obstore", "boto3", "ftplib"}

MADE = {"build", "dist", "store", "demo", "__pycache__"}
"""Top-level folders that git ignores."""


@dataclass(frozen=True)
class Module:
    """One file of a room."""

    name: str
    """Such as geo.write.cog."""
    tree: ast.Module

    @property
    def imports(self) -> Iterator[str]:
        """The packages that it imports anywhere, in functions too."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                yield from (alias.name.split(".")[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{self.name} imports relatively; name the room"
                yield str(node.module).split(".")[0]

    @property
    def calls(self) -> set[str]:
        """The last names of what it calls: `open` of both `path.open()` and `open()`."""
        called = [node.func for node in ast.walk(self.tree) if isinstance(node, ast.Call)]
        names = {func.id for func in called if isinstance(func, ast.Name)}
        return names | {func.attr for func in called if isinstance(func, ast.Attribute)}


def modules_of(room: str) -> list[Module]:
    """Return the modules of a room."""
    paths = sorted((ROOT / room).rglob("*.py"))
    assert paths
    return [
        Module(".".join(path.relative_to(ROOT).with_suffix("").parts), ast.parse(path.read_bytes()))
        for path in paths
    ]


@pytest.mark.parametrize("room", ROOMS)
def test_imports_run_one_way(room: str) -> None:
    wrong = [
        f"{module.name} imports {name}"
        for module in modules_of(room)
        for name in module.imports
        if name in FORBIDDEN[room]
    ]
    assert wrong == []


@pytest.mark.parametrize("room", ["geo", "models"])
def test_nothing_is_imported_behind_the_back_of_these_tests(room: str) -> None:
    hiding = [m.name for m in modules_of(room) if m.calls & {"import_module", "__import__"}]
    assert hiding == []


@pytest.mark.parametrize("room", ["geo", "models"])
def test_only_flows_reaches_the_network(room: str) -> None:
    reaching = [m.name for m in modules_of(room) if NETWORK.intersection(m.imports)]
    assert reaching == []


def test_files_of_geo_are_opened_at_its_doors_only() -> None:
    opening = {module.name for module in modules_of("geo") if module.calls & ON_DISK}
    inner = {name for name in opening if not name.startswith("geo.write.")}
    assert inner <= {f"geo.{name}" for name in DOORS}


def test_a_package_is_a_contents_page() -> None:
    for package in (m for room in ROOMS for m in modules_of(room) if m.name.endswith("__init__")):
        assert ast.get_docstring(package.tree), f"{package.name} does not say what it holds"
        body = package.tree.body[1:]
        names = [a.name for node in body if isinstance(node, ast.ImportFrom) for a in node.names]
        others = [ast.unparse(node) for node in body if not isinstance(node, ast.ImportFrom)]
        assert others == ([f"__all__ = {sorted(names)}"] if names else []), package.name


def test_every_folder_of_a_room_is_a_package() -> None:
    folders = {path.parent for room in ROOMS for path in (ROOT / room).rglob("*.py")}
    assert [folder for folder in folders if not (folder / "__init__.py").is_file()] == []


def test_the_house_has_the_rooms_of_its_plan_and_no_other() -> None:
    folders = {path.name for path in ROOT.iterdir() if path.is_dir()}
    made = {name for name in folders if name in MADE or name.endswith(".egg-info")}
    assert {n for n in folders - made if not n.startswith(".")} == {*ROOMS, "tests", "deploy"}


def test_the_tests_mirror_the_rooms() -> None:
    assert {*ROOMS} <= {path.name for path in (ROOT / "tests").iterdir() if path.is_dir()}
