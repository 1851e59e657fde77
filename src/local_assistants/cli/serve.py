"""`local-assistants serve`: the HTTP server in the foreground, until Ctrl-C."""

from pathlib import Path
from typing import Annotated

import typer


def serve(
    model: Annotated[
        str,
        typer.Option(
            help="Catalogue key, name of a file in a models folder, path of a GGUF, or scripted:FILE.",
            envvar="LOCAL_ASSISTANTS_MODEL",
        ),
    ] = "1.5b",
    data: Annotated[
        Path | None,
        typer.Option(help="Folder of the store, files and index.", envvar="LOCAL_ASSISTANTS_DATA"),
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(help="Port; 0 takes a free one, which is printed.", min=0, max=65535)
    ] = 8000,
) -> None:
    """Serve the Assistants API v2, in OpenAI's and in Azure's form."""
    from local_assistants import assemble, paths

    settings = assemble.Settings(model=model, data=data or paths.data_root(), host=host, port=port)
    assemble.serve(settings)
