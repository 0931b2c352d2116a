"""`sample.json`: what was drawn of which product, so that the answers are read against it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from flows.errors import RequestInvalid
from geo.manifest import Product
from models.validation import Design, Draw, digest_of

NAME = "sample.json"


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class StratumDrawn(_Part):
    """Buildings of which a random sample was drawn."""

    name: str
    """A published grade, or all buildings."""
    buildings: Annotated[int, Field(ge=1)]
    drawn: Annotated[int, Field(ge=1)]
    chance: Annotated[float, Field(gt=0, le=1)]
    """Of each of its buildings to be drawn."""


class SampleRecord(_Part):
    """A sample, as it was drawn."""

    kind: Literal["aftermap sample of buildings"] = "aftermap sample of buildings"
    event_id: str
    product_id: str
    grades_sha256: str
    """Of the ids and published grades of all buildings of the product."""
    design: Design
    seed: int
    strata: tuple[StratumDrawn, ...]
    ids: tuple[str, ...]
    """Of the buildings, by their order number from 1."""


def record_of(
    product: Product, graded: Mapping[str, str], drawn: Draw, *, design: Design, seed: int
) -> SampleRecord:
    """Return what is written down of a draw."""  # fmt: skip
    return SampleRecord(
        event_id=product.event_id,
        product_id=product.product_id,
        grades_sha256=digest_of(graded),
        design=design,
        seed=seed,
        strata=tuple(
            StratumDrawn(
                name=one.name, buildings=one.buildings, drawn=one.drawn,
                chance=one.drawn / one.buildings,
            )
            for one in drawn.strata
        ),
        ids=drawn.ids,
    )  # fmt: skip


def read_record(folder: Path) -> SampleRecord:
    """Return what was drawn into a folder.

    Raises:
        RequestInvalid: where there is none, or it is damaged.
    """
    path = folder / NAME
    if not path.is_file():
        raise RequestInvalid(
            f"{folder} has no {NAME}; say with --sample which folder the sample was drawn into"
        )
    try:
        return SampleRecord.model_validate_json(path.read_bytes())
    except ValidationError as error:
        where = ".".join(map(str, error.errors()[0]["loc"])) or "the whole"
        raise RequestInvalid(
            f"{path} is not as it was written ({where}: {error.errors()[0]['msg']}); draw again"
        ) from error


def require_same(record: SampleRecord, product: Product, graded: Mapping[str, str]) -> None:
    """Check that a sample was drawn from a product as it is.

    Raises:
        RequestInvalid: where it was drawn from another, or the grades are others.
    """
    if record.product_id != product.product_id:
        raise RequestInvalid(
            f"the sample was drawn from the product {record.product_id} of {record.event_id}, and "
            f"{product.product_id} of {product.event_id} was given; validate the product it was "
            "drawn from, or draw a new sample"
        )
    digest = digest_of(graded)
    if record.grades_sha256 != digest:
        raise RequestInvalid(
            f"the buildings of the product {product.product_id} have other grades "
            f"({digest[:12]}) than when the sample was drawn ({record.grades_sha256[:12]}): its "
            "files were changed; put them back, or draw a new sample"
        )
