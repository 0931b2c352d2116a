"""`sample.html`: a page of before and after pictures that works without a network.

Whoever looks chooses a grade beside each building and saves the answers as CSV, or prints the
page, or writes into sample.csv. The page holds no grade of the machine, so that nobody is led.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from models.validation.grades import GRADES

_MEANING = {
    "Destroyed": "collapsed, burnt out, washed away or under water or mud for the most part; gone",
    "Damaged": "part of the walls or of the roof has fallen in, or water or mud stands all around",
    "Possibly damaged": "part of the roof covering is missing, cracks, partly burnt, water near it",
    "No visible damage": "nothing to be seen",
    "?": "the pictures do not tell: cloud, shadow, no image; never was a building",
}
"""After the joint damage scale of xBD (Gupta et al. 2019, arXiv:1911.09296, figure 2)."""


@dataclass(frozen=True)
class Shown:
    """A picture on the page."""

    file: str
    """Relative to the page."""
    phase: str
    taken: str
    seen: float


@dataclass(frozen=True)
class Entry:
    """A building on the page."""

    number: int
    id: str
    lon: float
    lat: float
    pictures: Sequence[Shown]


def page_html(entries: Sequence[Entry], *, event: str, product_id: str) -> str:
    """Return the page."""
    meanings = "\n".join(
        f"<dt>{escape(grade)}</dt><dd>{escape(what)}</dd>" for grade, what in _MEANING.items()
    )
    return _PAGE.format(
        event=escape(event),
        product=escape(product_id, quote=True),
        count=len(entries),
        meanings=meanings,
        style=_STYLE,
        script=_SCRIPT,
        entries="\n".join(_entry(entry) for entry in entries),
    )


def _entry(entry: Entry) -> str:
    pictures = "\n".join(_figure(shown, entry.number) for shown in entry.pictures)
    choices = "\n".join(_choice(grade, entry.number) for grade in (*GRADES, "?"))
    return (
        f'<section id="b{entry.number}" data-number="{entry.number}" '
        f'data-id="{escape(entry.id, quote=True)}">\n'
        f'<h2>{entry.number}</h2>\n<div class="pair">\n{pictures}\n</div>\n'
        f"<fieldset><legend>Building {entry.number}</legend>\n{choices}\n</fieldset>\n"
        f'<p class="where">{escape(entry.id)} · {entry.lat:.6f}, {entry.lon:.6f}</p>\n</section>'
    )


def _figure(shown: Shown, number: int) -> str:
    part = 0.0 < shown.seen < 0.99
    unseen = f", {1 - shown.seen:.0%} of it without an image" if part else ""
    alt = f"Building {number} {shown.phase} the event, outlined; {shown.taken}{unseen}"
    return (
        f'<figure><img src="{escape(shown.file, quote=True)}" alt="{escape(alt, quote=True)}" '
        f'width="400" height="400" loading="lazy">'
        f"<figcaption><b>{shown.phase.capitalize()}</b> {escape(shown.taken + unseen)}</figcaption>"
        "</figure>"
    )


def _choice(grade: str, number: int) -> str:
    told = escape("? cannot tell" if grade == "?" else grade)
    return (
        f'<label><input type="radio" name="g{number}" value="{escape(grade, quote=True)}"> '
        f"{told}</label>"
    )


_STYLE = """
body { font: 16px/1.45 sans-serif; max-width: 60rem; margin: 1.5rem auto; padding: 0 1rem;
  color: #111; background: #fff }
h2 { margin: 0; font-size: 1.6rem; width: 3rem; float: left }
dt { font-weight: bold; float: left; clear: left; width: 11rem } dd { margin: 0 0 .3rem 11rem }
section { border-top: 2px solid #444; padding: .8rem 0; page-break-inside: avoid;
  break-inside: avoid; overflow: hidden }
.pair { margin-left: 3rem }
figure { display: inline-block; margin: 0 .6rem .3rem 0; max-width: 48% }
img { max-width: 100%; height: auto; display: block; background: #e1e1e1 }
figcaption { font-size: .9rem }
fieldset { margin: .2rem 0 0 3rem; border: 1px solid #888; padding: .1rem .6rem .4rem }
label { display: inline-block; padding: .35rem .9rem .35rem .2rem; cursor: pointer }
.where { margin: .2rem 0 0 3rem; font-size: .8rem; color: #555 }
#bar { position: sticky; bottom: 0; background: #fff; border-top: 2px solid #444; padding: .6rem 0 }
button { font: inherit; padding: .4rem 1rem }
@media print { #bar { display: none } body { max-width: none; font-size: 12px } }
"""

# Old words only (no arrow functions, no templates): offices have old browsers.
_SCRIPT = """
(function () {
  var key = "aftermap-sample-" + document.body.getAttribute("data-product");
  var kept = {};
  var sections = document.querySelectorAll("section");
  try { kept = JSON.parse(localStorage.getItem(key)) || {}; } catch (e) { kept = {}; }
  function count() {
    var n = document.querySelectorAll("input:checked").length;
    document.getElementById("done").textContent = n + " of " + sections.length + " answered";
  }
  function each(list, act) { for (var i = 0; i < list.length; i++) { act(list[i]); } }
  each(sections, function (section) {
    var id = section.getAttribute("data-id");
    each(section.querySelectorAll("input"), function (input) {
      input.checked = kept[id] === input.value;
      input.addEventListener("change", function () {
        kept[id] = input.value;
        try { localStorage.setItem(key, JSON.stringify(kept)); } catch (e) { /* not kept */ }
        count();
      });
    });
  });
  document.getElementById("save").addEventListener("click", function () {
    var rows = ["number,id,seen_grade"];
    each(sections, function (section) {
      var chosen = section.querySelector("input:checked");
      rows.push([section.getAttribute("data-number"), section.getAttribute("data-id"),
        chosen ? chosen.value : ""].join(","));
    });
    var link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([rows.join("\\r\\n") + "\\r\\n"], {type: "text/csv"}));
    link.download = "answers.csv";
    document.body.appendChild(link);
    link.click();
    document.body.removeChild(link);
  });
  count();
})();
"""

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Buildings to check by eye: {event}</title>
<style>{style}</style>
</head>
<body data-product="{product}">
<h1>{event}: {count} buildings to check by eye</h1>
<p>Product {product}. For each number, look at the outlined building before and after, and choose
what you see. If it stands elsewhere than its outline, judge the building, not the outline. You may
stop at any time: the order is random, so the first ones are a fair sample by themselves.</p>
<dl>
{meanings}
</dl>
<p>Then press “Save the answers” at the foot of the page (your choices are kept in this browser
until then), or write the grades into the column <code>seen_grade</code> of
<code>sample.csv</code>, and run
<code>aftermap validate {product} --answers FILE --sample FOLDER-OF-THIS-PAGE</code>.</p>
<main>
{entries}
</main>
<div id="bar">
<button type="button" id="save">Save the answers</button> <span id="done"></span>
</div>
<script>{script}</script>
</body>
</html>
"""
