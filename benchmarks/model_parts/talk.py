"""What is asked, and how an answer of our backend is timed.

Prompts of a round share no beginning with those of another round, so that only what a row is about is reused.
"""

import asyncio
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any, Protocol

from local_assistants.engine.chat import (
    ChatMessage,
    ChatRequest,
    Delta,
    Finish,
    TextDelta,
    ToolCallDelta,
    UsageDelta,
)

_NAMES = ("copper", "barley", "cotton", "timber", "pepper", "marble", "walnut", "saffron")


class Streams(Protocol):
    """A backend, in this process or another."""

    def stream(self, request: ChatRequest) -> Any:
        """The deltas of an answer."""
        ...


def story(key: str, facts: int = 0) -> str:
    """A question that is answered at length. Each fact adds about 13 tokens."""
    listed = " ".join(
        f"{_NAMES[n % 8].title()} {n} costs {n * 7 % 13 + 2} coins at {key}." for n in range(facts)
    )
    return f"For {key}: {listed} Write a very long story about a merchant, with every detail."


def user(text: str) -> ChatMessage:
    """A message of the user."""
    return ChatMessage(role="user", content=text)


def request(text: str, tokens: int, **more: Any) -> ChatRequest:
    """A question alone, answered greedily."""
    return ChatRequest((user(text),), temperature=0, max_tokens=tokens, **more)


@dataclass
class Answer:
    """An answer and when its parts came (`time.perf_counter`)."""

    began: float
    times: list[float] = field(default_factory=list[float])
    ended: float = 0.0
    text: str = ""
    calls: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    usage: UsageDelta = field(default_factory=lambda: UsageDelta(0, 0))
    reason: str = ""

    def take(self, delta: Delta) -> None:
        """One more delta."""
        now = time.perf_counter()
        if isinstance(delta, TextDelta):
            self.text += delta.text
            self.times.append(now)
        elif isinstance(delta, ToolCallDelta):
            self._call(delta)
            self.times.append(now)
        elif isinstance(delta, UsageDelta):
            self.usage = delta
        elif isinstance(delta, Finish):
            self.ended, self.reason = now, delta.reason

    def _call(self, delta: ToolCallDelta) -> None:
        if delta.index == len(self.calls):
            self.calls.append((delta.name or "", ""))
        name, arguments = self.calls[delta.index]
        self.calls[delta.index] = (name, arguments + delta.arguments)

    @property
    def first(self) -> float:
        """Seconds to the first of it."""
        return self.times[0] - self.began

    @property
    def tokens(self) -> int:
        """Tokens that were decoded; the one that ended it was, too."""
        return self.usage.completion_tokens + (self.reason == "stop")

    @property
    def rate(self) -> float:
        """Tokens a second, after the first."""
        return (self.tokens - 1) / (self.ended - self.times[0])

    def within(self, begin: float, end: float) -> float:
        """Tokens of a stretch of time. A delta may stand for more or less than a token."""
        seen = sum(begin < at <= end for at in self.times)
        return seen * self.usage.completion_tokens / len(self.times)

    def gaps(self, begin: float, end: float) -> list[float]:
        """Seconds between its parts, for each that came in a stretch of time."""
        return [after - before for before, after in pairwise(self.times) if begin < after <= end]


async def ask(backend: Streams, wanted: ChatRequest) -> Answer:
    """One answer."""
    answer = Answer(time.perf_counter())
    async for delta in backend.stream(wanted):
        answer.take(delta)
    return answer


async def ask_all(backend: Streams, wanted: Sequence[ChatRequest]) -> list[Answer]:
    """Answers at the same time."""
    return await asyncio.gather(*(ask(backend, each) for each in wanted))


async def decode_rate(backend: Streams, wanted: Sequence[ChatRequest]) -> float:
    """Tokens a second of all together while all are at work, prompts not counted.

    The prompts are evaluated before, by answers of one token; what is left of them is one token each.
    """
    kept = [replace(each, session=secrets.token_hex(4)) for each in wanted]
    await ask_all(backend, [replace(each, max_tokens=1) for each in kept])
    answers = await ask_all(backend, kept)
    if len(answers) == 1:
        return answers[0].rate
    begin = max(answer.times[0] for answer in answers)
    end = min(answer.ended for answer in answers)
    return sum(answer.within(begin, end) for answer in answers) / (end - begin)


def whole_rate(answers: Sequence[Answer]) -> float:
    """Tokens a second of all together, from the first question to the end of the last answer."""
    tokens = sum(answer.tokens for answer in answers)
    return tokens / (max(a.ended for a in answers) - min(a.began for a in answers))
