"""`local-assistants runs ls|show|export|diff`: what runs did, read from their journals, of all projects.

Reads the data folder itself, beside a server that works on it or without one; changes nothing.
"""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from local_assistants.cli.data_folder import Data, existing

if TYPE_CHECKING:
    from local_assistants.engine.histories import Difference
    from local_assistants.engine.objects import Run
    from local_assistants.engine.services import Histories

T = TypeVar("T")

app = typer.Typer(
    help="Look into runs: their states, turns, calls and times.", no_args_is_help=True
)

_Project = Annotated[str | None, typer.Option(help="Only runs of this project; without it of all.")]
_AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
_RunId = Annotated[str, typer.Argument(metavar="RUN", help="The run's id, see `ls`.")]
_DIFFERENT = 1  # exit code of `diff`
_WIDTH = 100  # characters of a value that is shown in a line


@app.command()
def ls(
    *,
    limit: Annotated[int, typer.Option(help="How many at most, newest first.", min=1)] = 20,
    thread: Annotated[str | None, typer.Option(help="Only runs of this thread.")] = None,
    as_json: _AsJson = False,
    project: _Project = None,
    data: Data = None,
) -> None:
    """List runs."""
    from local_assistants.engine.ports import PageQuery

    where = {} if thread is None else {"thread_id": thread}
    query = PageQuery(where, limit=limit)
    page = _on(existing(data), project, lambda histories: histories.runs(query))
    if as_json:
        typer.echo(json.dumps([run.to_wire() for run in page.data], indent=2))
    elif not page.data:
        typer.echo("No runs.")
    else:
        _list(page.data)
        if page.has_more:
            typer.echo(f"There are more: --limit {limit * 5} shows some of them.", err=True)


@app.command()
def show(
    run_id: _RunId, *, as_json: _AsJson = False, project: _Project = None, data: Data = None
) -> None:
    """Show what happened in a run.

    A tree of states, turns of the model, steps and calls, with tokens and times.
    """
    from local_assistants.cli.output import stdout
    from local_assistants.cli.run_tree import tree
    from local_assistants.engine.histories import timeline

    history = _on(existing(data), project, lambda histories: histories.history(run_id))
    if as_json:
        shown = {"run": history.run.to_wire(), "timeline": timeline(history)}
        typer.echo(json.dumps(shown, indent=2))
    else:
        stdout().print(tree(history))


@app.command()
def export(run_id: _RunId, *, project: _Project = None, data: Data = None) -> None:
    """Write out everything that is kept of a run.

    A JSON record a line; docs/run-histories.md tells the format.
    """
    from local_assistants.engine.histories import to_records

    history = _on(existing(data), project, lambda histories: histories.history(run_id))
    for record in to_records(history):
        typer.echo(json.dumps(record, ensure_ascii=False))


@app.command()
def diff(
    left: Annotated[str, typer.Argument(metavar="A", help="A run's id.")],
    right: Annotated[str, typer.Argument(metavar="B", help="Another run's id.")],
    *,
    as_json: _AsJson = False,
    project: _Project = None,
    data: Data = None,
) -> None:
    """Show where two runs part.

    First things first; ids and times do not count.

    Exit code 0: they did the same, 1: they did not.
    """
    from local_assistants.engine.histories import differences

    folder = existing(data)
    one = _on(folder, project, lambda histories: histories.history(left))
    other = _on(folder, project, lambda histories: histories.history(right))
    found = differences(one, other)
    if as_json:
        rows = [{"place": d.place, "left": d.left, "right": d.right} for d in found]
        typer.echo(json.dumps(rows, indent=2))
    else:
        _show_differences(found)
    if found:
        raise typer.Exit(_DIFFERENT)


def _on(folder: Path, project: str | None, work: "Callable[[Histories], Awaitable[T]]") -> T:
    from local_assistants import assemble

    async def main() -> T:
        async with assemble.open_histories(folder, project) as histories:
            return await work(histories)

    return asyncio.run(main())


def _list(runs: "tuple[Run, ...]") -> None:
    from rich.markup import escape
    from rich.table import Table

    from local_assistants.cli.output import stdout

    table = Table(
        "id", "thread", "created", "status", "model", "tokens", "seconds", box=None, pad_edge=False
    )
    for run in runs:
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(run.created_at))
        tokens = "-" if run.usage is None else str(run.usage.total_tokens)
        end = run.completed_at or run.failed_at or run.cancelled_at
        took = "-" if end is None or run.started_at is None else str(end - run.started_at)
        cells = (run.id, run.thread_id, when, run.status.value, run.model, tokens, took)
        table.add_row(*(escape(cell) for cell in cells))
    stdout().print(table)


def _show_differences(found: "list[Difference]") -> None:
    if not found:
        typer.echo("The runs did the same.")
    for one in found:
        typer.echo(f"{one.place}\n  A: {_short(one.left)}\n  B: {_short(one.right)}")


def _short(value: Any) -> str:
    if value is None:
        return "-"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    line = " ".join(text.split())
    return line if len(line) <= _WIDTH else f"{line[: _WIDTH - 3]}..."
