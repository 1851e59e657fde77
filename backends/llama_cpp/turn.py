"""One answer while it is written: choosing tokens, and making text, tool calls and an end of them.

A turn runs on the thread that owns the context. It knows nothing of sequences, of other turns or of where its deltas
go.
"""

import codecs
import json
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ...engine.chat import (
    ChatMessage,
    ChatRequest,
    Delta,
    Finish,
    TextDelta,
    ToolCall,
    ToolCallDelta,
    ToolSchema,
    UsageDelta,
)
from ...engine.errors import BackendFault, InvalidRequest
from ..text import StopStrings
from .call_openings import TAGS
from .context import NativeContext
from .grammar import SPEECH, CallGrammar, response_grammar, response_rules
from .library import Vocabulary
from .prompts import Prompt
from .sampling import Grammar, Penalties, Sampler
from .tool_calls import CallParser

_JSON_ENDS = frozenset('}]"')


@dataclass(frozen=True, slots=True)
class Fragment:
    """What a step came to: deltas to send, perhaps none yet, and the ids of the tokens chosen."""

    deltas: tuple[Delta, ...]
    tokens: tuple[int, ...]


class Turn:
    """The answer to one request.

    Made on any thread, before the turn gets a place in the context, so that a request that cannot be served costs
    nobody anything.

    Raises:
        InvalidRequest: a schema cannot be enforced, or the forced tool is not among the tools.
    """

    def __init__(
        self,
        request: ChatRequest,
        prompt: Prompt,
        vocabulary: Vocabulary,
        *,
        min_p: float,
        penalties: Penalties | None = None,
    ) -> None:
        self._vocabulary = vocabulary
        self._prompt = prompt
        self._request = request
        self._sampler = Sampler(
            temperature=request.temperature,
            top_p=request.top_p,
            min_p=min_p,
            seed=_seed(request.seed),
            vocabulary_size=vocabulary.size,
            penalties=penalties,
        )
        self._stops = StopStrings(request.stop)
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._ids: list[int] = []
        self._complete_calls = self._ids_of_calls = (
            0  # calls, and the tokens up to the last one's end
        )
        self._deltas: list[Delta] = []
        self._text: list[str] = []
        self._calls: list[tuple[str, str]] = []
        self.cached = 0
        self.finished: Finish | None = None
        self._parser, self._tools = self._make_parser()
        self._grammar = self._make_grammar()
        self._opening = self._grammar is None and _has_to_speak(request)
        if self._opening:
            self._grammar = self._parsed(SPEECH)
        self._enforced = self._grammar is not None
        if self._parser is not None and prompt.prefix:
            self._show(self._parser.feed(prompt.prefix))

    # --- what the request asks for -------------------------------------------------------------

    def _make_parser(self) -> tuple[CallParser | None, CallGrammar | None]:
        request = self._request
        tools = request.tools
        if request.forced_tool:
            tools = tuple(tool for tool in tools if tool.name == request.forced_tool)
            if not tools:
                raise InvalidRequest(
                    f"tool_choice names '{request.forced_tool}', which is not among the tools.",
                    param="tool_choice",
                )
        elif request.tool_choice == "none" or not tools:
            return None, None
        parallel = request.parallel_tool_calls and not request.forced_tool
        executed = executed_code(request.messages, tools)
        return CallParser(tools, parallel=parallel, executed=executed), CallGrammar(tools)

    def _make_grammar(self) -> Grammar | None:
        """The grammar that holds from the first token on, if any."""
        request = self._request
        if self._tools is not None and request.forced_tool:
            return self._parsed(self._tools.arguments(request.forced_tool))
        if self._tools is not None and request.tool_choice == "required":
            return self._parsed(self._tools.calls())
        rules = response_rules(request.response_format or {})
        if rules is None:
            return None
        text = self._tools.calls_or(rules) if self._tools is not None else response_grammar(rules)
        return self._parsed(text)

    def _parsed(self, grammar: str) -> Grammar:
        try:
            return Grammar(self._vocabulary, grammar)
        except BackendFault as error:
            raise InvalidRequest(
                "llama.cpp cannot enforce a schema of this request; simplify its patterns."
            ) from error

    # --- token by token ------------------------------------------------------------------------

    def choose(self, context: NativeContext, row: int) -> int:
        """The next token, given the scores of `row` of the context's last step.

        Raises:
            BackendFault: no token fits the grammar.
        """
        if self._grammar is not None and self._enforced:
            return self._sampler.choose_within(self._grammar, context, row)
        token = self._sampler.choose(context, row)
        if self._tools is None or self._vocabulary.is_end(token):
            return token
        return self._watched(token, context, row)

    def take(self, token: int) -> list[Delta]:
        """What there is to send now that `token` was chosen; Finish is the last of it when the turn is over."""
        self._sampler.accept(token)
        if self._vocabulary.is_end(token):
            return self._end("stop")
        self._ids.append(token)
        text = self._decoder.decode(self._bytes(token))
        self._show(self._parser.feed(text) if self._parser else [TextDelta(text)] if text else [])
        self._follow_grammar(text)
        if self._parser is not None and self._parser.done and self.finished is None:
            self._ids = self._ids[
                : self._ids_of_calls
            ]  # what came after the calls is not part of the answer
            return self._end("stop")
        if self._stops.hit:
            return self._end("stop")
        limit = self._request.max_tokens
        if self.finished is None and limit is not None and len(self._ids) >= limit:
            return self._end("length")
        return self._sent()

    def replay(self, tokens: Sequence[int]) -> None:
        """Put a fresh turn where it was after these tokens had been chosen and taken. Nothing is sent for them.

        Raises:
            BackendFault: these are not tokens that this turn could have chosen.
        """
        for token in tokens:
            if self.finished is not None or not 0 <= token < self._vocabulary.size:
                raise BackendFault("The tokens to be replayed do not belong to this turn.")
            self._accept(token)
            self.take(token)

    def cut(self) -> list[Delta]:
        """What there is to send when no more tokens fit the context."""
        return self._end("length")

    def answer(self) -> tuple[ChatMessage, list[int]]:
        """The finished message as the engine will show it again, and the tokens that say it."""
        calls = tuple(ToolCall(id="", name=name, arguments=text) for name, text in self._calls)
        message = ChatMessage(role="assistant", content="".join(self._text), tool_calls=calls)
        start = list(self._prompt.ids[len(self._prompt.ids) - self._prompt.prefilled :])
        ids = start + self._ids
        if self._request.forced_tool and self._parser is not None and self._parser.calls:
            ids += self._vocabulary.tokenize("}", special=False)
        return message, ids

    # --- grammar -------------------------------------------------------------------------------

    def _watched(self, token: int, context: NativeContext, row: int) -> int:
        """Auto mode: a grammar goes along from the brace of what may be a call, and takes over when it is sure."""
        opened = self._opened_by(token) if self._grammar is None else None
        if opened is not None and opened.sure and not opened.grammar.allows(token):
            token = self._sampler.choose_within(opened.grammar, context, row)
            opened = self._opened_by(token)
        self._follow(token, opened)
        return token

    def _accept(self, token: int) -> None:
        """Tell the grammar of a token that was chosen in another life of this turn."""
        if self._grammar is not None and self._enforced:
            if not self._grammar.accept(token):
                raise BackendFault("The tokens to be replayed do not fit what the request allows.")
        elif self._tools is not None and not self._vocabulary.is_end(token):
            self._follow(token, self._opened_by(token) if self._grammar is None else None)

    def _follow(self, token: int, opened: "_Opened | None") -> None:
        """Let the grammar that goes along see `token`, or begin one. Depends on nothing but the tokens so far."""
        if self._grammar is not None:
            if not self._grammar.accept(token):
                self._grammar = None
            return
        if opened is not None and opened.grammar.accept(token):
            self._grammar, self._enforced = opened.grammar, opened.sure

    def _opened_by(self, token: int) -> "_Opened | None":
        """The grammar for what `token` would begin if it holds the brace of a possible call."""
        text = self._bytes(token).decode("utf-8", "ignore")
        at = self._parser.opens_object(text) if self._parser and "{" in text else None
        if at is None or self._tools is None or self._parser is None:
            return None
        ahead = self._parser.fork()
        ahead.feed(text[: at + 1])
        grammar = Grammar(self._vocabulary, self._tools.calls(before=text[:at]))
        return _Opened(grammar, sure=ahead.committed)

    def _follow_grammar(self, text: str) -> None:
        """Let a grammar take over, or go when what it describes is complete."""
        if self._grammar is None:
            return
        if self._opening:
            if text.strip():
                self._grammar, self._enforced, self._opening = None, False, False
        elif not self._enforced:
            self._enforced = self._parser is not None and self._parser.committed
            if not self._enforced and self._parser is not None and not self._parser.in_object:
                self._grammar = None
        elif not _JSON_ENDS.isdisjoint(text) and self._grammar.complete:
            self._grammar, self._enforced = None, False
            called = self._parser is not None and self._parser.calls > 0
            if self._request.forced_tool or not called:
                self._deltas = self._end("stop")

    # --- what is sent --------------------------------------------------------------------------

    def _show(self, deltas: Iterable[Delta]) -> None:
        for delta in deltas:
            if isinstance(delta, TextDelta):
                self._show_text(self._stops.feed(delta.text))
            elif isinstance(delta, ToolCallDelta) and not self._stops.hit:
                self._show_text(self._stops.flush())
                self._note_call(delta)
                self._deltas.append(delta)
        if self._parser is not None and self._parser.calls > self._complete_calls:
            self._complete_calls, self._ids_of_calls = self._parser.calls, len(self._ids)

    def _show_text(self, text: str) -> None:
        if text:
            self._text.append(text)
            self._deltas.append(TextDelta(text))

    def _note_call(self, delta: ToolCallDelta) -> None:
        if delta.index == len(self._calls):
            self._calls.append((delta.name or "", delta.arguments))
        else:
            name, arguments = self._calls[delta.index]
            self._calls[delta.index] = (name, arguments + delta.arguments)

    def _end(self, reason: Literal["stop", "length"]) -> list[Delta]:
        if self.finished is not None:
            return self._sent()
        if self._parser is not None:
            self._show(self._parser.end(cut=reason == "length"))
        if not self._stops.hit:
            self._show_text(self._stops.flush())
        called = reason == "stop" and bool(self._calls)
        self.finished = Finish("tool_calls" if called else reason)
        prompt = len(self._prompt.ids)
        usage = UsageDelta(prompt, len(self._ids), min(self.cached, prompt))
        self._deltas += [usage, self.finished]
        return self._sent()

    def _sent(self) -> list[Delta]:
        deltas, self._deltas = self._deltas, []
        return deltas

    def _bytes(self, token: int) -> bytes:
        """The token's text; of control tokens only those that open a call have one."""
        written = self._vocabulary.written(token)
        return written.encode() if written in TAGS else self._vocabulary.piece(token)


@dataclass(frozen=True, slots=True)
class _Opened:
    """A grammar at its start, and whether it is sure that a call follows."""

    grammar: Grammar
    sure: bool


def _has_to_speak(request: ChatRequest) -> bool:
    """Whether tools were called before and may not be called now: small models go on writing calls all the same."""
    called = any(message.tool_calls for message in request.messages)
    return request.tool_choice == "none" and not request.forced_tool and called


def executed_code(messages: Sequence[ChatMessage], tools: Sequence[ToolSchema]) -> list[str]:
    """Source code that was run since the user spoke last."""
    keys = {tool.name: tool.code_argument for tool in tools if tool.code_argument}
    code: list[str] = []
    for message in messages:
        code = [] if message.role == "user" else code
        for call in message.tool_calls:
            if call.name in keys:
                code.append(_argument(call.arguments, str(keys[call.name])))
    return [text for text in code if text]


def _argument(arguments: str, key: str) -> str:
    try:
        value: Any = json.loads(arguments)
        return str(value[key])
    except (KeyError, TypeError, ValueError):
        return ""


def _seed(seed: int | None) -> int:
    return secrets.randbits(32) if seed is None else seed & 0xFFFFFFFF
