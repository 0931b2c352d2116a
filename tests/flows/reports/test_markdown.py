"""The summary in words: what it says, and that a hostile name stays text."""

import json
from datetime import UTC, datetime
from html import unescape

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from pydantic import ValidationError

from flows.drawing.map import legend_numbers, map_facts
from flows.reports.markdown import summary_markdown
from flows.reports.summary import (
    ClassFound,
    ModelUsed,
    NotAnalysed,
    SceneUsed,
    Summary,
)
from flows.reports.text import dates_text, escaped, km2_text, one_line, share_text
from geo.scenes.scene import Phase
from geo.vector.hazards import Hazard

# The reader of Markdown is another implementation than ours; `html` as in Prefect's page.
READER = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
HOSTILE = "<script>alert(1)</script> | *a* _b_ [x](javascript:y) `c` &amp; \\ \x1b[31m\u202eevil"


def a_summary(**changes: object) -> Summary:
    """Return the summary of a flood, seen in part."""
    fields: dict[str, object] = {
        "event_id": "ebro-2019",
        "event_name": "Ebro flood",
        "hazard": Hazard.FLOOD,
        "product_id": "0f3a9c",
        "area_km2": 210.0,
        "observed_km2": 205.8,
        "observed_share": 0.98,
        "analysed_share": 0.93,
        "classes": (
            ClassFound(
                notation="Flooded area", layer="observed_event", features=1402, area_ha=1230.4,
                confidence_mean=86.6, below_mmu_ha=12.0,
            ),
            ClassFound(
                notation="Reference water", layer="hydrography", features=3, area_ha=98765.4
            ),
        ),
        "not_analysed": (
            NotAnalysed(reason="no imagery", area_ha=420.0, share=0.02),
            NotAnalysed(reason="cloud", area_ha=1050.0, share=0.05),
        ),
        "scenes": (
            SceneUsed(
                id="S1A_0701", phase=Phase.BEFORE, sensor="Sentinel-1 GRD",
                taken=datetime(2019, 7, 1, 17, 38, tzinfo=UTC), used_share=1,
            ),
            SceneUsed(
                id="S1A_0723", phase=Phase.AFTER, sensor="Sentinel-1 GRD", taken=None,
                used_share=0.93,
            ),
        ),
        "model": ModelUsed(
            name="sar-change", version="1.0.0", digest12="abcdef012345",
            why="It takes a pair of radar images.", calibrated=False,
        ),
        "notes": ("the before scene is 22 days older", "ndwi-water was tried"),
    }  # fmt: skip
    return Summary.model_validate({**fields, **changes})


def texts(markdown: str) -> list[str]:
    """Return the text of every run of characters that a reader sees, in order."""
    tokens = [token for block in READER.parse(markdown) for token in (block.children or [])]
    return [token.content for token in tokens if token.type == "text"]


def test_the_report_says_what_was_found_and_what_was_not_analysed() -> None:
    text = summary_markdown(a_summary(), product="/srv/store/events/ebro-2019/products/0f3a9c")
    assert "# Ebro flood" in text
    assert (
        "98.0 % of it observed and 93.0 % analysed. Draft: automatic extraction, not reviewed."
        in text
    )
    assert "| Flooded area | 12.3 | 1,402 | 87 |" in text
    assert "| Reference water | 988 | 3 |  |" in text
    assert "smaller than the minimum mapping unit: Flooded area 0.120 km²" in text
    assert "**7.0 % of the area (14.7 km²) was not analysed. It may be affected or not.**" in text
    assert text.index("| cloud | 10.5 | 5.0 % |") < text.index("| no imagery | 4.20 | 2.0 % |")
    assert "| after | S1A\\_0723 | Sentinel-1 GRD | time unknown | 93.0 % |" in text
    assert "Model sar-change 1.0.0, digest abcdef012345. It takes a pair" in text
    assert "not calibrated" in text
    assert "- The before scene is 22 days older.\n- ndwi-water was tried." in text
    assert text.endswith("\n\n    /srv/store/events/ebro-2019/products/0f3a9c\n")


def test_the_report_names_the_cloud_masks() -> None:
    def scene(name: str, clouds: str | None) -> SceneUsed:
        return SceneUsed(
            id=name, phase=Phase.AFTER, sensor="s", taken=None, used_share=1, clouds=clouds
        )

    masks = {"a": "csmask-6b-l2a 1.0.0", "b": "the provider's scl", "c": None, "d": None}
    masks["d"] = masks["a"]
    scenes = tuple(scene(name, clouds) for name, clouds in masks.items())
    text = summary_markdown(a_summary(scenes=scenes), product="store")
    sentence = "masked by csmask-6b-l2a 1.0.0 in a, d; by the provider's scl in b."
    assert f"Clouds and their shadows were {sentence}" in text
    assert "Clouds" not in summary_markdown(a_summary(), product="store")


def test_that_nothing_was_found_holds_for_what_was_analysed() -> None:
    text = summary_markdown(a_summary(classes=()), product="store")
    assert "No trace of the event was found in the part of the area that was analysed." in text


def test_without_a_model_the_event_is_not_shown() -> None:
    text = summary_markdown(a_summary(classes=(), model=None), product="store")
    assert "No model was run, so the product does not show where the event is." in text
    assert "No trace" not in text


def test_an_area_seen_whole_has_no_table_of_reasons() -> None:
    text = summary_markdown(a_summary(not_analysed=(), analysed_share=1), product="store")
    assert "The whole area was analysed." in text
    assert "because" not in text


def test_buildings_come_from_the_worst_grade_on() -> None:
    counts = {"No visible damage": 900, "Destroyed": 12, "Not Analysed": 3}
    text = summary_markdown(a_summary(buildings=counts), product="store")
    order = [text.index(grade) for grade in ("Destroyed", "No visible damage", "Not Analysed")]
    assert order == sorted(order)
    assert "| Destroyed | 12 |" in text


def test_hostile_names_stay_text_everywhere() -> None:
    scene = SceneUsed(id=HOSTILE, phase=Phase.AFTER, sensor=HOSTILE, taken=None, used_share=1)
    model = ModelUsed(name=HOSTILE, version="1", digest12="a" * 12, why=HOSTILE, calibrated=True)
    found = ClassFound(notation=HOSTILE, layer="observed_event", features=1, area_ha=1)
    summary = a_summary(
        event_name=HOSTILE, scenes=(scene,), model=model, notes=(HOSTILE,), classes=(found,)
    )
    markdown = summary_markdown(summary, product="store")
    kinds = {token.type for block in READER.parse(markdown) for token in (block.children or [])}
    assert "html_inline" not in kinds
    assert "link_open" not in kinds
    assert "code_inline" not in kinds
    assert "<script" not in READER.render(markdown)
    assert "\x1b" not in markdown
    assert "\u202e" not in markdown
    assert texts(markdown).count(one_line(HOSTILE)) == 4


@given(st.text(max_size=60))
@settings(max_examples=80, deadline=None)
def test_escaped_text_is_read_as_it_was_written(text: str) -> None:
    shown = unescape(READER.render(f"- {escaped(text)}"))
    assert " ".join(shown.split()) == " ".join(f"<ul> <li>{one_line(text)}</li> </ul>".split())


def test_the_summary_comes_back_from_its_file() -> None:
    summary = a_summary()
    text = summary.model_dump_json(indent=2)
    assert Summary.model_validate_json(text) == summary
    assert json.loads(text)["scenes"][0]["taken"] == "2019-07-01T17:38:00Z"


@pytest.mark.parametrize(
    "changes", [{"observed_share": 93}, {"area_km2": -1}, {"colour": "red"}, {"hazard": "plague"}]
)
def test_what_cannot_be_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        a_summary(**changes)


@pytest.mark.parametrize(
    ("area_ha", "text"),
    [
        (0, "0"), (0.005, "< 0.0001"), (0.4, "0.0040"), (3.14159, "0.0314"), (99.9, "0.999"),
        (123.4, "1.23"), (1234, "12.3"), (12345, "123"), (1_234_567, "12,346"),
    ],
)  # fmt: skip
def test_areas_in_words(area_ha: float, text: str) -> None:
    assert km2_text(area_ha) == text


@pytest.mark.parametrize(
    ("share", "text"),
    [(0, "0 %"), (1e-9, "< 0.1 %"), (0.0704, "7.0 %"), (0.99999, "> 99.9 %"), (1, "100 %")],
)
def test_shares_in_words_never_round_to_nothing_or_all(share: float, text: str) -> None:
    assert share_text(share) == text


def test_the_map_names_scenes_by_sensor_and_counts_many() -> None:
    tiles = tuple(
        SceneUsed(
            id=f"tile{i}", phase=Phase.AFTER, sensor="Aerial RGB",
            taken=datetime(2011, 5, 22 + i, tzinfo=UTC), used_share=0.2,
        )
        for i in range(3)
    )  # fmt: skip
    facts = map_facts(a_summary(scenes=(a_summary().scenes[0], *tiles)))
    assert facts[0] == "Before: Sentinel-1 GRD, 2019-07-01 17:38 UTC"
    assert facts[1] == "After: Aerial RGB, 3 scenes, 2011-05-22 to 2011-05-24"
    assert facts[2] == (
        "Of 210 km², 98.0 % was observed and 93.0 % analysed; not analysed: cloud 5.0 %, "
        "no imagery 2.0 %."
    )
    assert "Model: sar-change 1.0.0 (abcdef012345)" in facts


def test_the_legend_has_a_number_for_each_class_reason_and_grade() -> None:
    numbers = legend_numbers(a_summary(buildings={"Destroyed": 1200}))
    assert numbers == {
        "Area of interest": "210 km²",
        "Not analysed": "14.7 km²",
        "Flooded area": "12.3 km²",
        "Reference water": "988 km²",
        "no imagery": "4.20 km²",
        "cloud": "10.5 km²",
        "Destroyed": "1,200",
    }


def test_dates_of_scenes_in_words() -> None:
    assert dates_text([None, None]) == "date unknown"
    assert dates_text([datetime(2020, 1, 2, tzinfo=UTC), None]) == "2020-01-02, date unknown"
