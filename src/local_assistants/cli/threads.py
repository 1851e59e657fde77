"""`local-assistants threads ls|export`: what is in a data folder, of all projects.

Reads the folder itself, beside a server that works on it or without one; changes nothing.
"""

import asyncio
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from local_assistants.cli.data_folder import Data, existing
from local_assistants.engine.errors import StorageFault

if TYPE_CHECKING:
    from local_assistants.engine.services import Export, Overview

T = TypeVar("T")

app = typer.Typer(help="List threads and write one out.", no_args_is_help=True)

_Project = Annotated[
    str | None, typer.Option(help="Only threads of this project; without it of all.")
]


def _pairs(given: list[str] | None) -> list[str]:
    for pair in given or ():
        if "=" not in pair:
            raise typer.BadParameter(f"'{pair}' is no KEY=VALUE.")
    return given or []


@app.command()
def ls(
    *,
    limit: Annotated[int, typer.Option(help="How many at most, newest first.", min=1)] = 20,
    metadata: Annotated[
        list[str] | None,
        typer.Option(
            help="Only those with this pair, KEY=VALUE; may be repeated.", callback=_pairs
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
    project: _Project = None,
    data: Data = None,
) -> None:
    """List threads with what is going on in them."""
    from local_assistants.engine.ports import PageQuery

    wanted = dict(pair.split("=", 1) for pair in metadata or ())
    query = PageQuery(limit=limit, metadata=wanted)
    page = _on(existing(data), project, lambda overview, _: overview.threads(query))
    rows = [thread.to_wire() for thread in page.data]
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
    elif not rows:
        typer.echo("No threads.")
    else:
        _show(rows)
        if page.has_more:
            typer.echo(f"There are more: --limit {limit * 5} shows some of them.", err=True)


@app.command()
def export(
    thread_id: Annotated[str, typer.Argument(metavar="ID", help="The thread's id, see `ls`.")],
    *,
    form: Annotated[
        str, typer.Option("--format", help="jsonl: a record a line; json: one object.")
    ] = "jsonl",
    output: Annotated[
        Path | None, typer.Option(help="File to write to; without it stdout.")
    ] = None,
    project: _Project = None,
    data: Data = None,
) -> None:
    """Write a thread out: messages, runs, steps, events, records of files. docs/streams.md tells the format."""
    from local_assistants.engine.services import ExportFormat

    if form not in tuple(ExportFormat):
        raise typer.BadParameter(f"'{form}' is none of: {', '.join(ExportFormat)}.")
    folder, layout = existing(data), ExportFormat(form)
    if output is None:
        target = sys.stdout.buffer
        _on(folder, project, lambda _, export: export.write(thread_id, target, layout))
        target.flush()
        return
    part = output.with_name(f"{output.name}.part")
    try:
        with part.open("wb") as file:
            _on(folder, project, lambda _, export: export.write(thread_id, file, layout))
        os.replace(part, output)
    except OSError as error:
        raise StorageFault(f"{output} cannot be written: {error.strerror}.") from error
    finally:
        part.unlink(missing_ok=True)


def _on(folder: Path, project: str | None, work: "Callable[[Overview, Export], Awaitable[T]]") -> T:
    from local_assistants import assemble

    async def main() -> T:
        async with assemble.open_threads(folder, project) as (overview, export):
            return await work(overview, export)

    return asyncio.run(main())


def _show(rows: list[dict[str, Any]]) -> None:
    from rich.markup import escape
    from rich.table import Table

    from local_assistants.cli.output import stdout

    table = Table("id", "messages", "last activity", "run", "metadata", box=None, pad_edge=False)
    for row in rows:
        pairs = ", ".join(f"{key}={value}" for key, value in row["metadata"].items())
        run = row["active_run_status"] or "-"
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(row["last_activity_at"]))
        cells = (row["id"], str(row["message_count"]), when, run, pairs or "-")
        table.add_row(*(escape(cell) for cell in cells))
    stdout().print(table)
