"""`local-assistants keys create|ls|revoke`: who may use the server, and which project they get into.

Works on the data folder, whether a server runs on it or not; a running one notices within a second.
"""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from local_assistants.cli.data_folder import Data, existing, named
from local_assistants.cli.program import runnable

if TYPE_CHECKING:
    from local_assistants.engine.objects import ApiKey
    from local_assistants.engine.services import Keys

T = TypeVar("T")

app = typer.Typer(help="Make, list and revoke API keys.", no_args_is_help=True)

_AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


@app.command()
def create(
    name: Annotated[str, typer.Option(help="Whose key it is, to recognise it by.")] = "",
    project: Annotated[
        str,
        typer.Option(help="The project that it opens; keys of one project share their objects."),
    ] = "default",
    data: Data = None,
) -> None:
    """Make a key and print it: the key alone on stdout, everything else on stderr. It is shown only now."""
    folder = named(data)
    made = _with_keys(folder, lambda keys: keys.create(name, project))
    typer.echo(made.secret)
    typer.echo(
        f"This is {made.key.id}, a key to the project '{project}' in {folder}. It is not shown again; only its hash "
        "is stored.\n"
        "Clients send it as 'Authorization: Bearer KEY' or 'api-key: KEY'. From now on a server on this folder asks "
        "every client for a key; what was made without one is in the project 'default'.",
        err=True,
    )


@app.command("list", hidden=True)  # what other tools call it
@app.command()
def ls(as_json: _AsJson = False, data: Data = None) -> None:
    """List the keys, revoked ones too; never the keys themselves."""
    folder = existing(data)
    found = _with_keys(folder, lambda keys: keys.list())
    if as_json:
        typer.echo(json.dumps([key.to_wire() for key in found], indent=2))
    elif not found:
        typer.echo(runnable(f"No keys in {folder}. Make one: local-assistants keys create"))
    else:
        _show(found)


@app.command()
def revoke(
    key_id: Annotated[str, typer.Argument(metavar="ID", help="The key's id, see `keys ls`.")],
    data: Data = None,
) -> None:
    """Take a key back for good; a running server refuses it within a second."""
    folder = existing(data)

    async def change(keys: "Keys") -> "tuple[ApiKey, bool]":
        revoked = await keys.revoke(key_id)
        return revoked, bool(await keys.active())

    revoked, more = _with_keys(folder, change)
    typer.echo(f"{revoked.id} is revoked since {_time(revoked.revoked_at)}.", err=True)
    if not more:
        typer.echo(
            "No key is left: a server on loopback asks nobody any more, any other one lets nobody in.",
            err=True,
        )


def _with_keys(folder: Path, work: "Callable[[Keys], Awaitable[T]]") -> T:
    from local_assistants import assemble

    async def main() -> T:
        async with assemble.open_keys(folder) as keys:
            return await work(keys)

    return asyncio.run(main())


def _show(keys: "Sequence[ApiKey]") -> None:
    from rich.markup import escape
    from rich.table import Table

    from local_assistants.cli.output import stdout

    table = Table("id", "key", "project", "name", "created", "revoked", box=None, pad_edge=False)
    for key in keys:
        shown = (key.id, f"...{key.ending}", key.project, key.name or "-")
        times = (_time(key.created_at), _time(key.revoked_at))
        table.add_row(*(escape(text) for text in (*shown, *times)))
    stdout().print(table)


def _time(seconds: int | None) -> str:
    """Local time, to the minute."""
    return "-" if seconds is None else time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))
