"""Answers of a visual check: read back from a spreadsheet, and compared with the product."""

import csv
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import pyogrio
from pydantic import BaseModel, ConfigDict, ValidationError

from flows.config import RequestInvalid
from geo.store.atomic_io import replace_file, writing
from geo.store.manifest import Product
from geo.vector.schema import DAMAGE_GRA
from models.errors import SampleInvalid
from models.evaluation.accuracy import CountEstimate, Estimate, ShareEstimate, estimate, tabulate
from models.evaluation.sampling import GRADES, Design, Stratum, parse_grade

RECORD, TABLE, RESULT = "sample.json", "sample.csv", "validation.json"
COLUMNS = ("number", "id", "lon", "lat", "observed_grade")
_NEEDED = ("id", "observed_grade")


class SampleRecord(BaseModel):
    """A sample, as it was drawn."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["aftermap sample of buildings"] = "aftermap sample of buildings"
    event_id: str
    product_id: str
    design: Design
    seed: int
    strata: tuple[Stratum, ...]
    ids: tuple[str, ...]
    """Of the buildings, by their order number from 1."""


@dataclass(frozen=True)
class Validation:
    """What the answers say of a product."""

    drawn: int
    answered: int
    estimate: Estimate
    published: dict[str, int]
    """Buildings by published grade, of the whole product."""
    figures: dict[str, Any]


def published_grades(product: Product) -> dict[str, str]:
    """Return `damage_gra` by `id` of all buildings; raises RequestInvalid where there is none."""
    frame = pyogrio.read_dataframe(
        product.folder / "layers.gpkg", layer="built_up", columns=["id", "damage_gra"],
        read_geometry=False,
    )  # fmt: skip
    if frame.empty:
        raise RequestInvalid(
            f"the product {product.product_id} has no building; map the event with footprints "
            "(--buildings) to validate them"
        )
    return dict(zip(frame["id"], frame["damage_gra"], strict=True))


def validate_product(product: Product, answers: Path, sample: Path) -> Validation:
    """Compare a CSV of answers with a product; write `validation.json` into the sample's folder.

    Raises:
        RequestInvalid: where the sample is another product's, or an answer cannot be used.
        StoreError: where the result cannot be written.
    """
    record = _read_record(sample)
    graded = published_grades(product)
    if record.product_id != product.product_id:
        raise RequestInvalid(
            f"the sample was drawn from the product {record.product_id} of {record.event_id}, and "
            f"{product.product_id} of {product.event_id} was given; give the product it was drawn "
            "from, or draw a new sample"
        )
    given = read_answers(answers, record.ids)
    sizes = dict.fromkeys(DAMAGE_GRA, 0)
    for grade in graded.values():
        sizes[grade] += 1
    drawn = {name: graded[name] for name in record.ids}
    found = estimate(tabulate(drawn, given, sizes=sizes, design=record.design))
    figures = {
        "event": record.event_id,
        "product_id": record.product_id,
        "sample": {
            "design": record.design, "seed": record.seed, "drawn": len(record.ids),
            "answered": len(given),
        },
        "published": sizes,
        **asdict(found),
        "published_grades": DAMAGE_GRA,
        "observed_grades": GRADES,
    }  # fmt: skip
    text = json.dumps(figures, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    with writing(sample / RESULT):
        replace_file(sample / RESULT, text.encode())
    return Validation(len(record.ids), len(given), found, sizes, figures)


def _read_record(folder: Path) -> SampleRecord:
    path = folder / RECORD
    if not path.is_file():
        raise RequestInvalid(f"{folder} has no {RECORD}; give the sample's folder with --sample")
    try:
        return SampleRecord.model_validate_json(path.read_bytes())
    except ValidationError as error:
        where = ".".join(map(str, error.errors()[0]["loc"])) or "the whole"
        raise RequestInvalid(
            f"{path} is not as it was written ({where}: {error.errors()[0]['msg']}); draw again"
        ) from error


def read_answers(path: Path, ids: Sequence[str]) -> dict[str, str]:
    """Return grade by building id of a CSV file; without ?, empty ones and missing rows."""
    grades: dict[str, str] = {}
    lines: dict[str, int] = {}
    drawn = set(ids)
    for line, name, word in _rows(path):
        if name not in drawn:
            raise RequestInvalid(
                f"{path} line {line}: {name!r} is no building of this sample, whose first is "
                f"{ids[0]!r}; give the answers to this sample, with its column id unchanged"
            )
        if name in lines:
            raise RequestInvalid(
                f"{path} line {line}: {name!r} was answered in line {lines[name]} already; keep one"
            )
        lines[name] = line
        try:
            grade = parse_grade(word)
        except SampleInvalid as error:
            raise RequestInvalid(f"{path} line {line}: {error}") from error
        if grade is not None:
            grades[name] = grade
    if not grades:
        raise RequestInvalid(
            f"{path} answers for none of the {len(ids)} buildings; write grades into the column "
            f"{COLUMNS[-1]}"
        )
    return grades


def _rows(path: Path) -> Iterator[tuple[int, str, str]]:
    """Yield line, id and grade of every row."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise RequestInvalid(f"the answers {path} cannot be read: {error.strerror}") from error
    if content.startswith(b"PK"):
        raise RequestInvalid(f"{path} is a workbook, not text; save it as CSV")
    utf16 = content.startswith((b"\xff\xfe", b"\xfe\xff"))
    # Ids and grades are plain letters: other columns may be in any encoding.
    text = content.decode("utf-16" if utf16 else "utf-8-sig", errors="replace")
    lines = text.splitlines()
    head = lines[0] if lines else ""
    reader = csv.DictReader(lines, delimiter=max(",;\t", key=head.count), restval="")
    names = [name.strip().casefold() for name in reader.fieldnames or ()]
    if missing := [name for name in _NEEDED if names.count(name) != 1]:
        raise RequestInvalid(
            f"{path} is no sample with answers: its first line is {head.strip()[:60]!r}, without "
            f"one column {' and one '.join(missing)}; give sample.csv, filled in"
        )
    reader.fieldnames = names
    for row in reader:
        if row["id"].strip():
            yield reader.line_num, row["id"].strip(), row[_NEEDED[1]]


Row = dict[str, object]


def validation_text(validation: Validation) -> str:
    """Return the result in a few sentences."""
    found, drawn, answered = validation.estimate, validation.drawn, validation.answered
    damaged, agreement = found.all_buildings.damaged, found.agreement
    lines = [
        f"{answered} of the {drawn} buildings that were drawn have an answer; {drawn - answered} "
        "(? or empty) count like the others of their published grade.",
        f"Damaged or destroyed, of all buildings: {_number(damaged.estimate)} of "
        f"{found.all_buildings.buildings:,} (95 % interval {_ends(damaged)}).",
    ]
    if damaged.estimate is None:
        lines.append(
            "Some published grades have no answer: the number cannot be estimated, and the "
            "interval covers both that none and that all of their buildings are damaged."
        )
    if found.graded_buildings.buildings:
        lines.append(
            f"Accuracy of the grades {_share(agreement.accuracy)}, macro F1 "
            f"{_score(agreement.macro_f1)}; of damaged or not {_share(agreement.accuracy_damaged)}."
        )
    else:
        lines.append("The product grades no building: there is no accuracy.")
    return "\n".join(lines)


def count_rows(validation: Validation) -> list[Row]:
    """Return a row a grade: how many buildings are published with it, and how many have it."""
    return [
        {
            "grade": grade,
            "published": validation.published[grade],
            "estimated": _number(amount.estimate),
            "95 % interval": _ends(amount),
        }
        for grade, amount in validation.estimate.all_buildings.by_grade.items()
    ]


def confusion_rows(validation: Validation) -> list[Row]:
    """Return a row a published grade: how many answers of each observed grade."""
    rows = zip(DAMAGE_GRA, validation.estimate.confusion_counted, strict=True)
    return [
        {"published \\ observed": published, **dict(zip(GRADES, counts, strict=True))}
        for published, counts in rows
        if validation.published[published]
    ]


def _ends(amount: CountEstimate) -> str:
    return f"{amount.low:,} to {amount.high:,}"


def _share(share: ShareEstimate) -> str:
    return f"{_score(share.estimate)} ({share.low:.3f} to {share.high:.3f})"


def _number(value: float | None) -> str:
    return "not known" if value is None else f"{value:,.0f}"


def _score(value: float | None) -> str:
    return "not known" if value is None else f"{value:.3f}"
