"""geo/README.md: its table of fields is the schema."""

from geo.vector.schema import schema_markdown
from tests.pages import read


def test_the_table_of_fields_is_the_schema() -> None:
    assert schema_markdown() in read("geo/README.md")
