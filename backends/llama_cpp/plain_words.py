"""Conversations put in simpler terms, for chat templates that do not know tools, system messages or several calls."""

import json
from collections.abc import Sequence
from typing import Any

Message = dict[str, Any]


def describe_tools(tools: Sequence[dict[str, Any]], key: str) -> str:
    """Tools and how to call them, for a system message."""
    listed = "\n".join(json.dumps(tool["function"], ensure_ascii=False) for tool in tools)
    return (
        f"You can call these functions:\n{listed}\n"
        "To call one, answer with nothing but a JSON object: "
        f'{{"name": "the function", "{key}": {{its arguments}}}}'
    )


def without_tools(
    messages: list[Message], tools: Sequence[dict[str, Any]], key: str
) -> list[Message]:
    """The same conversation for a template that knows neither tools nor their answers.

    `key`: what the arguments are called in the JSON of a call.
    """
    plain = [_plain(message, key) for message in messages]
    if not tools:
        return _merged(plain)
    has_system = bool(plain) and plain[0]["role"] == "system"
    rules = plain[0]["content"] + "\n\n" if has_system else ""
    return _merged(
        [system_message(rules + describe_tools(tools, key)), *plain[1 if has_system else 0 :]]
    )


def _plain(message: Message, key: str) -> Message:
    if message["role"] == "tool":
        name = message.get("name") or "the function"
        return {"role": "user", "content": f"Result of {name}:\n{message['content']}"}
    calls = [call["function"] for call in message.get("tool_calls") or ()]
    named = [{"name": call["name"], key: call["arguments"]} for call in calls]
    written = [json.dumps(call, ensure_ascii=False) for call in named]
    text = "\n".join(part for part in (message["content"], *written) if part)
    return {"role": message["role"], "content": text}


def _merged(messages: list[Message]) -> list[Message]:
    """Neighbours of one role as one message: several templates insist that roles alternate."""
    merged: list[Message] = []
    for message in messages:
        if merged and merged[-1]["role"] == message["role"] != "system":
            merged[-1] = {**message, "content": merged[-1]["content"] + "\n\n" + message["content"]}
        else:
            merged.append(message)
    return merged


def without_system(messages: list[Message]) -> list[Message]:
    """System messages said by the user."""
    as_user = [{**each, "role": "user"} if each["role"] == "system" else each for each in messages]
    return _merged(as_user)


def system_message(text: str) -> Message:
    """The instructions."""
    return {"role": "system", "content": text}


def one_call_at_a_time(messages: list[Message]) -> list[Message]:
    """Each call of an answer as an answer of its own, followed by its result."""
    apart: list[Message] = []
    at = 0
    while at < len(messages):
        message, at = messages[at], at + 1
        calls = message.get("tool_calls") or ()
        if len(calls) < 2:
            apart.append(message)
            continue
        results: list[Message] = []
        while at < len(messages) and messages[at]["role"] == "tool":
            results.append(messages[at])
            at += 1
        for call in calls:
            own = [each for each in results if each.get("tool_call_id") == call["id"]]
            apart += [{**message, "tool_calls": [call]}, *own]
            results = [each for each in results if each not in own]
        apart += results
    return apart
