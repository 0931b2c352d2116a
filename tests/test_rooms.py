"""The architecture, read from the imports: which folder may use which, and how large it may be."""

import ast
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("geo", "models", "flows")

FORBIDDEN = {
    "geo": {"models", "flows", "torch", "torchvision", "prefect", "typer", "rich"},
    "models": {"flows", "prefect", "typer", "rich"},
    "flows": set[str](),
}
"""What each package must not import, not even inside of a function."""

STAIRCASE = (
    "cards", "networks", "inference", "damage", "datasets", "evaluation", "training", "adaptation",
)  # fmt: skip
"""Folders of models: each uses itself and those before it."""

ENTRIES = {
    "geo": {
        "errors.py", "types.py", "synthetic.py", "scenes", "imagery", "raster", "vector", "export",
        "store",
    },
    "models": {"errors.py", "shelf", *STAIRCASE},
    "flows": {
        "config.py", "request.py", "learning.py", "cli", "mapping", "reports", "drawing", "review",
        "serving",
    },
}  # fmt: skip
"""What a reader finds in each package, beside __init__.py and README.md."""

MOST_MODULES_A_FOLDER = 12
MOST_MODULES, MOST_LINES = 130, 29_000

OPEN_FILES = {
    "geo.export.cog", "geo.export.formats", "geo.export.geojson", "geo.export.geopackage",
    "geo.imagery.dataset", "geo.imagery.georeferencing", "geo.imagery.photo",
    "geo.imagery.reader", "geo.imagery.xyz_tiles",
    "geo.raster.grid", "geo.scenes.discovery", "geo.scenes.source",
    "geo.store.atomic_io", "geo.store.manifest", "geo.store.stac", "geo.store.store",
    "geo.synthetic",
    "geo.vector.area_files", "geo.vector.buildings", "geo.vector.footprint_files",
}  # fmt: skip
"""Modules of geo that look at the disk or change it; the others compute."""

ON_DISK = {
    "open", "connect", "read_text", "read_bytes", "read_file", "read_parquet", "read_dataframe",
    "write_text", "write_bytes", "write_dataframe", "to_file", "to_parquet", "mkdir", "unlink",
    "rmdir", "rmtree", "rename", "is_file", "is_dir", "exists", "glob", "rglob", "iterdir", "stat",
    "chmod", "touch", "symlink_to",
    "open_image", "open_file",  # our own
}  # fmt: skip
"""Calls that look at the disk or change it."""

NETWORK = {"socket", "http", "urllib", "httpx", "requests", "aiohttp", "obstore", "boto3", "ftplib"}

HEAVY = {
    "torch", "numba", "prefect", "matplotlib", "geopandas", "captum", "onnxruntime",
    "segmentation_models_pytorch", "scipy.stats", "pyarrow", "pystac", "rich", "rasterio",
    "odc.geo",
}  # fmt: skip
"""Libraries that take tenths of a second to import, and more."""
LIGHT = (
    "geo.types", "geo.errors", "geo.scenes.scene", "geo.scenes.metadata", "geo.scenes.radiometry",
    "geo.store.store", "geo.store.stac", "geo.export.formats", "geo.vector.hazards",
    "models.cards.registry", "flows.request", "flows.cli.app",
)  # fmt: skip
"""Modules that every command needs to start, or to refuse a request."""

LOAD_BY_NAME = {"models.cards.architecture", "models.inference.model"}
"""Modules that import another by its name in a table or a card: detectors, classes of models."""

GENERATED = {"build", "dist", "store", "demo", "__pycache__"}
"""Top-level folders that git ignores."""


@dataclass(frozen=True)
class Module:
    """One file of a package."""

    name: str
    """Such as geo.export.cog."""
    tree: ast.Module
    lines: int

    @property
    def folder(self) -> str:
        """Such as geo.export."""
        return self.name.rpartition(".")[0]

    @property
    def base(self) -> str:
        """Such as cog."""
        return self.name.rpartition(".")[2]

    def imports(self, *, at_start: bool = False) -> Iterator[str]:
        """Yield the modules that it imports: anywhere, or only when it is imported itself.

        What it imports for type checkers alone is left out.
        """
        blocks = [n for n in self.tree.body if not ast.unparse(n).startswith("if TYPE_CHECKING:")]
        for node in blocks if at_start else (part for n in blocks for part in ast.walk(n)):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{self.name} imports relatively; name the package"
                yield str(node.module)
                yield from (f"{node.module}.{alias.name}" for alias in node.names)

    @property
    def calls(self) -> set[str]:
        """The last names of what it calls: `open` of both `path.open()` and `open()`."""
        called = [node.func for node in ast.walk(self.tree) if isinstance(node, ast.Call)]
        names = {func.id for func in called if isinstance(func, ast.Name)}
        return names | {func.attr for func in called if isinstance(func, ast.Attribute)}

    @property
    def classes(self) -> list[str]:
        """The public classes that it defines."""
        defined = [node.name for node in self.tree.body if isinstance(node, ast.ClassDef)]
        return [name for name in defined if not name.startswith("_")]


@cache
def all_modules() -> dict[str, Module]:
    """Return the modules of all packages by name."""
    found = {}
    for path in sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py")):
        name, text = ".".join(path.relative_to(ROOT).with_suffix("").parts), path.read_text()
        found[name] = Module(name, ast.parse(text), len(text.splitlines()))
    return found


def modules_of(package: str) -> list[Module]:
    """Return the modules of a package."""
    return [module for name, module in all_modules().items() if name.startswith(f"{package}.")]


@pytest.mark.parametrize("package", PACKAGES)
def test_imports_run_one_way(package: str) -> None:
    wrong = [
        f"{module.name} imports {name}"
        for module in modules_of(package)
        for name in module.imports()
        if name.split(".")[0] in FORBIDDEN[package]
    ]
    assert wrong == []


def test_folders_of_models_use_those_below_them() -> None:
    step = {f"models.{folder}": number for number, folder in enumerate(STAIRCASE)}
    wrong = [
        f"{module.name} imports {name}"
        for module in modules_of("models")
        for name in module.imports()
        if (above := step.get(".".join(name.split(".")[:2]))) is not None
        and above > step.get(module.folder, len(step))
    ]
    assert wrong == []


@pytest.mark.parametrize("folder", ["cards", "networks", "inference", "damage"])
def test_prediction_does_not_need_labelled_data(folder: str) -> None:
    wrong = [
        f"{module.name} imports {name}"
        for module in modules_of(f"models.{folder}")
        for name in module.imports()
        if name.startswith(("models.datasets", "models.training", "models.evaluation"))
    ]
    assert wrong == []


def test_no_module_imports_itself_through_others() -> None:
    modules = all_modules()
    needs = {name: {*m.imports(at_start=True)} & modules.keys() for name, m in modules.items()}
    while leaves := {name for name, needed in needs.items() if not needed & needs.keys()}:
        needs = {name: needed for name, needed in needs.items() if name not in leaves}
    assert sorted(needs) == [], "these modules are in an import cycle, or use one"


@pytest.mark.parametrize("package", ["geo", "models"])
def test_imports_are_statements_that_these_tests_can_read(package: str) -> None:
    hidden = {m.name for m in modules_of(package) if m.calls & {"import_module", "__import__"}}
    assert hidden <= LOAD_BY_NAME


@pytest.mark.parametrize("package", ["geo", "models"])
def test_only_flows_uses_the_network(package: str) -> None:
    used = [m.name for m in modules_of(package) for n in m.imports() if n.split(".")[0] in NETWORK]
    assert used == []


def test_the_modules_of_geo_that_open_files_are_listed() -> None:
    assert {module.name for module in modules_of("geo") if module.calls & ON_DISK} == OPEN_FILES


def test_a_package_is_a_contents_page() -> None:
    for package in (m for m in all_modules().values() if m.base == "__init__"):
        assert ast.get_docstring(package.tree), f"{package.name} does not say what it holds"
        body = package.tree.body[1:]
        names = [a.name for node in body if isinstance(node, ast.ImportFrom) for a in node.names]
        others = [ast.unparse(node) for node in body if not isinstance(node, ast.ImportFrom)]
        assert others == ([f"__all__ = {sorted(names)}"] if names else []), package.name


def test_every_folder_with_modules_is_a_package() -> None:
    folders = {path.parent for package in PACKAGES for path in (ROOT / package).rglob("*.py")}
    assert [folder for folder in folders if not (folder / "__init__.py").is_file()] == []


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_has_the_entries_of_its_plan(package: str) -> None:
    there = {path.name for path in (ROOT / package).iterdir()}
    assert there - {"__init__.py", "README.md", "__pycache__"} == ENTRIES[package]


def test_a_folder_holds_few_modules() -> None:
    sizes = Counter(m.folder for m in all_modules().values() if m.base != "__init__")
    assert {folder: n for folder, n in sizes.items() if n > MOST_MODULES_A_FOLDER} == {}


def test_the_packages_stay_small() -> None:
    modules = all_modules().values()
    assert sum(module.base != "__init__" for module in modules) <= MOST_MODULES
    assert sum(module.lines for module in modules) <= MOST_LINES


def test_a_file_name_has_one_meaning() -> None:
    names = Counter(m.base for m in all_modules().values() if not m.base.startswith("__"))
    assert {name for name, times in names.items() if times > 1} <= SHARED_FILE_NAMES


def test_a_class_name_has_one_meaning() -> None:
    names = Counter(name for module in all_modules().values() for name in module.classes)
    assert {name for name, times in names.items() if times > 1} <= SHARED_CLASS_NAMES


def test_what_every_command_needs_imports_fast() -> None:
    code = f"import sys, {', '.join(LIGHT)}; print(*({HEAVY} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == []


def test_the_project_has_the_folders_of_its_plan_and_no_other() -> None:
    folders = {path.name for path in ROOT.iterdir() if path.is_dir()}
    made = {name for name in folders if name in GENERATED or name.endswith(".egg-info")}
    assert {n for n in folders - made if not n.startswith(".")} == {*PACKAGES, "tests", "deploy"}


def test_the_tests_mirror_the_packages() -> None:
    for package in PACKAGES:
        folders = {path.name for path in (ROOT / "tests" / package).iterdir() if path.is_dir()}
        entries = {entry.removesuffix(".py") for entry in ENTRIES[package]}
        assert folders - {"__pycache__", "golden"} <= entries


SHARED_FILE_NAMES = {
    "adapt", "buildings", "config", "dataset", "errors", "features", "photos", "windows",
}  # fmt: skip
SHARED_CLASS_NAMES = {
    "Answer", "Buildings", "Entry", "Feature", "Field", "Finding", "Ground", "Lesson",
    "Outlines", "Pair", "Part", "Picture", "View", "Zones",
}  # fmt: skip
"""Still to be renamed."""
