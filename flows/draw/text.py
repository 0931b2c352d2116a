"""Text for a picture: which fonts, how wide it is, and where it breaks."""

import re
from typing import Any

import matplotlib.font_manager as fonts
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextToPath

DPI = 150
LINE_HEIGHT = 1.35
"""Distance of two lines in font sizes."""

# DejaVu Sans comes with matplotlib and covers Latin, Greek, Cyrillic and Arabic. A name in
# another script is drawn where the machine has a font for it.
_FURTHER_FONTS = (
    "Noto Sans", "Noto Sans CJK SC", "Noto Sans CJK JP", "Noto Sans Devanagari",
    "Noto Sans Bengali", "Noto Sans Thai", "Noto Sans Myanmar", "Noto Sans Khmer",
    "Noto Sans Sinhala", "Noto Sans Tamil", "Noto Sans Ethiopic", "Noto Sans Lao",
)  # fmt: skip

_UNIT = re.compile(r"(?<=\d) (?=%|km²)|(?<=[<>]) (?=\d)")


def style() -> dict[str, Any]:
    """Return the settings that every picture is drawn with, over matplotlib's own defaults."""
    installed = set(fonts.get_font_names())
    return {
        "font.family": ["DejaVu Sans", *(name for name in _FURTHER_FONTS if name in installed)],
        # A dollar sign in a name is a dollar sign.
        "text.parse_math": False,
        "hatch.linewidth": 0.7,
        "axes.linewidth": 0.6,
        "figure.dpi": DPI,
    }


class Ruler:
    """Measures text as it will be drawn, in pixels."""

    def __init__(self) -> None:
        self._text = TextToPath()

    def width_px(self, text: str, *, size: float, bold: bool = False) -> float:
        """Return the width of one line."""
        properties = FontProperties(size=size, weight="bold" if bold else "normal")
        width, _, _ = self._text.get_text_width_height_descent(text, properties, ismath=False)
        return float(width) * DPI / 72

    def wrapped(self, text: str, width_px: float, *, size: float, bold: bool = False) -> list[str]:
        """Return lines that are not wider; words that are, are cut.

        A number and its unit stay together.
        """
        lines: list[str] = []
        line = ""
        for word in _UNIT.sub("\u00a0", text).split(" "):
            for part in self._parts(word, width_px, size=size, bold=bold):
                longer = f"{line} {part}" if line else part
                if line and self.width_px(longer, size=size, bold=bold) > width_px:
                    lines.append(line)
                    line = part
                else:
                    line = longer
        return [*lines, line] if line else lines

    def _parts(self, word: str, width_px: float, *, size: float, bold: bool) -> list[str]:
        """Return the word, cut into pieces that fit."""
        parts = [""]
        if self.width_px(word, size=size, bold=bold) <= width_px:
            return [word]
        for character in word:
            if parts[-1] and self.width_px(parts[-1] + character, size=size, bold=bold) > width_px:
                parts.append("")
            parts[-1] += character
        return parts


def line_px(size: float) -> float:
    """Return the height of a line of that font size, pixels."""
    return size * LINE_HEIGHT * DPI / 72
