"""`local-assistants models show`: what a model is, what it needs, where it would go. Loads nothing."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from local_assistants import model_store
from local_assistants.cli import exit_codes

if TYPE_CHECKING:
    from local_assistants.backends.llama_cpp.loading.inspection import ModelFacts

_EXAMPLES = (4096, 8192, 16384, 32768, 65536, 131072)

# llama.cpp's numbers of file types.
_FILE_TYPES = {
    0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 7: "Q8_0", 8: "Q5_0", 9: "Q5_1", 10: "Q2_K", 11: "Q3_K_S",
    12: "Q3_K_M", 13: "Q3_K_L", 14: "Q4_K_S", 15: "Q4_K_M", 16: "Q5_K_S", 17: "Q5_K_M", 18: "Q6_K",
    19: "IQ2_XXS", 20: "IQ2_XS", 21: "Q2_K_S", 22: "IQ3_XS", 23: "IQ3_XXS", 24: "IQ1_S", 25: "IQ4_NL",
    26: "IQ3_S", 27: "IQ3_M", 28: "IQ2_S", 29: "IQ2_M", 30: "IQ4_XS", 31: "IQ1_M", 32: "BF16",
    36: "TQ1_0", 37: "TQ2_0", 38: "MXFP4",
}  # fmt: skip


def show(
    name: Annotated[
        str, typer.Argument(help="Catalogue key, name of a file in a models folder, or a path.")
    ],
    context: Annotated[
        int | None, typer.Option(help="Tokens of context to reckon with.", min=256)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """Say what a model is, the memory that it needs, where its layers would go; exit code 1 if it cannot be loaded."""
    from local_assistants.backends.llama_cpp.loading.inspection import inspect
    from local_assistants.cli.model_checks import verdict
    from local_assistants.models_file import ModelConfig

    path = model_store.resolve(name, "chat")
    facts = inspect(path)
    options = {"context_tokens": context} if context else {}
    found = verdict(ModelConfig(str(path), options=options), path)
    shown = _facts(facts) | {
        "memory": _needs(facts, context),
        "loads": found.ok,
        "verdict": found.text,
    }
    if as_json:
        typer.echo(json.dumps(shown, indent=2))
    else:
        _print(shown)
    if not found.ok:
        raise typer.Exit(exit_codes.CHECK_FAILED)


def _facts(facts: "ModelFacts") -> dict[str, Any]:
    return {
        "file": str(facts.path),
        "bytes": facts.file_bytes,
        "parts": facts.parts,
        "title": facts.name,
        "architecture": facts.architecture,
        "quantisation": _FILE_TYPES.get(-1 if facts.quantisation is None else facts.quantisation),
        "layers": facts.layers,
        "vocabulary": facts.vocabulary,
        "trained_context": facts.trained_context,
        "chat_template": facts.has_template,
        "kind": facts.kind or "chat",
    }


def _needs(facts: "ModelFacts", context: int | None) -> dict[int, int]:
    """Tokens of context -> bytes of host memory, on this machine's devices."""
    from local_assistants.backends.llama_cpp import LlamaSettings
    from local_assistants.backends.llama_cpp.loading.devices import find_gpus
    from local_assistants.backends.llama_cpp.loading.fitting import plan

    if facts.kind:
        return {}
    wanted = [size for size in _EXAMPLES if size <= (facts.trained_context or size)]
    sizes = (context,) if context else tuple(wanted or [facts.trained_context])
    gpus, unbounded = find_gpus(), 1 << 60
    return {
        size: plan(facts, LlamaSettings(context_tokens=size), unbounded, gpus).bytes
        for size in sizes
    }


def _print(shown: dict[str, Any]) -> None:
    from rich.table import Table

    from local_assistants.cli.output import size, stdout

    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_row("file", f"{Path(shown['file'])} ({size(shown['bytes'])})")
    table.add_row(
        "model", f"{shown['title']}, {shown['architecture']}, {shown['quantisation'] or '?'}"
    )
    table.add_row("layers", str(shown["layers"]))
    table.add_row("vocabulary", f"{shown['vocabulary']} tokens")
    table.add_row("trained for", f"{shown['trained_context'] or '?'} tokens of context")
    table.add_row("template", "its own" if shown["chat_template"] else "none: a plain one is used")
    for tokens, needed in shown["memory"].items():
        table.add_row("memory", f"{size(needed)} with a context of {tokens} tokens")
    stdout().print(table, markup=False)
    stdout().print(shown["verdict"], markup=False)
