"""The page of a model: measured on labelled data, written so that anyone can repeat it."""

from models.page.measure import Measured, Trainings, measure
from models.page.plan import PagePlan, read_plan
from models.page.write import write_page

__all__ = [
    "Measured",
    "PagePlan",
    "Trainings",
    "measure",
    "read_plan",
    "write_page",
]
