"""What runs lean on besides libraries: the Prefect server and the shelf of models."""

import hashlib
import os
import re
from pathlib import Path

import httpx

from flows.doctor.finding import Finding
from models.errors import ModelError
from models.registry import CardRef, all_cards


def prefect_server(timeout_s: float = 3.0) -> Finding:
    """Whether the server that runs report to can be reached."""
    url = os.environ.get("PREFECT_API_URL", "").rstrip("/")
    name = "Prefect server"
    if not url:
        detail = "PREFECT_API_URL is not set: each run starts a server of its own"
        cure = "for schedules and the form: prefect server start, and set PREFECT_API_URL"
        return Finding(name, ok=True, detail=detail, cure=cure)
    shown = _without_password(url)
    cure = "start it (prefect server start), or unset PREFECT_API_URL"
    try:
        reply = httpx.get(f"{url}/health", timeout=timeout_s)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        detail = f"{shown} cannot be reached: {type(error).__name__}"
        return Finding(name, ok=False, detail=detail, cure=cure)
    if reply.status_code != httpx.codes.OK:
        detail = f"{shown} answers {reply.status_code} to /health"
        return Finding(name, ok=False, detail=detail, cure=cure)
    return Finding(name, ok=True, detail=f"{shown} answers")


def shelf(own: Path | None = None) -> Finding:
    """The models, and whether their weights are the ones of their cards."""
    try:
        refs = all_cards(own)
    except ModelError as error:
        cure = "mend or remove that model's folder"
        return Finding("models", ok=False, detail=str(error), cure=cure)
    wrong = [problem for problem in map(_weights_problem, refs) if problem]
    if wrong or not refs:
        cure = "install Aftermap again, or take card and weights from the same place"
        return Finding("models", ok=False, detail="; ".join(wrong) or "none", cure=cure)
    weighed = sum(ref.card.weights_sha256 is not None for ref in refs)
    detail = f"{len(refs)}: {', '.join(ref.card.name for ref in refs)}; {weighed} with weights"
    return Finding("models", ok=True, detail=f"{detail}, all as their cards say")


def _weights_problem(ref: CardRef) -> str | None:
    if ref.card.weights_sha256 is None:
        return None
    try:
        with ref.weights.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except ModelError as error:
        return f"{ref.card.name}: {error}"
    except OSError as error:
        return f"{ref.card.name}: {error.filename} cannot be read, {error.strerror}"
    if found == ref.card.weights_sha256:
        return None
    said = ref.card.weights_sha256
    return f"{ref.card.name}: the weights are {found[:12]}, the card says {said[:12]}"


def _without_password(url: str) -> str:
    return re.sub(r"//[^/@]*@", "//", url)
