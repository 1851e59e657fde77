"""What the model may write next: a grammar that holds, one that goes along with what may become a call, or none.

What is demanded (a forced or required call, JSON) holds from the first token on. In speech a grammar goes along from
the brace of what may be a call and takes over when that is sure; so arguments always fit their schema. Everything
here depends on the request and the tokens so far only: a turn that is replayed comes to the same state.
"""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from ...engine.chat import ChatMessage, ChatRequest, ToolSchema
from ...engine.errors import BackendFault, InvalidRequest
from .calls.tool_calls import CallParser
from .dialects.forms import JSON_FORMATS, AnswerForm, has_called
from .grammars.calls import SPEECH, CallGrammar, response_grammar
from .native import Vocabulary
from .sampling import Grammar

_ENDS = frozenset('}]"')  # of JSON objects, lists and strings


class Constraint:
    """The grammars of one turn, and the parser that tells when they are due.

    Raises:
        InvalidRequest: a schema cannot be enforced, or the forced tool is not among the tools.
    """

    def __init__(self, request: ChatRequest, form: AnswerForm, vocabulary: Vocabulary) -> None:
        self._request = request
        self._form = form
        self._vocabulary = vocabulary
        tools = _callable_tools(request)
        self.parser = _parser(request, form, tools) if tools else None
        offered = tools if request.forced_tool else _with_reply(tools, form)
        self._calls = CallGrammar(offered, form.dialect) if tools else None
        first = self._first([tool.name for tool in tools])
        self._until_words = first is None and _has_to_speak(request)
        if self._until_words:
            first = SPEECH
        self._grammar = self._parsed(first) if first else None
        self._holds = self._grammar is not None

    def _first(self, tools: Sequence[str]) -> str | None:
        """The grammar that holds from the first token on, if any."""
        request, calls = self._request, self._calls
        if calls is not None and request.forced_tool:
            return None if self._form.block else calls.forced(request.forced_tool)
        if calls is not None and request.tool_choice == "required":
            return calls.required(tools)
        if calls is not None and self._form.routed:
            return calls.required()
        wanted = request.response_format or {}
        if calls is not None and wanted.get("type") in JSON_FORMATS:
            return calls.required_or(wanted)
        return response_grammar(wanted)

    def _parsed(self, grammar: str) -> Grammar:
        try:
            return Grammar(self._vocabulary, grammar)
        except BackendFault as error:
            raise InvalidRequest(
                "llama.cpp cannot enforce a schema of this request; simplify it."
            ) from error

    # --- before a token is chosen for good -----------------------------------------------------

    @property
    def grammar(self) -> Grammar | None:
        """The grammar that holds now. It accepts the token it chooses."""
        return self._grammar if self._holds else None

    @property
    def demands_call(self) -> bool:
        """Whether what is being written can only be a call (or an answer in its form)."""
        wanted = (self._request.response_format or {}).get("type")
        return self._holds and not self._until_words and wanted not in JSON_FORMATS

    def instead_of(self, token: int, text: str) -> Grammar | None:
        """Where no grammar holds: the one within which another token must be chosen, None if this one will do."""
        if self._goes_along(token):
            return None
        for grammar, sure in self._due(text):
            if grammar.allows(token):
                return None
            if sure:
                return grammar
        return None

    def follow(self, token: int, text: str) -> None:
        """Where no grammar holds: let the one that goes along see the token, or begin one."""
        if self._goes_along(token) and self._grammar is not None:
            self._grammar.accept(token)
            return
        self._grammar = None
        for grammar, sure in self._due(text):
            if grammar.accept(token):
                self._grammar, self._holds = grammar, sure
                return

    def _goes_along(self, token: int) -> bool:
        return self._grammar is not None and self._grammar.allows(token)

    def _due(self, text: str) -> Iterator[tuple[Grammar, bool]]:
        """Grammars for the braces in a text to come, and whether a call is sure to follow."""
        if self._calls is None or self.parser is None or "{" not in text:
            return
        for brace in self.parser.foresee(text):
            before = text[: brace.at]
            rules = self._calls.spontaneous(before)
            if brace.tool is not None:
                rules = self._calls.arguments(brace.tool, before)
            yield Grammar(self._vocabulary, rules), brace.sure

    # --- after it was taken ----------------------------------------------------------------------

    def vouch(self) -> None:
        """Tell the parser whether a grammar stands behind what it reads next."""
        if self.parser is not None:
            self.parser.vouched = self._grammar is not None

    def advance(self, text: str) -> bool:
        """Let a grammar begin, take over, or go when what it describes is complete. True: the turn is over with it."""
        if self._grammar is None:
            self._begin()
        elif self._until_words:
            if text.strip():
                self._grammar, self._holds, self._until_words = None, False, False
        elif not self._holds:
            self._holds = self.parser is not None and self.parser.committed
            if not self._holds and not (self.parser is not None and self.parser.in_object):
                self._grammar = None
        elif not _ENDS.isdisjoint(text) and self._grammar.complete:
            self._grammar, self._holds = None, False
            called = self.parser is not None and self.parser.calls > 0
            return bool(self._request.forced_tool) or not called
        return False

    def _begin(self) -> None:
        """Where only a name or only arguments can follow, they are demanded."""
        if self.parser is None or self._calls is None:
            return
        awaited, rules = self.parser.awaits, None
        if awaited == "name" and self._form.dialect.between:
            rules = self._calls.named()
        elif awaited == "arguments" and self.parser.tool is not None:
            rules = self._calls.arguments(self.parser.tool)
        if rules is not None:
            self._grammar, self._holds = Grammar(self._vocabulary, rules), True


def _callable_tools(request: ChatRequest) -> tuple[ToolSchema, ...]:
    if not request.forced_tool:
        return request.tools if request.tool_choice != "none" else ()
    tools = tuple(tool for tool in request.tools if tool.name == request.forced_tool)
    if not tools:
        raise InvalidRequest(
            f"tool_choice names '{request.forced_tool}', which is not among the tools.",
            param="tool_choice",
        )
    return tools


def _parser(request: ChatRequest, form: AnswerForm, tools: tuple[ToolSchema, ...]) -> CallParser:
    demanded = request.forced_tool or request.tool_choice == "required"
    return CallParser(
        tools,
        parallel=request.parallel_tool_calls and not request.forced_tool,
        executed=() if demanded else executed_code(request.messages, tools),
        reply=None if demanded else form.reply,
    )


def _with_reply(tools: tuple[ToolSchema, ...], form: AnswerForm) -> tuple[ToolSchema, ...]:
    return (*(tool for tool in form.shown if tool.name == form.reply), *tools)


def _has_to_speak(request: ChatRequest) -> bool:
    """Whether tools were called before and may not be called now: small models go on writing calls all the same."""
    return request.tool_choice == "none" and not request.forced_tool and has_called(request)


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
    except (KeyError, TypeError, ValueError, RecursionError):
        return ""
