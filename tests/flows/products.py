"""Checks that hold for every product."""

from pathlib import Path

from geo.export.formats import files_of_product


def assert_every_file_has_a_format(product: Path) -> None:
    """Check that each file of a product is of one of `FORMATS`."""
    there = {p.relative_to(product).as_posix() for p in product.rglob("*") if p.is_file()}
    assert {file.path for file in files_of_product(product)} == there
