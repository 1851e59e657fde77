"""The kinds of backend that the contract is tried on, and what each of them can do.

Another kind joins by one more maker and one more row. A test of something that not every kind can do names it (`able`),
and another test says what the kinds that cannot do instead (`unable`): nothing is left out in silence.
"""

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import httpx
import pytest

from local_assistants.backends.llama_cpp import LlamaCppBackend, LlamaSettings, ProcessBackend
from local_assistants.backends.openai_compatible import OpenAICompatibleBackend, OpenAISettings
from local_assistants.backends.scripted import ScriptedBackend
from local_assistants.engine.ports import Backend
from tests.support.llama_server import LlamaServer
from tests.support.toy_gguf import write_random_model, write_saying_model

Ability = Literal[
    "samples",  # chooses its words by chance, which a seed repeats
    "formats",  # holds the answer to a response_format, and refuses schemas that it cannot
    "choice",  # a required or forced tool is called, whatever the model would have said
    "none",  # no call where tool_choice is none
    "work",  # has work going on that must stop when nobody listens
    "cache",  # does not evaluate again what it has evaluated, and tells so
    "forget",  # what it keeps of a conversation can be erased
    "close",  # has something to close, after which there are no turns
]


@dataclass(frozen=True)
class Lines:
    """What the model says in its turn: words, then calls. None of both: it babbles."""

    words: tuple[str, ...] = ()
    calls: tuple[tuple[str, dict[str, Any]], ...] = ()


class Workshop:
    """Where backends are made: a folder of one test, and servers that several tests share."""

    def __init__(self, folder: Path, servers: "Servers") -> None:
        self.folder = folder
        self.servers = servers


class Servers:
    """llama.cpp's servers, one process for each model and window; stopped at the end."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._running: dict[tuple[str, int], LlamaServer] = {}

    def url(self, lines: Lines, window: int) -> str:
        """Where a model that says the lines answers."""
        key = (repr(lines), window)
        if key not in self._running:
            path = self._folder / f"{len(self._running)}.gguf"
            # Where a template has tags for calls, the server looks for nothing but those.
            model = _model(path, lines, ("<tool_call>\n", "\n</tool_call>\n"))
            self._running[key] = LlamaServer(model, context=window)
        return self._running[key].url

    def stop(self) -> None:
        """End all processes."""
        for server in self._running.values():
            server.stop()


@dataclass(frozen=True)
class Kind:
    """One kind of backend.

    Attributes:
        make: makes one that says the lines in a context of so many tokens.
        able: what it can do.
        end_tokens: what the end of an answer counts among its tokens.
        work: how many tokens it has worked on so far; None where nothing goes on behind a stream.
        work_delay: seconds by which that may be late.
    """

    make: Callable[[Lines, int, Workshop], Awaitable[Backend]]
    able: frozenset[Ability] = frozenset()
    end_tokens: int = 0
    work: Callable[[Backend], Awaitable[int]] | None = None
    work_delay: float = 0.1


async def _scripted(lines: Lines, window: int, _: Workshop) -> Backend:
    calls = [{"name": name, "arguments": arguments} for name, arguments in lines.calls]
    turn = {"text": "".join(lines.words), "tool_calls": calls}
    return ScriptedBackend.from_turns([turn], context_window=window)


async def _llama_cpp(lines: Lines, window: int, workshop: Workshop) -> Backend:
    path = _model(workshop.folder / "says.gguf", lines)
    return await LlamaCppBackend.open(path, LlamaSettings(context_tokens=window, threads=1))


async def _process(lines: Lines, window: int, workshop: Workshop) -> Backend:
    path = _model(workshop.folder / "says.gguf", lines)
    return await ProcessBackend.open(path, LlamaSettings(context_tokens=window, threads=1))


async def _openai_compatible(lines: Lines, window: int, workshop: Workshop) -> Backend:
    url = workshop.servers.url(lines, window)
    return await OpenAICompatibleBackend.open(OpenAISettings((f"{url}/v1",)))


async def _evaluated(backend: Backend) -> int:
    assert isinstance(backend, LlamaCppBackend | ProcessBackend)
    return backend.evaluated_tokens


async def _predicted(backend: Backend) -> int:
    url = backend.capabilities.extra["endpoints"][0]["url"]
    async with httpx.AsyncClient(trust_env=False) as client:
        page = (await client.get(f"{url}/metrics")).text
    lines = [line for line in page.splitlines() if line.startswith("llamacpp:tokens_predicted_t")]
    return int(lines[0].split()[1])


def _model(path: Path, lines: Lines, tags: tuple[str, str] = ("", "")) -> Path:
    if not lines.words and not lines.calls:
        return write_random_model(path)
    pieces = list(lines.words)
    for index, (name, arguments) in enumerate(lines.calls):
        call = f'{{"name": "{name}", "arguments": {json.dumps(arguments)}}}'
        pieces += _cut(f"{tags[0]}{call}{tags[1]}" if tags[0] else f"{call}\n", index)
    return write_saying_model(path, pieces)


def _cut(text: str, index: int) -> list[str]:
    """Pieces of about 13 characters, cut elsewhere for each index: no two pieces of a model may be the same."""
    bounds = [0, *range(7 + index, len(text) - 5, 13), len(text)]
    return [text[a:b] for a, b in pairwise(bounds)]


_NATIVE = frozenset[Ability](
    ("samples", "formats", "choice", "none", "work", "cache", "forget", "close")
)

KINDS = {
    # Plays what is written: it has no model that could be held to anything, and nothing behind it.
    "scripted": Kind(_scripted),
    "llama_cpp": Kind(_llama_cpp, _NATIVE, work=_evaluated),
    "process": Kind(_process, _NATIVE, work=_evaluated, work_delay=1.5),
    # On llama.cpp's own server, which lets the model speak before a required call, counts the end of an answer as one
    # token, and has no way to erase what it caches.
    "openai_compatible": Kind(
        _openai_compatible, _NATIVE - {"choice", "forget"}, end_tokens=1, work=_predicted
    ),
}


def able(ability: Ability) -> pytest.MarkDecorator:
    """The test is about the kinds that can."""
    return _these([name for name, kind in KINDS.items() if ability in kind.able])


def unable(ability: Ability) -> pytest.MarkDecorator:
    """The test is about the kinds that cannot."""
    return _these([name for name, kind in KINDS.items() if ability not in kind.able])


def _these(names: list[str]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("kind", names, indirect=True)
