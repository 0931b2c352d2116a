"""Evaluate: answers against the product that their sample was drawn from."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from flows.validation.answers import Answers, read_answers
from flows.validation.buildings import published_grades
from flows.validation.record import SampleRecord, read_record, require_same
from geo.durable import replace_file, writing
from geo.manifest import Product
from geo.schema import DAMAGE_GRA
from models.validation import Estimate, estimate, tabulate
from models.validation.grades import GRADES

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
