"""The contract on a model whose tokens are those of a real tokenizer: words in pieces, characters in halves."""

import json
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from local_assistants.backends.llama_cpp import LlamaCppBackend, LlamaSettings
from local_assistants.backends.openai_compatible import OpenAICompatibleBackend, OpenAISettings
from local_assistants.engine.chat import ChatMessage, ChatRequest
from local_assistants.engine.ports import Backend
from tests.support.llama_server import LlamaServer
from tests.support.turns import listen, texts, user
from tests.unit.backends.conftest import SMALL_FILE, weights

assert weights is not None  # a fixture of the other tests of models

WINDOW = 1024
ASK = (ChatMessage(role="system", content="Repeat. 日本語 😀"), user("Say: naïve café — 東京 😀"))
SCHEMA: dict[str, Any] = {
    "type": "json_schema",
    "json_schema": {
        "name": "answer",
        "schema": {
            "type": "object",
            "properties": {"city": {"enum": ["Paris", "東京"]}, "warm": {"type": "boolean"}},
            "required": ["city", "warm"],
            "additionalProperties": False,
        },
    },
}


@pytest.fixture(scope="module")
def url(weights: Callable[[str, str], Path]) -> Iterator[str]:
    """Where llama.cpp's own server answers with the model."""
    server = LlamaServer(weights(SMALL_FILE, "smollm2-135m"), context=WINDOW)
    yield server.url
    server.stop()


@pytest.fixture(params=["llama_cpp", "openai_compatible"])
async def backend(
    request: pytest.FixtureRequest, weights: Callable[[str, str], Path], url: str
) -> AsyncIterator[Backend]:
    """The same model, here and there."""
    opened: Backend
    if request.param == "llama_cpp":
        path = weights(SMALL_FILE, "smollm2-135m")
        settings = LlamaSettings(context_tokens=WINDOW, threads=1, decode_width=4)
        opened = await LlamaCppBackend.open(path, settings)
    else:
        opened = await OpenAICompatibleBackend.open(OpenAISettings((url,)))
    yield opened
    await opened.close()


async def test_pieces_are_whole_characters(backend: Backend) -> None:
    """However the tokens cut them; and they cost what was counted."""
    turn = await listen(backend, *ASK, temperature=0, max_tokens=24)
    assert len(texts(turn.deltas)) > 1
    assert "\ufffd" not in turn.text.rstrip("\ufffd")
    assert await backend.count_tokens(ChatRequest(ASK)) == turn.usage.prompt_tokens
    assert 0 < turn.usage.completion_tokens <= 24


async def test_chance_is_repeated_by_its_seed(backend: Backend) -> None:
    """With a real model's many likely words."""
    ask = {"temperature": 1.0, "max_tokens": 16}
    said = [(await listen(backend, user("Tell me"), seed=seed, **ask)).text for seed in (1, 1, 2)]
    assert said[0] == said[1] != said[2]


async def test_a_stop_string_across_tokens(backend: Backend) -> None:
    """Found in the text, wherever tokens begin."""
    whole = (await listen(backend, user("Count to ten."), temperature=0, max_tokens=24)).text
    middle = len(whole) // 2
    stop = whole[middle : middle + 3]
    turn = await listen(backend, user("Count to ten."), temperature=0, max_tokens=24, stop=(stop,))
    assert (whole[: whole.index(stop)], "stop") == (turn.text, turn.reason)


async def test_json_of_a_schema_in_any_script(backend: Backend) -> None:
    """Characters that are several tokens are no way around the grammar."""
    turn = await listen(
        backend, user("Where?"), temperature=1.0, seed=3, max_tokens=60, response_format=SCHEMA
    )
    answer = json.loads(turn.text)
    assert answer["city"] in ("Paris", "東京")
    assert answer["warm"] in (True, False)
