"""One answer while it is written: choosing tokens, and making text, tool calls and an end of them.

A turn runs on the thread that owns the context. It knows nothing of sequences, of other turns or of where its deltas
go.
"""

import codecs
import secrets
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Literal

from ...engine.chat import (
    ChatMessage,
    ChatRequest,
    Delta,
    Finish,
    TextDelta,
    ToolCall,
    ToolCallDelta,
    UsageDelta,
)
from ...engine.errors import BackendFault
from ..text import StopStrings
from .calls.call_openings import MARKERS
from .constraint import Constraint
from .context import NativeContext
from .kv.answers import occurrences
from .native import Vocabulary
from .prompts import Prompt
from .sampling import Penalties, Sampler


@dataclass(frozen=True, slots=True)
class Fragment:
    """What a step came to: deltas to send, perhaps none yet, and the ids of the tokens chosen."""

    deltas: tuple[Delta, ...]
    tokens: tuple[int, ...]


async def deltas_of(answer: AsyncGenerator[Fragment, None]) -> AsyncGenerator[Delta, None]:
    """An answer's deltas one by one; closing this closes the answer."""
    async with aclosing(answer) as fragments:
        async for fragment in fragments:
            for delta in fragment.deltas:
                yield delta


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
        self._complete_calls = 0
        self._ids_of_calls = 0  # tokens up to the last complete call's end
        self._deltas: list[Delta] = []
        self._text: list[str] = []
        self._calls: list[tuple[str, str]] = []
        self.cached = 0
        self.finished: Finish | None = None
        self._constraint = Constraint(request, prompt.form, vocabulary)
        self._parser = self._constraint.parser
        if self._parser is not None and prompt.prefix:
            self._show(self._parser.feed(prompt.prefix))

    # --- token by token ------------------------------------------------------------------------

    def choose(self, context: NativeContext, row: int) -> int:
        """The next token, given the scores of `row` of the context's last step.

        Raises:
            BackendFault: no token fits the grammar.
        """
        constraint = self._constraint
        if constraint.grammar is not None:
            return self._sampler.choose_within(constraint.grammar, context, row)
        token = self._sampler.choose(context, row)
        if not self._vocabulary.is_end(token):
            better = constraint.instead_of(token, self._piece(token))
            if better is not None:
                token = self._sampler.choose_within(better, context, row)
            constraint.follow(token, self._piece(token))
        return token

    def take(self, token: int) -> list[Delta]:
        """What there is to send now that `token` was chosen; Finish is the last of it when the turn is over."""
        self._sampler.accept(token)
        if self._vocabulary.is_end(token):
            return self._end("stop")
        self._ids.append(token)
        text = self._decoder.decode(self._bytes(token))
        self._constraint.vouch()
        self._show(self._parser.feed(text) if self._parser else [TextDelta(text)] if text else [])
        if self._constraint.advance(text):
            return self._end("stop")
        if self._parser is not None and self._parser.done:
            if self._parser.calls:  # what came after the calls is not part of the answer
                self._ids = self._ids[: self._ids_of_calls]
            return self._end("stop")
        if self._stops.hit:
            return self._end("stop")
        limit = self._request.max_tokens
        if limit is not None and len(self._ids) >= limit:
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
            grammar = self._constraint.grammar
            if grammar is not None:
                if not grammar.accept(token):
                    raise BackendFault("The tokens to be replayed do not fit the request.")
            elif not self._vocabulary.is_end(token):
                self._constraint.follow(token, self._piece(token))
            self.take(token)

    def cut(self) -> list[Delta]:
        """What there is to send when no more tokens fit the context."""
        return self._end("length")

    def answer(self) -> tuple[ChatMessage, list[int], int]:
        """The finished message as the engine will show it again, the tokens that say it, how often it was said."""
        calls = tuple(ToolCall(id="", name=name, arguments=text) for name, text in self._calls)
        message = ChatMessage(role="assistant", content="".join(self._text), tool_calls=calls)
        start = list(self._prompt.ids[len(self._prompt.ids) - self._prompt.prefilled :])
        ids = start + self._ids
        if self._parser is not None and self._parser.calls:
            ids += self._prompt.suffix
        return message, ids, occurrences([*self._request.messages, message])[-1]

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
            sure = self._constraint.demands_call
            self._show(self._parser.end(cut=reason == "length", sure=sure))
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
        return written.encode() if written in MARKERS else self._vocabulary.piece(token)

    def _piece(self, token: int) -> str:
        return self._bytes(token).decode("utf-8", "ignore")


def _seed(seed: int | None) -> int:
    return secrets.randbits(32) if seed is None else seed & 0xFFFFFFFF
