"""The options of the command line: those that several commands share, and those of a request.

`request_options` makes an option of every field of a request model, so that a field is declared
once, in `flows.request`, and stands in the command line, the JSON file and Prefect's form alike.
"""

import inspect
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Union, get_args, get_origin

import typer
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from typer.core import TyperCommand

from flows.config import RequestInvalid
from flows.request import Request, SourceSpec, checked

Json = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress on stderr.")]
Direct = Annotated[
    bool, typer.Option("--direct", help="Run in this process, without Prefect's run history.")
]
StoreAt = Annotated[Path | None, typer.Option(help="Folder of the products; default: store.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")]
DataAt = Annotated[Path | None, typer.Option(help="Folder of the data, if not the config's.")]
ProductNamed = Annotated[str, typer.Argument(help="Id of a product, or its folder.")]
BeforeNow = Annotated[
    list[str] | None,
    typer.Option(help="Where a before source lies now, in the order of the request."),
]
AfterNow = Annotated[
    list[str] | None,
    typer.Option(help="Where an after source lies now, in the order of the request."),
]

PHASES = ("before", "after")
"""Fields that are lists of sources."""
_UNITS = ("_m2", "_m")
"""Endings of names of fields that their options do without."""
_SOURCE = "source."
"""Begins the key of an option that holds for all sources, or for those of one phase."""


class RequestCommand(TyperCommand):
    """A command whose options take several values each: --after a.tif b.tif c.tif."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Repeat an option before each further value, as click wants it."""
        several = {name for param in self.params if param.multiple for name in param.opts}
        return super().parse_args(ctx, list(_repeated(args, several)))


def _repeated(arguments: Sequence[str], several: set[str]) -> Iterator[str]:
    option, first = "", False
    for argument in arguments:
        if argument.startswith("-") and len(argument) > 1:
            name, equals, _ = argument.partition("=")
            option, first = (name if name in several else ""), not equals
        else:
            # A request is a JSON file, and imagery is none.
            if option and not first and not argument.endswith(".json"):
                yield option
            first = False
        yield argument


def request_options(
    model: type[BaseModel],
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return a decorator that gives a command an option for each field of a request model.

    The command takes what was given as its parameter `given`, fields of the model.
    """
    options = list(_options(model))
    keys = {option.name: key for key, option in options}

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        own = [p for p in inspect.signature(command).parameters.values() if p.name != "given"]

        def run(**values: Any) -> None:
            every = {key: values.pop(name) for name, key in keys.items()}
            command(given=_fields({k: v for k, v in every.items() if v is not None}), **values)

        run.__name__, run.__doc__ = command.__name__, command.__doc__
        parameters = [*own[:1], *(option for _, option in options), *own[1:]]
        keyword = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in parameters]
        run.__signature__ = inspect.Signature(keyword)  # type: ignore[attr-defined]
        run.__annotations__ = {}
        return run

    return decorate


def make_from(model: type[Request], given: Mapping[str, Any], *, otherwise: str = "") -> Request:
    """Return a request of what was given on the command line.

    Raises:
        RequestInvalid: where an option is missing or wrong.
    """
    fields = model.model_fields.items()
    if missing := [name for name, field in fields if field.is_required() and name not in given]:
        options = " and ".join(f"--{_called(name, model.model_fields[name])}" for name in missing)
        raise RequestInvalid(f"{options} must be given{otherwise}")
    return checked(lambda: model.model_validate(given))


def _options(model: type[BaseModel]) -> Iterator[tuple[str, inspect.Parameter]]:
    """Yield the options of a model, each with the key of its value."""
    for name, field in model.model_fields.items():
        if name not in PHASES:
            yield name, _option(name, field, _called(name, field), group=_extra(field, "group"))
            continue
        group = _extra(field, "group")
        yield name, _option(name, field, name, group=group, kind=list[str])
        for key, of_source in SourceSpec.model_fields.items():
            if (called := _extra(of_source, "phase_option")) is not None:
                option = f"{name}-{called}"
                about = f"Of the {name} images: "
                yield (
                    f"{_SOURCE}{name}.{key}",
                    _option(option, of_source, option, group=group, about=about),
                )
    if any(name in model.model_fields for name in PHASES):
        group = _extra(model.model_fields[PHASES[-1]], "group")
        for key, field in SourceSpec.model_fields.items():
            if key != "path" and _extra(field, "phase_option") is None:
                option = _called(key, field)
                yield f"{_SOURCE}{key}", _option(f"source_{key}", field, option, group=group)


def _option(
    name: str,
    field: FieldInfo,
    called: str,
    *,
    group: str | None,
    kind: Any = None,
    about: str = "",
) -> inspect.Parameter:
    """Return an option as a parameter of a function, which is None where it is not given."""
    kind = kind or (str if _extra(field, "one_value") else _kind(field.annotation))
    switch = f"--{called}/--no-{called}" if field.default is True else f"--{called}"
    text = field.description or ""
    help_text = f"{about}{text[0].lower()}{text[1:]}." if about else f"{text}."
    option = typer.Option(switch, help=help_text, rich_help_panel=group, show_default=False)
    return inspect.Parameter(
        name.replace("-", "_"),
        inspect.Parameter.KEYWORD_ONLY,
        default=None,
        annotation=Annotated[kind | None, option],
    )


def _kind(annotation: Any) -> Any:
    """Return what the command line reads for a field: a list, a choice, a number, or a text."""
    if get_origin(annotation) in (Union, types.UnionType):
        kinds = [kind for kind in get_args(annotation) if kind is not type(None)]
        return _kind(kinds[0]) if len(kinds) == 1 else str
    if get_origin(annotation) is Annotated:
        return _kind(get_args(annotation)[0])
    if get_origin(annotation) is tuple:
        return list[_kind(get_args(annotation)[0])]  # type: ignore[misc]
    plain = isinstance(annotation, type) and issubclass(
        annotation, bool | int | float | Path | Enum
    )
    return annotation if plain else str


def _called(name: str, field: FieldInfo) -> str:
    plain = next((name.removesuffix(unit) for unit in _UNITS if name.endswith(unit)), name)
    return _extra(field, "option") or plain.replace("_", "-")


def _extra(field: FieldInfo, key: str) -> str | None:
    extra = field.json_schema_extra
    value = extra.get(key) if isinstance(extra, Mapping) else None
    return None if value is None else str(value)


def _fields(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return fields of a request, the sources with what was given of them."""
    fields = {key: value for key, value in given.items() if not key.startswith(_SOURCE)}
    of_sources = {k.removeprefix(_SOURCE): v for k, v in given.items() if k not in fields}
    for phase in (phase for phase in PHASES if phase in fields):
        of_phase = {
            key.removeprefix(f"{phase}."): value
            for key, value in of_sources.items()
            if "." not in key or key.startswith(f"{phase}.")
        }
        fields[phase] = [{"path": path, **of_phase} for path in fields[phase]]
    return fields
