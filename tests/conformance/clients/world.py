"""One way to write a case for blocking and asynchronous clients, and for SDK 1, 2 and 3.

Everything a client returns goes through `got` (await it if it can be awaited), `every` (all pages of a list) or
`entered` (a context manager of either kind), so that a case is written once.
"""

import inspect
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import openai

CALLBACKS = (
    "on_event",
    "on_run_step_created",
    "on_run_step_delta",
    "on_run_step_done",
    "on_tool_call_created",
    "on_tool_call_delta",
    "on_tool_call_done",
    "on_message_created",
    "on_message_delta",
    "on_message_done",
    "on_text_created",
    "on_text_delta",
    "on_text_done",
    "on_image_file_done",
    "on_exception",
    "on_timeout",
    "on_end",
)


@dataclass
class World:
    """What a case may use.

    Attributes:
        client: the official client, pointed at the server.
        hasty: the same for a server whose runs expire after two seconds and whose streams break when asked to.
        stranger: the same as `client`, with the key to another project.
        asynchronous: whether the clients' calls have to be awaited.
    """

    client: Any
    hasty: Any
    stranger: Any
    asynchronous: bool

    def on_hasty(self) -> "World":
        """The same world with the hasty server as its server."""
        return replace(self, client=self.hasty)

    @property
    def beta(self) -> Any:
        """Assistants and threads."""
        return self.client.beta

    @property
    def stores(self) -> Any:
        """Vector stores: they stood under `beta` in early clients of 1.x."""
        return getattr(self.client, "vector_stores", None) or self.client.beta.vector_stores

    def listener(self) -> "tuple[Any, list[tuple[str, Any]]]":
        """An event handler that notes every callback with its first argument."""
        heard: list[tuple[str, Any]] = []
        base: Any = openai.AssistantEventHandler
        if self.asynchronous:
            base = openai.AsyncAssistantEventHandler
        make = _async_callback if self.asynchronous else _callback
        methods = {name: make(name, heard) for name in CALLBACKS}
        return type("Listener", (base,), methods)(), heard


def _callback(name: str, heard: list[tuple[str, Any]]) -> Any:
    def note(self: Any, *args: Any, **named: Any) -> None:
        heard.append((name, (*args, *named.values(), None)[0]))

    return note


def _async_callback(name: str, heard: list[tuple[str, Any]]) -> Any:
    note = _callback(name, heard)

    async def note_async(self: Any, *args: Any, **named: Any) -> None:
        note(self, *args, **named)

    return note_async


async def got(value: Any) -> Any:
    """What a call returned, awaited if need be."""
    return await value if inspect.isawaitable(value) else value


async def every(pages: Any) -> list[Any]:
    """All items of a list, over all its pages, or all events of a stream."""
    if hasattr(pages, "__aiter__"):
        return [item async for item in pages]
    return list(pages)


async def each(stream: Any) -> AsyncIterator[Any]:
    """The events of a stream as they come."""
    if hasattr(stream, "__aiter__"):
        async for event in stream:
            yield event
    else:
        for event in stream:
            yield event


@asynccontextmanager
async def entered(manager: Any) -> AsyncIterator[Any]:
    """Inside `manager`, whichever kind it is."""
    if hasattr(manager, "__aenter__"):
        async with manager as value:
            yield value
    else:
        with manager as value:
            yield value
