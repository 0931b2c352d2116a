"""The answers of the eye: `sample.csv` as it is handed out, and as spreadsheets give it back.

Evaluate: answers against the product that their sample was drawn from.

A validation in words and tables, for people.
"""

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from flows.config import RequestInvalid
from flows.review.inputs import SampleRecord, published_grades, read_record, require_same
from geo.store.atomic_io import replace_file, writing
from geo.store.manifest import Product
from geo.vector.schema import DAMAGE_GRA
from models.errors import SampleInvalid
from models.evaluation.accuracy import (
    BuildingCounts,
    CountEstimate,
    Estimate,
    GradeAccuracy,
    ShareEstimate,
    estimate,
    tabulate,
)
from models.evaluation.sample_design import GRADES, parse_grade

COLUMNS = ("number", "id", "lon", "lat", "seen_grade")
_NEEDED = ("id", "seen_grade")
_MARKS = {b"PK\x03\x04": "a workbook", b"\xd0\xcf\x11\xe0": "a workbook", b"%PDF": "a PDF"}


@dataclass(frozen=True)
class Answers:
    """What the eye said."""

    seen: Mapping[str, str]
    """Grade in the words of Copernicus EMS, by building id."""
    untold: int
    """Buildings of the sample with ?, with nothing, or without a row."""


def blank_csv(rows: Sequence[tuple[int, str, float, float]]) -> str:
    """Return the file to fill in.

    Args:
        rows: order number, building id, longitude and latitude.
    """
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow(COLUMNS)
    writer.writerows(
        (number, name, f"{lon:.6f}", f"{lat:.6f}", "") for number, name, lon, lat in rows
    )
    return out.getvalue()


def read_answers(path: Path, ids: Sequence[str]) -> Answers:
    """Return the answers in a CSV file, as Excel, LibreOffice or the page write it.

    Commas, semicolons and tabs part the columns; UTF-8 and UTF-16, with or without a mark at
    the start; any ends of lines. Columns may stand in any order, and others beside them.

    Args:
        path: the file.
        ids: of the buildings that were drawn.

    Raises:
        RequestInvalid: where it is no such file, or an answer cannot be used.
    """
    seen: dict[str, str] = {}
    told: dict[str, int] = {}
    drawn = set(ids)
    for line, name, word in _rows(path):
        if name not in drawn:
            raise RequestInvalid(
                f"{path} line {line}: {name!r} is no building of this sample, whose first is "
                f"{ids[0]!r}; give the answers to this sample, with its column id as it was"
            )
        if name in told:
            raise RequestInvalid(
                f"{path} line {line}: {name!r} was answered in line {told[name]} already; keep one"
            )
        told[name] = line
        try:
            grade = parse_grade(word)
        except SampleInvalid as error:
            raise RequestInvalid(f"{path} line {line}: {error}") from error
        if grade is not None:
            seen[name] = grade
    if not seen:
        raise RequestInvalid(
            f"{path} answers for none of the {len(ids)} buildings; write grades into the column "
            f"{COLUMNS[-1]}"
        )
    return Answers(seen, len(ids) - len(seen))


def _rows(path: Path) -> Iterator[tuple[int, str, str]]:
    """Yield line, id and word of every row that is not empty."""
    text = _text(path)
    head = text.partition("\n")[0]
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=head.count))
    try:
        (_, first), *rows = [(reader.line_num, row) for row in reader] or [(1, [])]
    except csv.Error as error:
        raise RequestInvalid(f"{path} cannot be read as CSV ({error}); save it as CSV") from error
    names = [name.strip().casefold() for name in first]
    if missing := [name for name in _NEEDED if names.count(name) != 1]:
        raise RequestInvalid(
            f"{path} is no sample with answers: its first line is {head.strip()[:60]!r}, without "
            f"one column {' and one '.join(missing)}; give sample.csv, filled in"
        )
    where = [names.index(name) for name in _NEEDED]
    for line, row in rows:
        if any(cell.strip() for cell in row):
            padded = [*row, *[""] * len(names)]
            yield line, padded[where[0]].strip(), padded[where[1]]


def _text(path: Path) -> str:
    if not path.is_file():
        raise RequestInvalid(f"there is no file of answers at {path}; check the path")
    content = path.read_bytes()
    for mark, kind in _MARKS.items():
        if content.startswith(mark):
            raise RequestInvalid(f"{path} is {kind}, not text; save it as CSV")
    utf16 = content.startswith((b"\xff\xfe", b"\xfe\xff"))
    # Ids and grades are plain letters: what else stands beside them may be in any encoding.
    text = content.decode("utf-16" if utf16 else "utf-8-sig", errors="replace")
    return text.replace("\r\n", "\n").replace("\r", "\n")


RESULT = "validation.json"


@dataclass(frozen=True)
class Validation:
    """What the eye says of a product."""

    record: SampleRecord
    answers: Answers
    estimate: Estimate
    published: dict[str, int]
    """Buildings by published grade, of the whole product."""

    def as_json(self) -> dict[str, Any]:
        """Return it as plain numbers."""
        record, answers = self.record, self.answers
        return {
            "event": record.event_id,
            "product_id": record.product_id,
            "sample": {
                "design": record.design,
                "seed": record.seed,
                "drawn": len(record.ids),
                "answered": len(answers.seen),
                "not_told": answers.untold,
            },
            "published": self.published,
            **asdict(self.estimate),
            "published_grades": DAMAGE_GRA,
            "seen_grades": GRADES,
        }


def evaluate_answers(product: Product, answers: Path, sample: Path) -> Validation:
    """Read answers back, and write `validation.json` beside the sample.

    Args:
        product: that the sample was drawn from; it stays as it is.
        answers: CSV.
        sample: folder of the sample.

    Raises:
        RequestInvalid: where the sample is another product's, or an answer cannot be used.
        StoreError: where the result cannot be written.
    """
    record = read_record(sample)
    graded = published_grades(product)
    require_same(record, product, graded)
    told = read_answers(answers, record.ids)
    sizes = dict.fromkeys(DAMAGE_GRA, 0)
    for grade in graded.values():
        sizes[grade] += 1
    drawn = {name: graded[name] for name in record.ids}
    table = tabulate(drawn, told.seen, sizes=sizes, design=record.design)
    validation = Validation(record, told, estimate(table), sizes)
    text = json.dumps(validation.as_json(), indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    with writing(sample / RESULT):
        replace_file(sample / RESULT, text.encode())
    return validation


Row = dict[str, object]


def headline(validation: Validation) -> str:
    """Return what was found, in a few sentences."""
    found, answers = validation.estimate, validation.answers
    whole, graded = found.all_buildings, found.graded_buildings
    lines = [
        f"{len(answers.seen)} of the {len(validation.record.ids)} buildings that were drawn are "
        f"answered; {answers.untold} are left out (? or empty), as if they were like the "
        "others of their published grade.",
        _counted("of all buildings", whole),
    ]
    if 0 < graded.buildings < whole.buildings:
        lines.append(_counted("of those that the product grades", graded))
    if whole.damaged.estimate is None:
        lines.append(
            "No answer speaks for some of the buildings: there is no estimate for these, and the "
            "interval holds both that none and that all of them are damaged."
        )
    lines.append(_agreed(found.agreement, graded.buildings))
    return "\n".join(lines)


def _agreed(agreement: GradeAccuracy, graded: int) -> str:
    if graded == 0:
        return "The product grades no building: there is no accuracy."
    return (
        f"Accuracy {_share(agreement.accuracy)}, macro F1 {_figure(agreement.macro_f1)}; damaged "
        f"or not: accuracy {_share(agreement.accuracy_damaged)} (of the buildings that the "
        "product grades; of the answers alone, accuracy "
        f"{_figure(agreement.accuracy_counted)}, macro F1 {_figure(agreement.macro_f1_counted)})."
    )


def amount_rows(validation: Validation) -> list[Row]:
    """Return a row a grade: how many buildings, by the product and by the eye."""
    amounts = validation.estimate.all_buildings.by_grade
    return [
        {
            "grade": grade,
            "in the product": validation.published[grade],
            "by eye": _number(amounts[grade].estimate) if grade in amounts else "",
            "95 % interval": _ends(amounts[grade]) if grade in amounts else "",
        }
        for grade in DAMAGE_GRA
    ]


def score_rows(validation: Validation) -> list[Row]:
    """Return a row a grade: how right it is; none where the product grades no building."""
    if validation.estimate.graded_buildings.buildings == 0:
        return []
    return [
        {
            "grade": score.grade,
            "user's accuracy": "none published"
            if score.users_accuracy is None
            else _share(score.users_accuracy),
            "producer's accuracy": _figure(score.producers_accuracy),
            "F1": _figure(score.f1),
        }
        for score in validation.estimate.agreement.grades
    ]


def confusion_rows(validation: Validation) -> list[Row]:
    """Return a row a published grade: answers, and the share of all buildings that they are."""
    found = validation.estimate
    rows = zip(DAMAGE_GRA, found.confusion_counted, found.confusion_share, strict=True)
    return [
        {
            "in the product \\ by eye": published,
            **{
                grade: f"{count} ({'?' if share is None else f'{share:.1%}'})"
                for grade, count, share in zip(GRADES, counts, shares, strict=True)
            },
        }
        for published, counts, shares in rows
        if validation.published[published]
    ]


def _counted(of: str, counts: BuildingCounts) -> str:
    return (
        f"Damaged or destroyed, {of}: {_number(counts.damaged.estimate)} of "
        f"{counts.buildings:,} (95 % interval {_ends(counts.damaged)})."
    )


def _ends(amount: CountEstimate) -> str:
    return f"{amount.low:,} to {amount.high:,}"


def _share(share: ShareEstimate) -> str:
    return f"{_figure(share.estimate)} ({share.low:.3f} to {share.high:.3f})"


def _number(value: float | None) -> str:
    return "not known" if value is None else f"{value:,.0f}"


def _figure(value: float | None) -> str:
    return "not known" if value is None else f"{value:.3f}"
