"""Config files of trainings: TOML or JSON, checked, or one sentence that says what is wrong."""

import json
import tomllib
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from models.architecture import Part
from models.errors import TrainingInvalid

Config = TypeVar("Config", bound=Part)


def read_part(path: Path, kind: type[Config]) -> Config:
    """Read a file as a part; paths in it are left as they are.

    Raises:
        TrainingInvalid: where it cannot be read, or a field is wrong.
    """
    try:
        return kind.model_validate(read_fields(path))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        said = first["msg"].removeprefix("Value error, ")
        raise TrainingInvalid(f"{path}: {place}: {said}" if place else f"{path}: {said}") from error


def read_fields(path: Path) -> dict[str, Any]:
    """Return the fields of a file that ends in .json, or of TOML, unchecked.

    Raises:
        TrainingInvalid: where it cannot be read.
    """
    try:
        text = path.read_text("utf-8")
        fields = json.loads(text) if path.suffix.lower() == ".json" else tomllib.loads(text)
    except (OSError, ValueError) as error:
        raise TrainingInvalid(
            f"the config {path} cannot be read as TOML or JSON: {error}"
        ) from error
    if not isinstance(fields, dict):
        raise TrainingInvalid(f"the config {path} holds no table of fields")
    return fields
