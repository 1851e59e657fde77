"""`local-assistants sandbox status`: how model-written code is isolated on this machine, tried and told."""

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from local_assistants.cli import exit_codes
from local_assistants.cli.data_folder import Data, named
from local_assistants.cli.program import runnable

if TYPE_CHECKING:
    from local_assistants.tools.code_interpreter.isolation.report import Attempt, Report
    from local_assistants.tools.code_interpreter.settings import Settings

app = typer.Typer(help="How model-written code is isolated.", no_args_is_help=True)


@app.callback()
def _sandbox() -> None:
    # Without a callback typer would fold the only command into the group.
    pass


SettingsFile = Annotated[
    Path | None,
    typer.Option(
        help="The server's settings file.", dir_okay=False, envvar="LOCAL_ASSISTANTS_SETTINGS"
    ),
]
"""The option."""


@app.command()
def status(
    data: Data = None,
    settings: SettingsFile = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """Try every kind of sandbox here.

    Exit code 0 when code can be isolated, 1 when it cannot, 4 when there is no interpreter to try it with.
    """
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

    Raises:
        InvalidRequest: the file cannot be understood.
    """
    from local_assistants import paths
    from local_assistants.settings_file import read_settings_file
    from local_assistants.tools.code_interpreter.settings import Settings

    settings = Settings(environment=paths.interpreter_root(), root=named(data) / "code_interpreter")
    if file is None:
        return settings
    changes: dict[str, Any] = dict(read_settings_file(file.expanduser()).code_interpreter)
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
        "bounds": report.bounds,
        "lowest_tier": settings.lowest_tier,
        "allow_unsandboxed": settings.allow_unsandboxed,
        "tiers": [
            {
                "tier": each.tier,
                "passed": each.passed,
                "excluded": each.excluded,
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
    console.print(report.verdict, markup=False)
    for about, text in report.details.items():
        console.print(runnable(f"{about}: {text}"), markup=False)
    table = Table("tier", "", "checks", box=None, pad_edge=False)
    table.add_column("what it covers, or why it cannot be used", overflow="fold")
    for each in report.attempts:
        held = f"{sum(check.passed for check in each.checks)}/{len(each.checks)}"
        told = escape(each.covers if each.passed else each.reason)
        table.add_row(each.tier, _use(each, report), held, told)
    console.print(table)
    if settings.allow_unsandboxed:
        console.print("allow_unsandboxed is set: without a sandbox, code runs all the same.")


def _use(attempt: "Attempt", report: "Report") -> str:
    if attempt.excluded:
        return "excluded by setting"
    if attempt.tier == report.tier:
        return "in use"
    return "would do" if attempt.passed else "no"
