"""The options of a request are made from its fields: declared once, there."""

from pathlib import Path
from typing import Annotated, Any

import pytest
import typer
from prefect.utilities.callables import parameter_schema

from flows.cli.options import RequestCommand, request_options
from flows.learning import AdaptRequest, EvaluateRequest
from flows.request import EVENT, MapRequest, described


class WithTide(MapRequest):
    """A request with one more field."""

    tide_m: float | None = described("Tide when the image was taken, metres", None, group=EVENT)


def given(model: type[Any], *arguments: str) -> dict[str, Any]:
    """Return what a command of a request model is given."""
    app, kept = typer.Typer(add_completion=False), list[dict[str, Any]]()

    @app.command(cls=RequestCommand)
    @request_options(model)
    def command(
        request_file: Annotated[Path | None, typer.Argument()] = None, *, given: dict[str, Any]
    ) -> None:
        kept.append({**given, **({"file": request_file} if request_file else {})})

    typer.main.get_command(app).main(list(arguments), standalone_mode=False)
    return kept[0]


def test_a_field_that_is_added_is_an_option_and_stands_in_the_form(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def flow(request: WithTide) -> None: ...

    assert given(WithTide, "--tide", "1.5") == {"tide_m": 1.5}
    form = parameter_schema(flow).model_dump()["definitions"]["WithTide"]["properties"]["tide_m"]
    assert form["description"] == "Tide when the image was taken, metres"
    assert form["group"] == EVENT
    monkeypatch.setenv("COLUMNS", "200")
    app = typer.Typer()
    app.command(cls=RequestCommand)(request_options(WithTide)(lambda given: None))
    typer.main.get_command(app).main(["--help"], standalone_mode=False)
    assert "Tide when the image was taken, metres." in capsys.readouterr().out


@pytest.mark.parametrize("model", [MapRequest, AdaptRequest])
def test_what_is_said_of_all_images_and_of_those_of_a_phase(model: type[Any]) -> None:
    assert given(
        model, "--before", "a.tif", "--after", "b.tif", "--sensor", "vhr-rgb", "--source-crs",
        "EPSG:3857", "--before-date", "2023-01-02", "--after-cloud-cover", "12.5",
        "--bands", "red,green,blue",
    ) == {
        "before": [{"path": "a.tif", "sensor": "vhr-rgb", "crs": "EPSG:3857",
                    "bands": "red,green,blue", "taken": "2023-01-02"}],
        "after": [{"path": "b.tif", "sensor": "vhr-rgb", "crs": "EPSG:3857",
                   "bands": "red,green,blue", "cloud_cover": 12.5}],
    }  # fmt: skip


def test_options_are_named_without_units_and_switches_have_two_sides() -> None:
    assert given(
        MapRequest, "--resolution", "10", "--min-area", "500", "--no-domain-check",
        "--find-buildings",
    ) == {
        "resolution_m": 10, "min_area_m2": 500, "domain_check": False, "find_buildings": True,
    }  # fmt: skip
    assert given(EvaluateRequest, "--model", "a", "--model", "b", "--bands", "red,green") == {
        "models": ["a", "b"], "bands": "red,green",
    }  # fmt: skip


@pytest.mark.parametrize(
    "words",
    [
        "--after a.tif b.tif c.tif --model x",
        "--model x --after a.tif --after b.tif c.tif",
        "--after=a.tif b.tif c.tif --model x",
    ],
)
def test_an_option_takes_several_paths_as_a_glob_without_quotes_gives_them(words: str) -> None:
    paths = [{"path": f"{name}.tif"} for name in "abc"]
    assert given(MapRequest, *words.split()) == {"after": paths, "model": "x"}


def test_a_json_file_after_images_is_the_request() -> None:
    assert given(MapRequest, "--after", "a.tif", "b.tif", "request.json") == {
        "after": [{"path": "a.tif"}, {"path": "b.tif"}], "file": Path("request.json"),
    }  # fmt: skip
