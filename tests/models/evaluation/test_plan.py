import pytest

from models.errors import PageInvalid
from models.evaluation.model_page import read_plan

SET = """
[[sets]]
name = "Tiles"
kind = "pairs"
folder = "tiles"
about = "Made."
groups = "a tile"
origin = "this test"
licence = "none"
"""
PLAN = 'about = "Made."\nnot_for = ["Anything."]\n' + SET


def written(folder, text):
    path = folder / "page.toml"
    path.write_text(text)
    return path


def test_a_file_of_groups_lies_relative_to_the_plan_and_images_are_hidden(tmp_path):
    groups = 'options = { groups = "../groups.csv" }\n'
    (part,) = read_plan(written(tmp_path, PLAN + groups)).sets
    assert part.options.groups == tmp_path / "../groups.csv"
    assert not part.thumbnails
    assert [subset.drop for subset in part.subsets] == [()]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (PLAN + SET, "Tiles all is there more than once"),
        (PLAN.replace('"pairs"', '"coco"'), r"page\.toml: sets\.0\.kind: "),
        (PLAN + "subsets = []\n", r"sets\.0\.subsets: "),
        (SET, "about: Field required"),
        ("about = ", "cannot be read as TOML"),
    ],
)
def test_a_wrong_plan_is_one_sentence(tmp_path, text, said):
    with pytest.raises(PageInvalid, match=said):
        read_plan(written(tmp_path, text))


def test_a_plan_that_is_not_there_is_said_so(tmp_path):
    with pytest.raises(PageInvalid, match="cannot be read"):
        read_plan(tmp_path / "page.toml")
