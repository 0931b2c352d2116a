"""The answers of the eye: `sample.csv` as it is handed out, and as spreadsheets give it back."""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from flows.errors import RequestInvalid
from models.errors import SampleInvalid
from models.validation import seen_grade

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
            grade = seen_grade(word)
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
