"""`sample.html`: works offline, and shows no grade of the product, so that nobody is biased."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from string import Template

PAGE = "sample.html"

_MEANING = {
    "Destroyed": "collapsed, burnt out, washed away or under water or mud for the most part; gone",
    "Damaged": "part of the walls or of the roof has fallen in, or water or mud stands all around",
    "Possibly damaged": "part of the roof covering is missing, cracks, partly burnt, water near it",
    "No visible damage": "nothing to be seen",
    "?": "the pictures do not show it: cloud, shadow, no image; never was a building",
}
"""After the joint damage scale of xBD (Gupta et al. 2019, arXiv:1911.09296, figure 2)."""


@dataclass(frozen=True)
class SampledBuilding:
    """A building of a sample."""

    number: int
    id: str
    lon: float
    lat: float
    pictures: Sequence[tuple[str, str, str]]
    """File relative to the page, phase, and when it was taken."""


def page_html(buildings: Sequence[SampledBuilding], *, event: str, product_id: str) -> str:
    """Return the page."""
    meanings = "\n".join(f"<dt>{grade}</dt><dd>{what}</dd>" for grade, what in _MEANING.items())
    return _HTML.substitute(
        event=escape(event),
        product=escape(product_id),
        count=len(buildings),
        meanings=meanings,
        entries="\n".join(map(_section, buildings)),
    )


def _section(one: SampledBuilding) -> str:
    pictures = "\n".join(
        f'<figure><img src="{file}" alt="Building {one.number} {phase} the event, outlined" '
        f'width="400" height="400" loading="lazy">'
        f"<figcaption><b>{phase.capitalize()}</b> {escape(taken)}</figcaption></figure>"
        for file, phase, taken in one.pictures
    )
    choices = "\n".join(
        f'<label><input type="radio" name="g{one.number}" value="{grade}"> {grade}</label>'
        for grade in _MEANING
    )
    return (
        f'<section data-number="{one.number}" data-id="{escape(one.id)}">\n'
        f'<h2>{one.number}</h2>\n<div class="pair">\n{pictures}\n</div>\n'
        f"<fieldset><legend>Building {one.number}</legend>\n{choices}\n</fieldset>\n"
        f'<p class="where">{escape(one.id)} · {one.lat:.6f}, {one.lon:.6f}</p>\n</section>'
    )


# The script uses old JavaScript only (no arrow functions): offices have old browsers.
_HTML = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Buildings to check: $event</title>
<style>
body { font: 16px/1.45 sans-serif; max-width: 60rem; margin: 1.5rem auto; padding: 0 1rem;
  color: #111; background: #fff }
h2 { margin: 0; font-size: 1.6rem; width: 3rem; float: left }
dt { font-weight: bold; float: left; clear: left; width: 11rem } dd { margin: 0 0 .3rem 11rem }
section { border-top: 2px solid #444; padding: .8rem 0; break-inside: avoid; overflow: hidden }
.pair { margin-left: 3rem }
figure { display: inline-block; margin: 0 .6rem .3rem 0; max-width: 48% }
img { max-width: 100%; height: auto; display: block; background: #e1e1e1 }
fieldset { margin: .2rem 0 0 3rem; border: 1px solid #888; padding: .1rem .6rem .4rem }
label { display: inline-block; padding: .35rem .9rem .35rem .2rem; cursor: pointer }
.where { margin: .2rem 0 0 3rem; font-size: .8rem; color: #555 }
#bar { position: sticky; bottom: 0; background: #fff; border-top: 2px solid #444; padding: .6rem 0 }
button { font: inherit; padding: .4rem 1rem }
@media print { #bar { display: none } }
</style>
</head>
<body>
<h1>$event: $count buildings to check</h1>
<p>Product $product. For each number, look at the outlined building before and after, and choose its
grade. If it stands elsewhere than its outline, judge the building, not the outline. You may stop
at any time: the order is random, so the first ones are a fair sample by themselves.</p>
<dl>
$meanings
</dl>
<p>Then press “Save the answers” at the foot of the page (your choices are kept in this browser
until then), or write the grades into the column <code>observed_grade</code> of
<code>sample.csv</code>, and run
<code>aftermap validate $product --answers FILE --sample FOLDER-OF-THIS-PAGE</code>.</p>
<main>
$entries
</main>
<div id="bar">
<button type="button" id="save">Save the answers</button> <span id="done"></span>
</div>
<script>
(function () {
  var key = "aftermap-sample-$product", kept = {};
  var sections = [].slice.call(document.querySelectorAll("section"));
  try { kept = JSON.parse(localStorage.getItem(key)) || {}; } catch (e) { kept = {}; }
  function count() {
    document.getElementById("done").textContent =
      document.querySelectorAll("input:checked").length + " of " + sections.length + " answered";
  }
  sections.forEach(function (section) {
    var id = section.getAttribute("data-id");
    [].slice.call(section.querySelectorAll("input")).forEach(function (input) {
      input.checked = kept[id] === input.value;
      input.addEventListener("change", function () {
        kept[id] = input.value;
        try { localStorage.setItem(key, JSON.stringify(kept)); } catch (e) { /* not kept */ }
        count();
      });
    });
  });
  document.getElementById("save").addEventListener("click", function () {
    var rows = sections.map(function (section) {
      var chosen = section.querySelector("input:checked");
      return [section.getAttribute("data-number"), section.getAttribute("data-id"),
        chosen ? chosen.value : ""].join(",");
    });
    var text = ["number,id,observed_grade"].concat(rows).join("\\r\\n") + "\\r\\n";
    var link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], {type: "text/csv"}));
    link.download = "answers.csv";
    document.body.appendChild(link);
    link.click();
    document.body.removeChild(link);
  });
  count();
})();
</script>
</body>
</html>
""")
