"""`local-assistants db check|backup|export|import`: whether a data folder is whole, and its copies.

All but `import` work beside a server that uses the folder, or without one.
"""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from local_assistants.cli import exit_codes
from local_assistants.cli.data_folder import Data, named
from local_assistants.engine.errors import AssistantsError

if TYPE_CHECKING:
    from local_assistants.storage.checking import Report
    from local_assistants.storage.exporting import Imported

app = typer.Typer(
    help="Check the data folder, back it up, write it out and take it in.", no_args_is_help=True
)

_AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
_QUIET = 2.0  # seconds before progress is shown, and between two lines of it


@app.command()
def check(
    data: Data = None,
    as_json: _AsJson = False,
    sizes_only: Annotated[
        bool, typer.Option("--sizes-only", help="Do not read the contents of files.")
    ] = False,
) -> None:
    """Look for anything that must not be, as docs/durability.md lists it; changes nothing.

    Exit code 0: all is well, 1: something is broken, 2: it cannot be checked.
    """
    from local_assistants.cli.program import runnable
    from local_assistants.storage import checking

    try:
        report = checking.check(named(data), Ticker().tick, read_files=not sizes_only)
    except AssistantsError as error:
        typer.echo(f"local-assistants: {runnable(str(error))}", err=True)
        raise typer.Exit(exit_codes.CANNOT_CHECK) from error
    if as_json:
        typer.echo(json.dumps(report.to_wire(), indent=2))
    else:
        show(report)
    if not report.ok:
        raise typer.Exit(exit_codes.CHECK_FAILED)


@app.command()
def backup(
    target: Annotated[Path, typer.Argument(help="Folder to make; it must not be there yet.")],
    data: Data = None,
    as_json: _AsJson = False,
) -> None:
    """Copy the data folder while a server writes to it, and check the copy. docs/durability.md tells how to restore.

    Exit code 1 when the copy is made and something in it is broken, as it is in the data folder.
    """
    from local_assistants.cli.data_folder import existing
    from local_assistants.cli.output import size, stdout
    from local_assistants.storage.backup import make_backup

    made = make_backup(existing(data), target.expanduser(), Ticker().tick)
    if as_json:
        typer.echo(json.dumps(made.to_wire(), indent=2))
    else:
        text = f"{made.target}: {size(made.database_bytes)} of database, {made.files} files of {size(made.file_bytes)}"
        stdout().print(f"{text}, in {made.seconds:.1f} s", markup=False)
        show(made.report)
    if not made.report.ok:
        raise typer.Exit(exit_codes.CHECK_FAILED)


@app.command()
def export(
    target: Annotated[Path, typer.Argument(help="Folder to make; it must not be there yet.")],
    data: Data = None,
    as_json: _AsJson = False,
) -> None:
    """Write the data folder out as JSON lines and files, ids kept, while a server works or not; `import` takes it back.

    Exit code 1 when the dump is made and the bytes of files are gone or damaged, in the data folder as in it.
    """
    from local_assistants.cli.data_folder import existing
    from local_assistants.cli.output import size, stdout
    from local_assistants.storage.exporting import export_folder

    made = export_folder(existing(data), target.expanduser(), Ticker().tick)
    if as_json:
        typer.echo(json.dumps(made.to_wire(), indent=2))
    else:
        files = f"{made.counts.get('files', 0)} files, {size(made.file_bytes)} of bytes"
        text = f"{made.target}: {sum(made.counts.values()):,} records, {files}, in {made.seconds:.1f} s"
        stdout().print(text, markup=False)
        for key in made.missing:
            stdout().print(f"broken  {key}: its bytes are gone or damaged", markup=False)
    if made.missing:
        raise typer.Exit(exit_codes.CHECK_FAILED)


@app.command("import")
def import_(
    source: Annotated[Path, typer.Argument(help="Folder that `export` or the dump script made.")],
    *,
    keys: Annotated[
        bool, typer.Option("--keys", help="Take API keys, too; who has one can use this server.")
    ] = False,
    project: Annotated[
        str | None, typer.Option(help="Project that everything goes to; without it as dumped.")
    ] = None,
    reindex: Annotated[
        bool, typer.Option("--reindex", help="Leave texts and vectors out; index files anew.")
    ] = False,
    keep: Annotated[
        bool, typer.Option("--keep-existing", help="Where an object differs from mine, keep mine.")
    ] = False,
    data: Data = None,
    as_json: _AsJson = False,
) -> None:
    """Take a dump into the data folder: all of it or nothing. Stop the server first."""
    from local_assistants.storage.exporting import Wanted, import_folder

    wanted = Wanted(keys, project, reindex, keep)
    made = import_folder(source.expanduser(), named(data), wanted, Ticker().tick)
    if as_json:
        typer.echo(json.dumps(made.to_wire(), indent=2))
    else:
        _show_imported(made)


def _show_imported(made: "Imported") -> None:
    from local_assistants.cli.output import stdout

    there = f"{made.same} objects were there already" + (
        f", {made.kept} differ and stay as they were" if made.kept else ""
    )
    lines = [f"{made.added:,} records imported in {made.seconds:.1f} s; {there}"]
    if made.staged.keys_left:
        lines.append(f"note: {made.staged.keys_left} API keys were left out; --keys takes them")
    lines += [f"note: {key} has no bytes in the dump" for key in made.staged.missing]
    lines += [f"note: {note}" for note in made.staged.notes]
    for line in lines:
        stdout().print(line, markup=False)


class Ticker:
    """Progress on stderr: a line every two seconds, none for what takes less. `clock` tells seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last = clock()

    def tick(self, what: str, done: int) -> None:
        """So much of `what` is done."""
        now = self._clock()
        if now - self._last < _QUIET:
            return
        self._last = now
        typer.echo(f"  {what}{f' ({done:,})' if done else ''} ...", err=True)


def show(report: "Report") -> None:
    """The findings, each invariant with its remedy, then the sum."""
    from local_assistants.cli.output import stdout

    console = stdout()
    for name in dict.fromkeys(one.invariant.name for one in report.kept):
        found = [one for one in report.kept if one.invariant.name == name]
        for one in found:
            kind = "note" if one.note else "broken"
            console.print(f"{kind}  {name}  {one.subject}: {one.seen}", markup=False)
        more = report.counts[name] + report.notes[name] - len(found)
        if more:
            console.print(f"        and {more} more", markup=False)
        console.print(f"        must hold: {found[0].invariant.holds}", markup=False)
        if any(not one.note for one in found):
            console.print(f"        to mend it: {found[0].invariant.mend}", markup=False)
    console.print(_summary(report), markup=False)


def _summary(report: "Report") -> str:
    from local_assistants.cli.output import size

    speed = report.rows / max(report.seconds, 0.001)
    seen = f"{report.rows:,} rows and {report.files:,} files, {size(report.bytes)}"
    beside = "beside a server" if report.served else "no server at work"
    verdict = "all is well" if report.ok else f"{report.counts.total()} broken"
    return f"{verdict}: {seen} in {report.seconds:.1f} s ({speed:,.0f} rows/s, {beside})"
