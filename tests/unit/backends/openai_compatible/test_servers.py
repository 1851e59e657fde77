"""What is found out about a server by asking it, and how tokens are counted on each kind."""

from typing import Any

import pytest

from local_assistants.backends.openai_compatible import OpenAISettings
from local_assistants.backends.openai_compatible.counting import estimate_prompt
from local_assistants.engine.chat import ChatMessage, ChatRequest, ImagePart, ToolSchema
from local_assistants.engine.errors import BackendFault, ContextOverflow
from tests.support.chat_server import ChatServer, drops, refuses
from tests.support.turns import listen, user

from .conftest import Connect

HELLO = ChatRequest((user("Hello"),))
OK = refuses(200, b"")


def listing(**card: Any) -> dict[str, Any]:
    """A list of models with one."""
    return {"object": "list", "data": [{"id": "m", "object": "model", **card}]}


LLAMA: dict[str, Any] = {
    "/health": OK,
    "/v1/models": listing(owned_by="llamacpp", meta={"n_ctx_train": 32768}),
    "/props": {"default_generation_settings": {"n_ctx": 2048}, "modalities": {"vision": True}},
    "/v1/chat/completions/input_tokens": {"input_tokens": 11},
}
OLD_LLAMA: dict[str, Any] = {
    "/health": OK,
    "/v1/models": listing(owned_by="llamacpp"),
    "/props": {"default_generation_settings": {"n_ctx": 2048}},
    "/apply-template": {"prompt": "<s>Hello"},
    "/tokenize": {"tokens": [1, 2, 3]},
}
VLLM: dict[str, Any] = {
    "/health": OK,
    "/v1/models": listing(owned_by="vllm", max_model_len=4096),
    "/tokenize": {"count": 12, "max_model_len": 4096, "tokens": [1] * 12},
}
OLLAMA: dict[str, Any] = {
    "/v1/models": listing(owned_by="library"),
    "/api/version": {"version": "0.9.0"},
    "/api/ps": {"models": [{"name": "m", "context_length": 16384}]},
    "/api/show": {"capabilities": ["completion", "vision", "tools"]},
}
COLD_OLLAMA: dict[str, Any] = {
    **OLLAMA,
    "/api/ps": {"models": []},
    "/api/show": {"capabilities": ["completion"]},
}
LM_STUDIO: dict[str, Any] = {
    "/v1/models": listing(owned_by="organization_owner"),
    "/api/v0/models": {"data": [{"id": "m", "type": "vlm", "loaded_context_length": 5000}]},
}
OTHER: dict[str, Any] = {"/v1/models": listing()}


@pytest.mark.parametrize(
    ("pages", "kind", "window", "vision", "count"),
    [
        (LLAMA, "llama.cpp", 2048, True, 11),
        (OLD_LLAMA, "llama.cpp", 2048, False, 3),
        (VLLM, "vLLM", 4096, False, 12),
        (OLLAMA, "Ollama", 16384, True, None),
        (COLD_OLLAMA, "Ollama", 4096, False, None),
        (LM_STUDIO, "LM Studio", 5000, True, None),
        (OTHER, "other", 8192, False, None),
    ],
    ids=["llama", "old llama", "vllm", "ollama", "cold ollama", "lm studio", "other"],
)
async def test_what_each_server_tells(
    pages: dict[str, Any],
    kind: str,
    window: int,
    vision: bool,
    count: int | None,
    server: ChatServer,
    connect: Connect,
) -> None:
    """Its kind, context, sight and way of counting; what it does not tell is the default or an estimate."""
    server.pages = pages
    backend = await connect(server)
    told = backend.capabilities
    [endpoint] = told.extra["endpoints"]
    assert (kind, "m", window, vision) == (
        endpoint["server"],
        endpoint["model"],
        told.context_window,
        told.vision,
    )
    expected = (estimate_prompt(HELLO), "estimated") if count is None else (count, "exact")
    assert expected == (await backend.count_tokens(HELLO), endpoint["count_tokens"])
    counts = "estimates" if count is None else "counts"
    assert f"{server.url}: m on {kind}, {counts} tokens" == told.extra["detail"]


async def test_counting_sees_the_whole_prompt(server: ChatServer, connect: Connect) -> None:
    """The tools, too, and nothing that is not of the prompt."""
    server.pages = VLLM
    backend = await connect(server)
    tool = ToolSchema("f", "does f", {"type": "object"})
    await backend.count_tokens(ChatRequest(HELLO.messages, tools=(tool,), seed=1, max_tokens=7))
    asked = server.seen[-1]
    assert ("/tokenize", ["messages", "model", "parallel_tool_calls", "tool_choice", "tools"]) == (
        asked.path,
        sorted(asked.body),
    )


async def test_a_count_that_fails_is_an_estimate(server: ChatServer, connect: Connect) -> None:
    """A turn does not fail because it could not be counted."""
    server.pages = dict(VLLM)
    backend = await connect(server)
    for page in (drops, refuses(500), {"count": "many"}):
        server.pages["/tokenize"] = page
        assert estimate_prompt(HELLO) == await backend.count_tokens(HELLO)


@pytest.mark.parametrize(
    ("setting", "window"),
    [({}, 2048), ({"context_window": 1000}, 1000), ({"context_window": 9999}, 2048)],
)
async def test_the_smaller_window_holds(
    setting: dict[str, int], window: int, server: ChatServer, connect: Connect
) -> None:
    """A setting can narrow what the server has, not widen it."""
    server.pages = LLAMA
    assert window == (await connect(server, **setting)).capabilities.context_window


async def test_a_setting_fills_what_is_not_told(server: ChatServer, connect: Connect) -> None:
    """Window and sight."""
    told = (await connect(server, context_window=3000, vision=True)).capabilities
    assert (3000, True) == (told.context_window, told.vision)


async def test_tools_can_be_turned_off(server: ChatServer, connect: Connect) -> None:
    """For models that cannot call any."""
    assert not (await connect(server, tools=False)).capabilities.tools


async def test_what_a_server_would_cut_is_refused(server: ChatServer, connect: Connect) -> None:
    """Ollama drops the beginning of a long prompt without a word; it is not sent."""
    server.pages = COLD_OLLAMA
    backend = await connect(server)
    with pytest.raises(ContextOverflow, match="4096 tokens"):
        await listen(backend, user("word " * 10_000))
    assert [] == server.chats


async def test_the_model_is_the_first_of_the_list(server: ChatServer, connect: Connect) -> None:
    """Unless one is named, listed or not."""
    server.pages["/v1/models"] = {"data": [{"id": "a"}, {"id": "b"}]}
    for name in (None, "b", "c"):
        await listen(await connect(server, model=name), user("Hello"))
    assert ["a", "b", "c"] == [body["model"] for body in server.chats]


@pytest.mark.parametrize(
    ("page", "text"),
    [
        ({"data": []}, "lists no model"),
        ({"data": [{"id": 7}, "x"]}, "lists no model"),
        (refuses(200, b"<html>"), "lists no model"),
        (refuses(404), "Check the endpoint's URL"),
        (refuses(401), "api_key_env"),
        (refuses(301), "Redirects are not followed"),
    ],
    ids=["empty", "shapeless", "html", "404", "401", "301"],
)
async def test_what_is_no_server_of_models_is_refused(
    page: Any, text: str, server: ChatServer, connect: Connect
) -> None:
    """At opening, with what to do."""
    server.pages["/v1/models"] = page
    with pytest.raises(BackendFault, match=text):
        await connect(server)


async def test_a_server_that_loads_its_model_is_not_ready(
    server: ChatServer, connect: Connect
) -> None:
    """llama-server answers its health check with 503 meanwhile."""
    server.pages["/health"] = refuses(503, {"error": {"message": "Loading model"}})
    with pytest.raises(BackendFault, match="not ready yet"):
        await connect(server)


async def test_strange_facts_are_not_believed(server: ChatServer, connect: Connect) -> None:
    """A context of no or of too many tokens is none."""
    for size in (-1, 0, 10**40, "many", True, None, [1]):
        server.pages["/v1/models"] = listing(context_length=size, max_model_len=size)
        assert 8192 == (await connect(server)).capabilities.context_window


def test_pictures_and_calls_take_room() -> None:
    """Also where nobody can say how much."""
    picture = ChatMessage(role="user", content=(ImagePart(url="data:image/png;base64,A"),))
    assert estimate_prompt(ChatRequest((picture,))) > 1000


# --- settings --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "endpoints", "model"),
    [
        ("http://127.0.0.1:8080", ("http://127.0.0.1:8080",), None),
        ("http://a/v1, https://b:1/v1", ("http://a/v1", "https://b:1/v1"), None),
        ("http://127.0.0.1:11434#qwen2.5:1.5b", ("http://127.0.0.1:11434",), "qwen2.5:1.5b"),
        ("http://[::1]:8080/v1#", ("http://[::1]:8080/v1",), None),
    ],
)
def test_settings_from_one_line(text: str, endpoints: tuple[str, ...], model: str | None) -> None:
    """URLs with commas between them, then the model's name there."""
    assert OpenAISettings(endpoints, model=model) == OpenAISettings.parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "#model",
        "127.0.0.1:8080",
        "ftp://a",
        "http://",
        "http://a:0",
        "http://a:99999",
        "http://a:b",
        "http://a?x=1",
        "http://" + "a" * 70,
        "file:///etc/passwd",
    ],
)
def test_what_is_no_endpoint_is_refused(text: str) -> None:
    """Before anything is asked."""
    with pytest.raises(BackendFault, match="endpoint"):
        OpenAISettings.parse(text)


def test_a_password_in_an_address_is_refused_and_not_shown() -> None:
    """Addresses are shown in errors and logs."""
    with pytest.raises(BackendFault, match="api_key_env") as caught:
        OpenAISettings.parse("http://me:secret@host/v1")
    assert "secret" not in caught.value.message


def test_no_attempts_are_refused() -> None:
    """A turn needs one."""
    with pytest.raises(BackendFault, match="attempts"):
        OpenAISettings(("http://a",), attempts=0)
