"""Markdown, and figures as people read them."""

from collections.abc import Iterable, Sequence


def duration(seconds: float) -> str:
    """Return seconds as people say them."""
    minutes = round(seconds / 60)
    if minutes < 1:
        return f"{seconds:.0f} s"
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min"


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def parts(*texts: str) -> str:
    """Return paragraphs, without the empty ones."""
    return "\n\n".join(text for text in texts if text)


def bullets(sentences: Sequence[str]) -> str:
    """Return a list."""
    return "\n".join(f"- {entry}" for entry in sentences)


def sentence(text: str) -> str:
    """Return a text that begins with a capital and ends with a full stop."""
    return f"{text[:1].upper()}{text[1:]}".rstrip(".") + "."


def plain(value: object) -> str:
    """Return a figure with three decimals."""
    return f"{value:.3f}" if isinstance(value, float) else "none"


def percent(value: object) -> str:
    """Return a share in per cent."""
    return f"{100 * value:.0f} %" if isinstance(value, float) else "none"


def images(n: int) -> str:
    """Return how many images there are."""
    return "1 image" if n == 1 else f"{n} images"
