"""`local-assistants interpreter install`: the environment that model-written code runs in."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="The code interpreter's own Python environment.", no_args_is_help=True)


@app.callback()
def _interpreter() -> None:
    # Without a callback typer would fold the only command into the group.
    pass


@app.command()
def install(
    wheels: Annotated[
        Path | None,
        typer.Option(
            help="Take packages from this folder only, without a network.",
            exists=True,
            file_okay=False,
        ),
    ] = None,
    small: Annotated[
        bool,
        typer.Option(
            "--small/--full", help="The set for a quick start, or every package of the hosted tool."
        ),
    ] = True,
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

        environment.install(paths.interpreter_root(), wheels=wheels, small=small, progress=say)
