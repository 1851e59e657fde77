"""`local-assistants sandbox status`: how model-written code is isolated on this machine, tried and told."""

import asyncio
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from local_assistants.cli import exit_codes

if TYPE_CHECKING:
    from local_assistants.tools.code_interpreter.isolation.probe import Report
    from local_assistants.tools.code_interpreter.settings import Settings

app = typer.Typer(help="How model-written code is isolated.", no_args_is_help=True)


@app.callback()
def _sandbox() -> None:
    # Without a callback typer would fold the only command into the group.
    pass


@app.command()
def status(
    data: Annotated[
        Path | None, typer.Option(help="The data folder that the server uses.", file_okay=False)
    ] = None,
    settings: Annotated[
        Path | None, typer.Option(help="The server's settings file.", dir_okay=False)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """Try every kind of sandbox here; exit code 1 when code cannot be isolated."""
    from local_assistants.tools.code_interpreter import environment, selftest

    wanted = code_settings(data, settings)
    found = environment.find(wanted.environment)
    if found is None:
        raise _no_interpreter(wanted)
    report = asyncio.run(selftest.survey(wanted, found, every=True))
    if as_json:
        typer.echo(json.dumps(_told(report, wanted), indent=2))
    else:
        _show(report, wanted)
    if report.sandbox is None:
        raise typer.Exit(exit_codes.CHECK_FAILED)


def code_settings(data: Path | None = None, file: Path | None = None) -> "Settings":
    """The code interpreter's settings as a server with this data folder and settings file has them.

    Without a file, it is the one that the environment names, if any.

    Raises:
        InvalidRequest: the file cannot be understood.
    """
    from local_assistants import paths
    from local_assistants.settings_file import read_settings_file
    from local_assistants.tools.code_interpreter.settings import Settings

    root = (data or paths.data_root()) / "code_interpreter"
    settings = Settings(environment=paths.interpreter_root(), root=root)
    named = file or os.environ.get("LOCAL_ASSISTANTS_SETTINGS")
    if not named:
        return settings
    changes: dict[str, Any] = dict(read_settings_file(Path(named).expanduser()).code_interpreter)
    return replace(settings, **changes)


def _no_interpreter(settings: "Settings") -> Exception:
    from local_assistants.engine.errors import SandboxUnavailable
    from local_assistants.tools.code_interpreter import environment

    return SandboxUnavailable(
        f"there is no interpreter in {settings.environment}; {environment.INSTALL}"
    )


def _told(report: "Report", settings: "Settings") -> dict[str, Any]:
    return {
        "tier": report.tier,
        "text": report.text,
        "mend": report.mend,
        "lowest_tier": settings.lowest_tier,
        "allow_unsandboxed": settings.allow_unsandboxed,
        "tiers": [
            {
                "tier": each.tier,
                "passed": each.passed,
                "covers": each.covers,
                "loses": each.loses,
                "reason": each.reason,
                "mend": each.mend,
                "checks": {check.name: check.passed for check in each.checks},
            }
            for each in report.attempts
        ],
    }


def _show(report: "Report", settings: "Settings") -> None:
    from rich.markup import escape
    from rich.table import Table

    from local_assistants.cli.output import stdout

    console = stdout()
    console.print(report.text, markup=False)
    table = Table("tier", "", "checks", box=None, pad_edge=False)
    table.add_column("what it covers, or why it cannot be used", overflow="fold")
    for each in report.attempts:
        used = "in use" if each.tier == report.tier else "would do" if each.passed else "no"
        held = f"{sum(check.passed for check in each.checks)}/{len(each.checks)}"
        table.add_row(each.tier, used, held, escape(each.covers if each.passed else each.reason))
    console.print(table)
    if settings.allow_unsandboxed:
        console.print("allow_unsandboxed is set: without a sandbox, code runs all the same.")
