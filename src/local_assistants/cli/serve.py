"""`local-assistants serve`: the HTTP server in the foreground, until Ctrl-C."""

import errno
import ipaddress
import os
import re
import socket
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from local_assistants import catalogue
from local_assistants.engine.errors import ServerFault
from local_assistants.engine.settings import BusyPolicy, CoreSettings
from local_assistants.models_file import Isolation, ModelConfig, ModelsConfig, read_models_file
from local_assistants.settings_file import OperatorSettings, read_settings_file
from local_assistants.telemetry.logs import LogFormat, LogLevel, write_logs
from local_assistants.telemetry.run_lines import RunLines
from local_assistants.telemetry.settings import TelemetrySettings

if TYPE_CHECKING:
    from local_assistants.cli.model_lines import ModelLines

_CANNOT_LISTEN = {errno.EADDRINUSE, errno.EACCES, errno.EADDRNOTAVAIL, errno.EPERM}
_WAYS_OUT = dict.fromkeys(
    (errno.EADDRINUSE, errno.EACCES, errno.EPERM), "Another port: --port 0 takes a free one."
)


def _host_names(given: list[str] | None) -> list[str]:
    names = [name.lower().removeprefix("[").removesuffix("]") for name in given or ()]
    for name in names:
        if not _is_host(name):
            raise typer.BadParameter(f"'{name}' is no host name or address (without port).")
    return names


def _is_host(name: str) -> bool:
    if ":" not in name:
        return re.fullmatch(r"[a-z0-9._-]+", name) is not None
    try:
        return bool(ipaddress.IPv6Address(name))
    except ValueError:
        return False


def serve(
    *,
    model: Annotated[
        list[str] | None,
        typer.Option(
            help="Catalogue key, name of a file in a models folder, path of a GGUF, scripted:FILE (of a folder each "
            "file is a model), or openai_compatible:URL[,URL...][#NAME]. May be repeated: the first is the default. "
            "Without it: $LOCAL_ASSISTANTS_MODEL, else the 1.5B of the catalogue.",
        ),
    ] = None,
    models: Annotated[
        Path | None,
        typer.Option(
            help="A file that names several models and says more of each (docs/models-file.md); in place of --model.",
            envvar="LOCAL_ASSISTANTS_MODELS",
        ),
    ] = None,
    load_at_start: Annotated[
        bool,
        typer.Option(
            "--load-at-start/--load-on-demand",
            help="Load the first model and have a sandboxed interpreter ready at once, or when somebody asks for them.",
        ),
    ] = True,
    isolation: Annotated[
        Isolation,
        typer.Option(
            help="Run a GGUF in a process of its own, so that what ends llama.cpp costs a moment and not the "
            "server; or in this one.",
        ),
    ] = "process",
    model_alias: Annotated[
        list[str] | None,
        typer.Option(
            help="A further name that clients may call the first model by, such as that of their Azure deployment; "
            "may be repeated. Names of hosted models (gpt-4o and the like) are answered without.",
            envvar="LOCAL_ASSISTANTS_MODEL_ALIASES",
        ),
    ] = None,
    embedder: Annotated[
        str | None,
        typer.Option(
            help="The embedding model of file search: a GGUF of one, or a model folder, by path or by its name in a "
            "models folder. Without it: the catalogue's. A data folder keeps to one.",
            envvar="LOCAL_ASSISTANTS_EMBEDDER",
        ),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the store, files and index. Without it: $XDG_DATA_HOME/local-assistants, else "
            "~/.local/share/local-assistants.",
            envvar="LOCAL_ASSISTANTS_DATA",
        ),
    ] = None,
    host: Annotated[
        str,
        typer.Option(
            help="Address to listen on. Any but a loopback one needs a key: `keys create`.",
            envvar="LOCAL_ASSISTANTS_HOST",
        ),
    ] = "127.0.0.1",
    port: Annotated[
        int,
        typer.Option(
            help="Port; 0 takes a free one, which is printed.",
            min=0,
            max=65535,
            envvar="LOCAL_ASSISTANTS_PORT",
        ),
    ] = 8000,
    allowed_host: Annotated[
        list[str] | None,
        typer.Option(
            help="A further name that clients may call this server by, without port; may be repeated. With it, on "
            "another address than loopback, all other names are refused.",
            envvar="LOCAL_ASSISTANTS_ALLOWED_HOSTS",
            callback=_host_names,
        ),
    ] = None,
    no_auth: Annotated[
        bool,
        typer.Option(
            "--no-auth",
            help="DANGER: ask nobody for a key, wherever the server listens and whatever keys there are.",
        ),
    ] = False,
    require_beta_header: Annotated[
        bool,
        typer.Option(
            "--require-beta-header",
            help="Refuse requests without 'OpenAI-Beta: assistants=v2', as the hosted service did.",
            envvar="LOCAL_ASSISTANTS_REQUIRE_BETA_HEADER",
        ),
    ] = False,
    threads: Annotated[
        int | None,
        typer.Option(
            help="Compute threads of a model; by default the physical cores, from three on one less.",
            min=1,
        ),
    ] = None,
    context: Annotated[
        int | None,
        typer.Option(help="Tokens of context; by default what suits model and memory.", min=256),
    ] = None,
    busy_thread: Annotated[
        BusyPolicy,
        typer.Option(
            help="What becomes of a new message or run while a run holds its thread; a request may say otherwise."
        ),
    ] = BusyPolicy.REFUSE,
    busy_wait: Annotated[
        float, typer.Option(help="Seconds that a request may wait for a busy thread.", min=0)
    ] = 60.0,
    drain_seconds: Annotated[
        float,
        typer.Option(
            help="Seconds that runs at work may take to end when the server is told to stop. What is unfinished then "
            "goes on at the next start. A second Ctrl-C or SIGTERM ends the server at once.",
            min=0,
            envvar="LOCAL_ASSISTANTS_DRAIN_SECONDS",
        ),
    ] = 5.0,
    allow_unsandboxed: Annotated[
        bool,
        typer.Option(
            "--allow-unsandboxed",
            help="DANGER: run code that the model writes as you, with your files and network.",
        ),
    ] = False,
    log_format: Annotated[
        LogFormat,
        typer.Option(
            help="How the log looks, on stderr: text for people, or nothing but lines of JSON, with ids of runs.",
            envvar="LOCAL_ASSISTANTS_LOG_FORMAT",
        ),
    ] = LogFormat.TEXT,
    log_level: Annotated[
        LogLevel,
        typer.Option(
            help="From which gravity on they are written; info tells of every request, run, model turn and tool call.",
            envvar="LOCAL_ASSISTANTS_LOG_LEVEL",
        ),
    ] = LogLevel.WARNING,
    settings_file: Annotated[
        Path | None,
        typer.Option(
            "--settings",
            help="A file that sets limits and switches of runs, the code interpreter and file search "
            "(docs/settings-file.md).",
            envvar="LOCAL_ASSISTANTS_SETTINGS",
        ),
    ] = None,
) -> None:
    """Serve the Assistants API v2, in OpenAI's and in Azure's form."""
    from local_assistants import assemble, paths, serving
    from local_assistants.cli.model_lines import ModelLines
    from local_assistants.cli.served import check, described

    write_logs(log_format, log_level)
    served = _served(model, models)
    check(served)
    operator = _operator(settings_file, allow_unsandboxed=allow_unsandboxed)
    settings = assemble.Settings(
        models=served,
        isolation=isolation,
        load_at_start=load_at_start,
        model_aliases=tuple(model_alias or ()),
        embedder=embedder,
        data=(data or paths.data_root()).expanduser().resolve(),
        host=host,
        port=port,
        no_auth=no_auth,
        allowed_hosts=frozenset(allowed_host or ()),
        require_beta_header=require_beta_header,
        threads=threads,
        context_tokens=context,
        allow_unsandboxed=allow_unsandboxed,
        code_interpreter=operator.code_interpreter,
        file_search=operator.file_search,
        core=CoreSettings(**operator.runs),
        **operator.store,
        telemetry=TelemetrySettings(**operator.telemetry),
        busy_thread=busy_thread,
        busy_wait=busy_wait,
        drain_seconds=drain_seconds,
    )
    try:
        if log_format is LogFormat.JSON:  # nothing but JSON on stderr; the log tells of models, too
            serving.serve(settings, typer.echo, [RunLines()])
            return
        with ModelLines() as lines:
            announce = partial(_announce, lines, described(served), settings.data)
            serving.serve(settings, announce, [lines, RunLines()])
    except OSError as error:
        if error.errno not in _CANNOT_LISTEN and not isinstance(error, socket.gaierror):
            raise
        help_ = _WAYS_OUT.get(
            error.errno or 0, "Name an address of this machine: --host 127.0.0.1."
        )
        raise ServerFault(f"Cannot listen on {host}:{port}: {error.strerror}. {help_}") from error


def _served(names: list[str] | None, file: Path | None) -> ModelsConfig:
    """The models that the command line means."""
    if names and file is not None:
        raise typer.BadParameter(
            "--model and --models exclude each other: name all models in the file."
        )
    if file is not None:
        return read_models_file(file.expanduser())
    names = names or [os.environ.get("LOCAL_ASSISTANTS_MODEL") or catalogue.DEFAULT]
    return ModelsConfig(tuple(ModelConfig(name) for name in names))


def _operator(file: Path | None, *, allow_unsandboxed: bool) -> OperatorSettings:
    """What the settings file says; the switch on the command line cannot be taken back there."""
    found = read_settings_file(file.expanduser()) if file is not None else OperatorSettings()
    if not allow_unsandboxed:
        return found
    return replace(found, code_interpreter={**found.code_interpreter, "allow_unsandboxed": True})


def _announce(lines: "ModelLines", models: str, data: Path, address: str) -> None:
    """The address alone is the first line of stdout, for programs that start a server; the rest is for people."""
    lines.wipe()
    typer.echo(address)
    typer.echo(
        f"Serving {models}; everything is kept in {data}\n"
        f"base_url for the SDK: {address}/v1, the API to look at: {address}/docs (Ctrl-C stops the server)",
        err=True,
    )
