"""Options that several commands share, each said once."""

from pathlib import Path
from typing import Annotated

import typer

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
