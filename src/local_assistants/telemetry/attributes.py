"""Attributes of spans, named after OpenTelemetry's conventions for generative AI (the state of semconv 1.40).

Names of our own begin with `local_assistants.`. Content, that is what users, models and tools wrote, is in functions of
its own, and never in a name or an attribute that the others make.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from local_assistants.engine.chat import ChatMessage, ImagePart
from local_assistants.engine.objects import Run
from local_assistants.engine.observer import CallSeen, TurnSeen

Value = str | bool | int | float | list[str]
PROVIDER = "local_assistants"
MOST_TEXT = 20_000
"""Characters of one text in a span; the rest is left out, and said to be."""

_TOOL_TYPES = {"file_search": "datastore"}


def of_run(run: Run) -> dict[str, Value]:
    """Of the span of an execution, known at its beginning."""
    return {
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.provider.name": PROVIDER,
        "gen_ai.agent.id": run.assistant_id,
        "gen_ai.conversation.id": run.thread_id,
        "gen_ai.request.model": run.model,
        "local_assistants.run.id": run.id,
        "local_assistants.run.taken_up_again": run.started_at is not None,
    }


def of_status(data: Mapping[str, Any]) -> dict[str, Value]:
    """What a run came to, of the wire form that its last event carries."""
    found: dict[str, Value] = {"local_assistants.run.status": data["status"]}
    usage: Mapping[str, int] = data.get("usage") or {}
    if usage:
        found["gen_ai.usage.input_tokens"] = usage["prompt_tokens"]
        found["gen_ai.usage.output_tokens"] = usage["completion_tokens"]
    if data.get("incomplete_details"):
        found["local_assistants.run.incomplete_reason"] = data["incomplete_details"]["reason"]
    return found


def of_request(turn: TurnSeen) -> dict[str, Value]:
    """Of a turn's span, known at its beginning."""
    request = turn.request
    found: dict[str, Value] = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": PROVIDER,
        "gen_ai.conversation.id": turn.run.thread_id,
        "gen_ai.request.model": turn.run.model,
        "gen_ai.request.stream": True,
        "gen_ai.request.temperature": request.temperature,
        "gen_ai.request.top_p": request.top_p,
        "gen_ai.output.type": "json" if request.response_format else "text",
        "local_assistants.run.id": turn.run.id,
    }
    if request.seed is not None:
        found["gen_ai.request.seed"] = request.seed
    if request.max_tokens is not None:
        found["gen_ai.request.max_tokens"] = request.max_tokens
    if request.stop:
        found["gen_ai.request.stop_sequences"] = list(request.stop)
    return found


def of_answer(turn: TurnSeen) -> dict[str, Value]:
    """What a turn came to."""
    found: dict[str, Value] = {"gen_ai.response.model": turn.model}
    if turn.usage is not None:
        found["gen_ai.usage.input_tokens"] = turn.usage.prompt_tokens
        found["gen_ai.usage.output_tokens"] = turn.usage.completion_tokens
        found["gen_ai.usage.cache_read.input_tokens"] = turn.usage.cached_tokens
    if turn.first is not None:
        found["gen_ai.response.time_to_first_chunk"] = turn.first
    if turn.reason is not None:
        found["gen_ai.response.finish_reasons"] = [_reason(turn)]
    return found


def of_call(call: CallSeen) -> dict[str, Value]:
    """Of a tool call's span."""
    return {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": call.call.name,
        "gen_ai.tool.call.id": call.call.id,
        "gen_ai.tool.type": _TOOL_TYPES.get(call.call.name, "extension"),
        "local_assistants.run.id": call.run_id,
    }


def request_content(turn: TurnSeen) -> dict[str, Value]:
    """The prompt and the tools on offer, as JSON."""
    system = [each for each in turn.request.messages if each.role == "system"]
    others = [each for each in turn.request.messages if each.role != "system"]
    tools = [
        {"type": "function", "name": each.name, "description": each.description}
        for each in turn.request.tools
    ]
    found: dict[str, Value] = {"gen_ai.input.messages": _json(map(_message, others))}
    if system:
        parts = (part for each in system for part in _parts(each))
        found["gen_ai.system_instructions"] = _json(parts)
    if tools:
        found["gen_ai.tool.definitions"] = _json(tools)
    return found


def answer_content(turn: TurnSeen) -> dict[str, Value]:
    """What the model said and called, as JSON."""
    if turn.answer is None:
        return {}
    message = {**_message(turn.answer), "finish_reason": _reason(turn)}
    return {"gen_ai.output.messages": _json([message])}


def call_content(call: CallSeen) -> dict[str, Value]:
    """What the tool was asked and what it told the model."""
    found: dict[str, Value] = {"gen_ai.tool.call.arguments": _cut(call.call.arguments)}
    if call.result is not None:
        found["gen_ai.tool.call.result"] = _cut(call.result.output)
    return found


def _reason(turn: TurnSeen) -> str:
    """In the words of the conventions."""
    return "tool_call" if turn.reason == "tool_calls" else turn.reason or "error"


def _message(message: ChatMessage) -> dict[str, Any]:
    return {"role": message.role, "parts": _parts(message)}


def _parts(message: ChatMessage) -> list[dict[str, Any]]:
    if message.role == "tool":
        result = {"id": message.tool_call_id, "response": _cut(message.text)}
        return [{"type": "tool_call_response", **result}]
    parts: list[dict[str, Any]] = []
    if message.text:
        parts.append({"type": "text", "content": _cut(message.text)})
    if not isinstance(message.content, str):
        # Its bytes, or its place on this machine, are of no use elsewhere.
        pictures = (each for each in message.content if isinstance(each, ImagePart))
        parts += [{"type": "image"} for _ in pictures]
    for call in message.tool_calls:
        called = {"id": call.id, "name": call.name, "arguments": _cut(call.arguments)}
        parts.append({"type": "tool_call", **called})
    return parts


def _cut(text: str) -> str:
    if len(text) <= MOST_TEXT:
        return text
    return f"{text[:MOST_TEXT]} [{len(text) - MOST_TEXT} characters left out]"


def _json(items: Iterable[Mapping[str, Any]]) -> str:
    return json.dumps(list(items), ensure_ascii=False)
