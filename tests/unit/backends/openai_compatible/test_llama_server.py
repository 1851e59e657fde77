"""On llama.cpp's own server: what is found out about it, and that its counts are those of its turns."""

from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from local_assistants.backends.llama_cpp import LlamaCppBackend, LlamaSettings
from local_assistants.backends.openai_compatible import OpenAICompatibleBackend, OpenAISettings
from local_assistants.backends.openai_compatible.body import Writing
from local_assistants.backends.openai_compatible.connection import Connection
from local_assistants.backends.openai_compatible.counting import (
    count_prompt,
    estimate_prompt,
    estimate_text,
)
from local_assistants.backends.openai_compatible.probe import Counting, probe
from local_assistants.engine.chat import ChatMessage, ChatRequest, ToolSchema
from local_assistants.engine.errors import BackendFault, ContextOverflow, InvalidRequest
from tests.support.llama_server import LlamaServer
from tests.support.toy_gguf import write_saying_model
from tests.support.turns import listen, user
from tests.unit.backends.conftest import SMALL_FILE

F = ToolSchema("f", "does f", {"type": "object", "properties": {"x": {"type": "string"}}})
ASKED = ChatRequest((ChatMessage(role="system", content="Count."), user("Hello 😀")), tools=(F,))


@pytest.fixture(scope="module")
def llama_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LlamaServer]:
    """A server whose model says four words; one for all tests of this module."""
    path = write_saying_model(
        tmp_path_factory.mktemp("llama") / "says.gguf", ["one ", "two ", "three ", "four"]
    )
    server = LlamaServer(path, context=512)
    yield server
    server.stop()


@pytest.fixture
async def backend(llama_server: LlamaServer) -> AsyncIterator[OpenAICompatibleBackend]:
    """A backend on it."""
    backend = await OpenAICompatibleBackend.open(OpenAISettings((llama_server.url,)))
    yield backend
    await backend.close()


async def test_it_tells_what_it_is(backend: OpenAICompatibleBackend) -> None:
    """Kind, model, context, that it cannot see, and that it counts."""
    told = backend.capabilities
    [endpoint] = told.extra["endpoints"]
    assert (512, False, "llama.cpp", "says.gguf", "exact") == (
        told.context_window,
        told.vision,
        endpoint["server"],
        Path(endpoint["model"]).name,
        endpoint["count_tokens"],
    )


@pytest.mark.parametrize("counting", ["input_tokens", "template"])
async def test_both_ways_of_counting_are_exact(
    llama_server: LlamaServer, backend: OpenAICompatibleBackend, counting: Counting
) -> None:
    """The one of today's servers, and the one of those before."""
    settings = OpenAISettings((llama_server.url,))
    connection = Connection(settings)
    try:
        facts = replace(await probe(connection, llama_server.url, settings), counting=counting)
        counted = await count_prompt(
            connection, llama_server.url, facts, ASKED, Writing(facts.model)
        )
    finally:
        await connection.close()
    turn = await listen(backend, *ASKED.messages, tools=ASKED.tools, temperature=0)
    assert turn.usage.prompt_tokens == counted


async def test_its_refusals_are_understood(backend: OpenAICompatibleBackend) -> None:
    """Too long a prompt, and a schema that leads nowhere."""
    with pytest.raises(ContextOverflow, match="512"):
        await listen(backend, user("x " * 600))
    schema = {"type": "json_schema", "json_schema": {"name": "a", "schema": {"$ref": "#/x"}}}
    with pytest.raises(InvalidRequest, match="#/x"):
        await listen(backend, user("Hello"), response_format=schema)


async def test_a_server_that_dies_is_a_fault(tmp_path: Path) -> None:
    """With its address and what to do."""
    server = LlamaServer(write_saying_model(tmp_path / "m.gguf", ["hello"]), context=256)
    settings = OpenAISettings((server.url,), attempts=2, backoff=0.01)
    backend = await OpenAICompatibleBackend.open(settings)
    try:
        assert "hello" == (await listen(backend, user("Hello"), temperature=0)).text
        server.stop()
        with pytest.raises(BackendFault, match="Start the server") as caught:
            await listen(backend, user("Hello"))
    finally:
        await backend.close()
    assert server.url in caught.value.message


TEXTS = {
    "prose": "The quick brown fox jumps over the lazy dog. Tools may be called in parallel. ",
    "table": "id,name,closing_date,fund\n10538,First National Bank of Lindsay,2024-10-18,10547\n",
    "code": "def f(x):\n    return {k: v for k, v in zip(range(10), x[::-1]) if k >= 3}\n",
    "json": '{"type": "object", "properties": {"x": {"type": "string"}}, "required": ["x"]}',
    "german": "Die schnelle Katze springt über den faulen Hund, während es regnet. ",
    "russian": "Быстрая коричневая лиса перепрыгивает через ленивую собаку. ",
    "chinese": "快速的棕色狐狸跳过了懒狗。工具可以并行调用,结果按顺序读取。",
    "hash": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0bb822cd15d6c15b0f00a08 ",
    "base64": "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6 ",
}


async def test_the_estimate_is_rather_too_high(weights: Callable[[str, str], Path]) -> None:
    """For no kind of text below a real tokenizer's count, and not beyond all measure."""
    path = weights(SMALL_FILE, "smollm2-135m")
    backend = await LlamaCppBackend.open(path, LlamaSettings(context_tokens=512, threads=1))
    asked = {name: ChatRequest((user(text * 5),)) for name, text in TEXTS.items()}
    try:
        ratios = {
            name: estimate_prompt(request) / await backend.count_tokens(request)
            for name, request in asked.items()
        }
    finally:
        await backend.close()
    assert [] == [name for name, ratio in ratios.items() if not 1.0 <= ratio <= 2.5]


def test_a_long_text_is_estimated_quickly_enough() -> None:
    """A million letters without a space, or signs in turn with digits, are no trap."""
    for text in ("a" * 1_000_000, "a1" * 500_000, "é" * 1_000_000):
        assert estimate_text(text) >= 300_000
