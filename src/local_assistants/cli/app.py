"""The command tree and its one error handler.

`run` is the only entry: it turns whatever a command raises into a sentence and an exit code.
"""

import os
from collections.abc import Sequence
from typing import Annotated

import typer

from local_assistants import __version__
from local_assistants.cli import (
    db,
    doctor,
    exit_codes,
    interpreter,
    keys,
    models,
    runs,
    sandbox,
    serve,
    threads,
)
from local_assistants.cli.program import runnable
from local_assistants.engine.errors import AssistantsError

app = typer.Typer(
    name="local-assistants",
    help="The Assistants API v2 on your own machine: local models, local tools, local data.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(models.app, name="models")
app.add_typer(interpreter.app, name="interpreter")
app.add_typer(sandbox.app, name="sandbox")
app.add_typer(keys.app, name="keys")
app.add_typer(threads.app, name="threads")
app.add_typer(runs.app, name="runs")
app.add_typer(db.app, name="db")
app.command("export")(db.export)
app.command("import")(db.import_)
app.command("serve")(serve.serve)
app.command("doctor")(doctor.doctor)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"local-assistants {__version__}")
        raise typer.Exit


@app.callback()
def _top(
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version.", callback=_print_version, is_eager=True
        ),
    ] = False,
) -> None:
    pass


@app.command()
def demo(
    model: Annotated[
        str, typer.Option(help="Catalogue key, file name or path of a GGUF, or scripted:FILE.")
    ] = "1.5b",
    output: Annotated[str, typer.Option(help="Folder for what the demo makes.")] = "demo-output",
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on after the last finished chapter.")
    ] = False,
) -> None:
    """Do the product's job once, on real data, with the official SDK.

    Exit code 0 when the product did its part: files made, sources cited, functions called, the conversation kept
    over a restart. Whether the model's answers were right is checked too, and reported apart.
    """
    from local_assistants.cli import demo as story

    raise typer.Exit(story.run(model=model, output=output, resume=resume))


def run(arguments: Sequence[str]) -> int:
    """Run one command line.

    Args:
        arguments: what follows the program's name.

    Returns:
        The exit code; `exit_codes` lists them. Nothing is raised but SystemExit from argument parsing.
    """
    try:
        code = app(list(arguments), prog_name="local-assistants", standalone_mode=False)
    except AssistantsError as error:
        return _fail(str(error), exit_codes.of(error))
    except (typer.Abort, KeyboardInterrupt):
        code = exit_codes.INTERRUPTED
    except Exception as error:
        return _unexpected(error)
    if code == exit_codes.INTERRUPTED:  # typer makes Ctrl-C this code, too
        return _fail("Interrupted.", code)
    return code if isinstance(code, int) else exit_codes.DONE


def _unexpected(error: Exception) -> int:
    show = getattr(error, "show", None)  # typer's usage errors know how to show themselves
    if callable(show):
        show()
        return exit_codes.WRONG_USAGE
    if os.environ.get("LOCAL_ASSISTANTS_DEBUG"):
        raise error
    what = f"{type(error).__name__}: {error}".rstrip(": ")
    return _fail(
        f"This is a bug in local-assistants ({what}). LOCAL_ASSISTANTS_DEBUG=1 shows where.",
        exit_codes.BUG,
    )


def _fail(message: str, code: int) -> int:
    typer.echo(f"local-assistants: {runnable(message)}", err=True)
    return code
