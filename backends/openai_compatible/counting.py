"""Counting the tokens of a prompt: by the server where it can, else by an estimate that is rather too high.

The estimate takes one token for three small letters or spaces, one for every capital, digit and sign, one for every
character of a word that mixes letters with digits, two for three bytes of any other script, and some for the frame of
each message. Tokenizers of today's models stay below it for prose, code, tables and other scripts; a budget made with
it is safe, and up to half of a context may stay unused.
"""

import json
import re
from typing import Any

from ...engine.chat import ChatMessage, ChatRequest, ImagePart
from .body import Writing, prompt_body
from .connection import Connection
from .faults import TryAgain
from .probe import Facts
from .untrusted import count, items, string

_PER_MESSAGE = 8
_PER_PICTURE = 1536
_START = 16
_WORDS = re.compile(r"[A-Za-z0-9]+")


def estimate_text(text: str) -> int:
    """About how many tokens a text has at most."""
    small = codes = signs = 0
    for word in _WORDS.findall(text):
        if word.isalpha() or word.isdigit():
            letters = sum("a" <= char <= "z" for char in word)
            small, signs = small + letters, signs + len(word) - letters
        else:
            codes += len(word)  # a hash, a key, a name with numbers
    others = _WORDS.sub("", text)
    spaces = others.count(" ")
    plain = sum(char.isascii() for char in others)
    foreign = len(others.encode("utf-8", "replace")) - plain
    return -(-(small + spaces) // 3) + codes + signs + plain - spaces + -(-foreign * 2 // 3)


def estimate_prompt(request: ChatRequest) -> int:
    """About how many tokens a prompt has at most, its tools included."""
    tools = [[tool.name, tool.description, tool.parameters] for tool in request.tools]
    shown = estimate_text(json.dumps(tools, ensure_ascii=False)) if tools else 0
    return _START + shown + sum(_estimate_message(message) for message in request.messages)


async def count_prompt(
    connection: Connection, url: str, facts: Facts, request: ChatRequest, writing: Writing
) -> int:
    """Tokens of a prompt on the server at `url`; an estimate where it cannot tell, or not at the moment."""
    if facts.counting == "estimate":
        return estimate_prompt(request)
    body = prompt_body(request, writing)
    try:
        counted = await _COUNTERS[facts.counting](connection, url, body)
    except TryAgain:
        counted = None
    return estimate_prompt(request) if counted is None else counted


async def _input_tokens(connection: Connection, url: str, body: dict[str, Any]) -> int | None:
    answer = await connection.ask("POST", f"{url}/v1/chat/completions/input_tokens", body)
    return count(answer.fields.get("input_tokens"))


async def _template(connection: Connection, url: str, body: dict[str, Any]) -> int | None:
    prompt = (await connection.ask("POST", f"{url}/apply-template", body)).fields.get("prompt")
    if not isinstance(prompt, str):
        return None
    asked = {"content": string(prompt), "add_special": True, "parse_special": True}
    answer = await connection.ask("POST", f"{url}/tokenize", asked)
    return len(items(answer.fields.get("tokens"))) or None


async def _tokenize(connection: Connection, url: str, body: dict[str, Any]) -> int | None:
    answer = await connection.ask("POST", f"{url}/tokenize", body)
    return count(answer.fields.get("count"))


_COUNTERS = {"input_tokens": _input_tokens, "template": _template, "tokenize": _tokenize}


def _estimate_message(message: ChatMessage) -> int:
    calls = (estimate_text(call.name + call.arguments) + 24 for call in message.tool_calls)
    pictures = sum(isinstance(part, ImagePart) for part in message.content)
    said = estimate_text(message.text)
    return _PER_MESSAGE + said + sum(calls) + pictures * _PER_PICTURE
