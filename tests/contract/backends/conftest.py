"""The backends that the contract is tried on, each made to say something given.

Another implementation joins by one more maker.
"""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from local_assistants.backends.llama_cpp import LlamaCppBackend, LlamaSettings
from local_assistants.backends.scripted import ScriptedBackend
from local_assistants.engine.ports import Backend
from tests.support.toy_gguf import write_saying_model


@dataclass(frozen=True)
class Lines:
    """What the model says in its turn: words, then calls."""

    words: tuple[str, ...] = ()
    calls: tuple[tuple[str, dict[str, Any]], ...] = ()


Make = Callable[[Lines, int], Awaitable[Backend]]


async def _scripted(lines: Lines, window: int, _folder: Path) -> Backend:
    calls = [{"name": name, "arguments": arguments} for name, arguments in lines.calls]
    turn = {"text": "".join(lines.words), "tool_calls": calls}
    return ScriptedBackend.from_turns([turn], context_window=window)


async def _llama_cpp(lines: Lines, window: int, folder: Path) -> Backend:
    pieces = list(lines.words)
    for index, (name, arguments) in enumerate(lines.calls):
        # Every piece must be another one: the index in the white space sees to that.
        text, cut = json.dumps(arguments), 6 + index
        pieces += [f'{" " * index}\n{{"name": "{name}", "argu', 'ments":' + "\n" * index]
        pieces += [text[:cut], text[cut:] + "}"]
    path = write_saying_model(folder / "says.gguf", pieces)
    return await LlamaCppBackend.open(path, LlamaSettings(context_tokens=window, threads=1))


MAKERS = {"scripted": _scripted, "llama_cpp": _llama_cpp}


@pytest.fixture(params=MAKERS)
async def make(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Make]:
    """Makes backends that say given lines; closed afterwards."""
    made: list[Backend] = []

    async def maker(lines: Lines, window: int = 1024) -> Backend:
        made.append(await MAKERS[request.param](lines, window, tmp_path))
        return made[-1]

    yield maker
    for backend in made:
        await backend.close()
