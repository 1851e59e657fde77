"""`local-assistants doctor`: what is there, what is missing, and the command that mends it."""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from local_assistants.cli import exit_codes
from local_assistants.cli.data_folder import Data, named
from local_assistants.cli.program import runnable
from local_assistants.cli.sandbox import SettingsFile

if TYPE_CHECKING:
    from local_assistants.cli.checks import Check


def doctor(
    data: Data = None,
    settings: SettingsFile = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """Look at this machine and say what is missing; exit code 1 when something needed is."""
    from local_assistants.cli.checks import every_check

    checks = list(every_check(named(data), settings))
    if as_json:
        typer.echo(json.dumps([asdict(check) for check in checks], indent=2))
    else:
        _show(checks)
    if any(check.needed and not check.ok for check in checks):
        raise typer.Exit(exit_codes.CHECK_FAILED)


def _show(checks: "list[Check]") -> None:
    from rich.markup import escape
    from rich.table import Table

    from local_assistants.cli.output import stdout

    table = Table("", "what", box=None, pad_edge=False)
    table.add_column("seen", overflow="fold")
    for check in checks:
        table.add_row(_verdict(check), check.name, escape(runnable(check.detail)))
    stdout().print(table)
    for check in checks:
        if not check.ok and check.mend and (check.needed or check.name != "compiler"):
            stdout().print(runnable(f"{check.name}: {check.mend}"), markup=False)


def _verdict(check: "Check") -> str:
    if check.ok:
        return "[green]ok[/]"
    return "[red]missing[/]" if check.needed else "[yellow]advice[/]"
