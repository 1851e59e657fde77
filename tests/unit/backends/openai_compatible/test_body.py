"""What is sent, and what is not."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from local_assistants.backends.openai_compatible.body import Writing, request_body
from local_assistants.engine.chat import (
    ChatMessage,
    ChatRequest,
    ImagePart,
    TextPart,
    ToolCall,
    ToolSchema,
)
from local_assistants.engine.errors import InvalidRequest
from tests.support.turns import tool, user

PLAIN = Writing(model="m")
SEEING = Writing(model="m", vision=True, max_image_bytes=1000)
PNG = b"\x89PNG\r\n\x1a\n" + bytes(20)
PARAMETERS: dict[str, Any] = {"type": "object", "properties": {"x": {"type": "string"}}}
F = ToolSchema("f", "does f", PARAMETERS)
G = ToolSchema("g", "does g", {}, strict=True)


def written(*messages: ChatMessage, writing: Writing = PLAIN, **options: Any) -> dict[str, Any]:
    """The body of a request."""
    return request_body(ChatRequest(messages or (user("Hi"),), **options), writing)


def content(part: ImagePart, writing: Writing = SEEING) -> Any:
    """What becomes of a picture beside a text."""
    message = ChatMessage(role="user", content=(TextPart(text="See"), part))
    return written(message, writing=writing)["messages"][0]["content"]


def test_the_least_that_is_sent() -> None:
    """Only what the request says; sessions and priorities stay here."""
    assert {
        "model": "m",
        "messages": [{"role": "user", "content": "Hi"}],
        "stream": True,
        "stream_options": {"include_usage": True},
        "temperature": 1.0,
        "top_p": 1.0,
    } == written(session="thread_1", priority=1)


def test_everything_that_is_sent() -> None:
    """Sampling, limits, formats and what the settings add; these cannot undo the request."""
    schema = {"type": "json_schema", "json_schema": {"name": "a", "schema": PARAMETERS}}
    writing = Writing("m", temperature_at_one=0.5, extra_body={"top_k": 20, "stream": False})
    body = written(
        writing=writing,
        temperature=0.8,
        top_p=0.9,
        seed=5,
        max_tokens=100,
        stop=("a", "b"),
        response_format=schema,
    )
    body.pop("messages")
    assert {
        "model": "m",
        "top_k": 20,
        "stream": True,
        "stream_options": {"include_usage": True},
        "temperature": 0.4,
        "top_p": 0.9,
        "seed": 5,
        "max_tokens": 100,
        "stop": ["a", "b"],
        "response_format": schema,
    } == body


@pytest.mark.parametrize("seed", [2**63, -1, 2**31 - 1, 2**32 - 1])
def test_seeds_fit_any_server(seed: int) -> None:
    """Whatever a client sends; the largest of 32 bits means a random one to llama.cpp."""
    assert 0 <= written(seed=seed)["seed"] < 2**31 - 1


def test_a_conversation_with_tools() -> None:
    """Calls and their outputs under their ids."""
    call = ToolCall(id="call_1", name="f", arguments='{"x": "é"}')
    system = ChatMessage(role="system", content="Be brief.")
    asked = ChatMessage(role="assistant", content="", tool_calls=(call,))
    answer = ChatMessage(role="tool", content="42", tool_call_id="call_1", name="f")
    assert [
        {"role": "system", "content": "Be brief."},
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [
                {
                    "id": "call_1",
                    "type": "function",
                    "function": {"name": "f", "arguments": '{"x": "é"}'},
                }
            ],
        },
        {"role": "tool", "content": "42", "tool_call_id": "call_1", "name": "f"},
    ] == written(system, asked, answer)["messages"]


@pytest.mark.parametrize("arguments", ['{"x": "cut o', "", "[1]", "17", "[" * 50_000])
def test_arguments_that_are_no_object_are_made_one(arguments: str) -> None:
    """Servers fail on the whole conversation otherwise."""
    call = ToolCall(id="1", name="f", arguments=arguments)
    asked = ChatMessage(role="assistant", tool_calls=(call,))
    sent = written(asked, tool("no", "1"))["messages"][0]["tool_calls"][0]["function"]
    assert {"unreadable": arguments} == json.loads(sent["arguments"])


def test_tools_are_described() -> None:
    """Strictness only where it is asked for, and an object where there are no parameters."""
    assert [
        {
            "type": "function",
            "function": {"name": "f", "description": "does f", "parameters": PARAMETERS},
        },
        {
            "type": "function",
            "function": {
                "name": "g",
                "description": "does g",
                "parameters": {"type": "object", "properties": {}},
                "strict": True,
            },
        },
    ] == written(tools=(F, G))["tools"]


@pytest.mark.parametrize(
    ("options", "names", "choice", "parallel"),
    [
        ({}, ["f", "g"], "auto", True),
        ({"tool_choice": "required"}, ["f", "g"], "required", True),
        ({"tool_choice": "none"}, ["f", "g"], "none", True),
        ({"parallel_tool_calls": False}, ["f", "g"], "auto", False),
        ({"forced_tool": "g"}, ["g"], "required", False),
    ],
)
def test_choice_of_tools(
    options: dict[str, Any], names: list[str], choice: str, parallel: bool
) -> None:
    """A forced tool is shown alone, because not every server takes a name."""
    body = written(tools=(F, G), **options)
    shown = [tool["function"]["name"] for tool in body["tools"]]
    assert (names, choice, parallel) == (shown, body["tool_choice"], body["parallel_tool_calls"])


def test_no_tools_to_a_server_that_would_call_them_all_the_same() -> None:
    """Ollama may ignore tool_choice."""
    writing = Writing("m", obeys_choice=False)
    assert "tools" not in written(writing=writing, tools=(F,), tool_choice="none")
    assert "tools" in written(writing=writing, tools=(F,), tool_choice="auto")


def test_a_forced_tool_must_be_there() -> None:
    """Else no server could call it."""
    with pytest.raises(InvalidRequest, match="'h'") as caught:
        written(tools=(F,), forced_tool="h")
    assert "tool_choice" == caught.value.param


# --- pictures --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (PNG, "png"),
        (b"\xff\xd8\xff\xe0" + bytes(20), "jpeg"),
        (b"GIF89a" + bytes(20), "gif"),
        (b"RIFF\0\0\0\0WEBPVP8 ", "webp"),
    ],
)
def test_a_file_is_sent_as_data(tmp_path: Path, data: bytes, kind: str) -> None:
    """Its kind is found in its first bytes, whatever it is called."""
    path = tmp_path / "picture.txt"
    path.write_bytes(data)
    url = f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
    assert [
        {"type": "text", "text": "See"},
        {"type": "image_url", "image_url": {"url": url}},
    ] == content(ImagePart(url=str(path)))


def test_a_data_url_is_sent_as_it_is() -> None:
    """There is nothing to read."""
    url = "data:image/png;base64,AAAA"
    assert url == content(ImagePart(url=url))[1]["image_url"]["url"]


def test_what_is_no_picture_does_not_leave_this_host(tmp_path: Path) -> None:
    """Whatever its name says; a missing file is none either."""
    secret = tmp_path / "secret.png"
    secret.write_text("my key")
    for url in (str(secret), str(tmp_path / "nowhere.png"), str(tmp_path)):
        assert "See\n[An image that cannot be shown" in content(ImagePart(url=url))


def test_pictures_that_are_too_large_are_not_sent(tmp_path: Path) -> None:
    """Neither files nor data."""
    path = tmp_path / "large.png"
    path.write_bytes(PNG + bytes(1000))
    for url in (str(path), "data:image/png;base64," + "A" * 2000):
        assert "too large" in content(ImagePart(url=url))


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1/a.png", "HTTPS://example.org/a.png", "data:text/plain;base64,AAAA"]
)
def test_addresses_are_not_passed_on(url: str) -> None:
    """The server would fetch them."""
    assert "[An image that lies at another address" in content(ImagePart(url=url))


def test_no_pictures_to_a_model_that_cannot_see() -> None:
    """It is told that there was one."""
    said = content(ImagePart(url="data:image/png;base64,AAAA"), PLAIN)
    assert "See\n[An image that this model cannot see.]" == said
