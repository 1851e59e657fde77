"""What goes over the line between a server and a model's process."""

import asyncio
import json
import socket
from typing import Any

import pytest

from local_assistants.backends.llama_cpp.isolation import messages
from local_assistants.backends.llama_cpp.isolation.wire import (
    Message,
    Wire,
    WireError,
    frame,
    framed,
)
from local_assistants.backends.llama_cpp.settings import LlamaSettings
from local_assistants.backends.llama_cpp.turn import Fragment
from local_assistants.engine import errors
from local_assistants.engine.chat import (
    ChatMessage,
    ChatRequest,
    Finish,
    ImagePart,
    TextDelta,
    TextPart,
    ToolCall,
    ToolCallDelta,
    ToolSchema,
    UsageDelta,
)

MOST = 1000


class Line:
    """A wire, what it heard, and the bare socket at its other end."""

    def __init__(self) -> None:
        self.heard: list[Message] = []
        self.lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.ours, theirs = socket.socketpair()
        self.ours.setblocking(False)
        self._theirs = theirs
        self.wire = Wire(self.heard.append, self.lost.set_result, most=MOST)

    async def connect(self) -> "Line":
        """Put the wire on its end."""
        loop = asyncio.get_running_loop()
        await loop.create_unix_connection(lambda: self.wire, sock=self._theirs)
        return self

    async def say(self, data: bytes) -> None:
        """Send bytes to the wire."""
        await asyncio.get_running_loop().sock_sendall(self.ours, data)
        await asyncio.sleep(0.01)

    async def end(self) -> None:
        """Hang up."""
        self.wire.hang_up("the test is over")
        self.ours.close()
        await self.lost


def over_the_wire(message: Message) -> Message:
    """A message as the other end gets it."""
    parsed: Message = json.loads(frame(message)[4:])
    return parsed


async def test_frames_arrive_however_they_are_cut() -> None:
    """Byte by byte or several at once."""
    line = await Line().connect()
    data = frame({"n": 1}) + frame({"n": 2})
    for byte in data:
        await asyncio.get_running_loop().sock_sendall(line.ours, bytes([byte]))
    await line.say(data)
    heard = list(line.heard)
    await line.end()
    assert [{"n": 1}, {"n": 2}] * 2 == heard


@pytest.mark.parametrize(
    "data",
    [
        pytest.param((MOST + 1).to_bytes(4, "big"), id="too long"),
        pytest.param(framed(b"{"), id="no JSON"),
        pytest.param(framed(b"\xff\xfe"), id="no text"),
        pytest.param(framed(b"[1]"), id="no object"),
        pytest.param(framed(b"[" * 900), id="nested"),
        pytest.param(framed(b'{"a":' + b"9" * 900 + b"e"), id="number"),
    ],
)
async def test_nonsense_ends_the_conversation(data: bytes) -> None:
    """Whoever hears it hangs up and says why."""
    line = await Line().connect()
    await line.say(data)
    reason = await line.lost
    line.ours.close()
    assert reason.startswith("it ")
    assert [] == line.heard


async def test_what_is_said_at_once_goes_out_in_one_piece() -> None:
    """One system call for the fragments of a step."""
    line = await Line().connect()
    line.wire.send(frame({"n": 1}))
    line.wire.send(frame({"n": 2}))
    await asyncio.sleep(0.01)
    data = line.ours.recv(1 << 16)
    await line.end()
    assert frame({"n": 1}) + frame({"n": 2}) == data


def test_requests_arrive_as_they_were() -> None:
    """With everything that a request may hold, half surrogates included."""
    request = ChatRequest(
        (
            ChatMessage(role="system", content="hé \ud800"),
            ChatMessage(role="user", content=(TextPart(text="x"), ImagePart(url="data:,"))),
            ChatMessage(role="assistant", tool_calls=(ToolCall(id="1", name="f", arguments="{"),)),
            ChatMessage(role="tool", content="out", tool_call_id="1"),
        ),
        tools=(ToolSchema("f", "F", {"type": "object"}, strict=True, code_argument="code"),),
        forced_tool="f",
        temperature=0.3,
        seed=7,
        stop=("a", "b"),
        response_format={"type": "json_object"},
        session="s",
        priority=2,
    )
    data = messages.with_request({"kind": "ask"}, messages.written(request))
    assert request == messages.request_of(json.loads(data[4:]))


def test_request_too_large_for_the_line_is_the_clients_mistake() -> None:
    """A picture of 64 MiB is refused before anything is sent."""
    picture = ImagePart(url="data:," + "A" * (64 << 20))
    request = ChatRequest((ChatMessage(role="user", content=(picture,)),))
    with pytest.raises(errors.InvalidRequest, match="63 MiB"):
        messages.written(request)


def test_settings_arrive_as_they_were(tmp_path: Any) -> None:
    """Paths included."""
    settings = LlamaSettings(context_tokens=512, kv_type="q8_0", park_folder=tmp_path)
    message = over_the_wire({"settings": messages.settings_written(settings)})
    assert settings == messages.settings_of(message)


def test_fragments_arrive_as_they_were() -> None:
    """Every kind of delta, in order."""
    fragment = Fragment(
        (
            TextDelta("usage"),
            ToolCallDelta(0, "f", "{"),
            ToolCallDelta(0, None, "}"),
            UsageDelta(3, 2, 1),
            Finish("tool_calls"),
        ),
        (5, 6),
    )
    message = over_the_wire(messages.fragment_written(1, fragment))
    assert fragment == messages.fragment_of(message)


@pytest.mark.parametrize(
    "change",
    [
        {"tokens": None},
        {"tokens": ["1"]},
        {"tokens": [1.5]},
        {"deltas": "text"},
        {"deltas": [["a", "b"]]},
        {"deltas": [[0, 1, "{"]]},
        {"deltas": [["finish", "bored"]]},
        {"deltas": [{"text": "a"}]},
    ],
)
def test_malformed_fragments_are_refused(change: Message) -> None:
    """The process may be anybody's."""
    good = over_the_wire(messages.fragment_written(1, Fragment((TextDelta("a"),), (1,))))
    with pytest.raises(WireError):
        messages.fragment_of(good | change)


def test_errors_keep_their_class() -> None:
    """And message, parameter, code and what is for the log; one of an unknown class becomes a fault of the backend."""
    for kind in (errors.InvalidRequest, errors.ContextOverflow, errors.MissingDependency):
        error = messages.fault_of(
            over_the_wire(
                messages.fault_written(1, kind("Why.", param="tools[0]", detail="/x", passing=True))
            )
        )
        assert (kind, "Why.", "tools[0]", kind.default_code, "/x", True) == (
            type(error),
            error.message,
            error.param,
            error.code,
            error.detail,
            error.passing,
        )
    strange = messages.fault_written(1, errors.BackendFault("Why.")) | {"class": "SystemExit"}
    assert errors.BackendFault is type(messages.fault_of(strange))
