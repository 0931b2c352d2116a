"""PagePlan: which data a model is shown on, and the words that no measurement gives."""

import tomllib
from pathlib import Path
from typing import Self

from pydantic import Field, ValidationError, model_validator

from models.architecture import Part
from models.data.kinds import ALL, PICTURES, Kind, SetOptions
from models.errors import PageInvalid

PLAN_NAME = "page.toml"


class Subset(Part):
    """Some images of the data."""

    name: str = Field(description="Such as: radar, after only.")
    drop: tuple[str, ...] = Field(default=(), description="Images that the model is not given.")


class SetPlan(Part):
    """One set of labelled images, and what a reader must know of it."""

    name: str = Field(description="As its authors call it.")
    kind: Kind
    folder: str = Field(description="In the folder that holds all data.")
    split: str = Field(
        default=ALL, description="See `models.data.open_set`; left-out: what the card says."
    )
    options: SetOptions = Field(
        default=PICTURES, description="Of pairs; a file of groups lies relative to the plan."
    )
    about: str = Field(description="What it is: sentences.")
    groups: str = Field(description="What a group of tiles is here, such as: a flood event.")
    origin: str
    licence: str = Field(description="As stated there.")
    thumbnails: bool = Field(
        default=False,
        description="Whether the licence allows to show its worst images, much reduced; without, "
        "only label and answer are drawn.",
    )
    subsets: tuple[Subset, ...] = Field(
        default=(Subset(name="all images"),),
        min_length=1,
        description="Groups, calibration and worst tiles are shown of the first.",
    )


class PagePlan(Part):
    """The page of a model."""

    about: str = Field(description="What led to it: Markdown.")
    not_for: tuple[str, ...] = Field(min_length=1, description="Sentences.")
    sets: tuple[SetPlan, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _check_sets(self) -> Self:
        keys = [(entry.name, entry.split) for entry in self.sets]
        twice = sorted({key for key in keys if keys.count(key) > 1})
        if twice:
            raise ValueError(f"{' '.join(twice[0])} is there more than once")
        return self


def read_plan(path: Path) -> PagePlan:
    """Read a plan; its files of groups are taken from its folder.

    Raises:
        PageInvalid: where it cannot be read, or a field is wrong.
    """
    try:
        plan = PagePlan.model_validate(tomllib.loads(path.read_text("utf-8")))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        said = first["msg"].removeprefix("Value error, ")
        raise PageInvalid(f"{path}: {place}: {said}" if place else f"{path}: {said}") from error
    except (OSError, ValueError) as error:
        raise PageInvalid(
            f"the plan of the page {path} cannot be read as TOML: {error}; write one, "
            "see models.page.plan"
        ) from error
    return plan.model_copy(update={"sets": tuple(_at(path.parent, s) for s in plan.sets)})


def _at(folder: Path, entry: SetPlan) -> SetPlan:
    """Return a set with its file of groups, if any, taken from a folder."""
    if entry.options.groups is None:
        return entry
    there = entry.options.model_copy(update={"groups": folder / entry.options.groups})
    return entry.model_copy(update={"options": there})
