"""`local-assistants interpreter`: the environment that model-written code runs in, and the list it is made from."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="The code interpreter's own Python environment.", no_args_is_help=True)

_SMALL = "The set for a quick start, or every package of the hosted tool."


@app.command()
def install(
    offline: Annotated[
        Path | None,
        typer.Option(
            metavar="WHEELS",
            help="Take packages from this folder only, without a network.",
            exists=True,
            file_okay=False,
        ),
    ] = None,
    small: Annotated[bool, typer.Option("--small/--full", help=_SMALL)] = True,
) -> None:
    """Install the code interpreter's packages; an interrupted installation is taken up again."""
    from local_assistants import paths
    from local_assistants.cli.output import stderr
    from local_assistants.tools.code_interpreter import environment

    console = stderr()
    with console.status("") as spinner:

        def say(text: str) -> None:
            console.print(f"  {text}", markup=False)
            spinner.update(text)

        environment.install(paths.interpreter_root(), wheels=offline, small=small, progress=say)


@app.command()
def requirements(
    small: Annotated[bool, typer.Option("--small/--full", help=_SMALL)] = True,
) -> None:
    """Print the pinned packages, for `pip download --no-deps -d WHEELS -r FILE` where there is a network."""
    from local_assistants.tools.code_interpreter import environment

    kind: environment.Kind = "small" if small else "full"
    typer.echo(environment.requirements(kind).read_text(), nl=False)
