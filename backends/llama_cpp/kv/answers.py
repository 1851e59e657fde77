"""The very tokens that answers were written with, so that a prompt shows the model its own words unchanged.

A template pictures an answer in other tokens than the model chose, and a prompt that differs in one token has to be
evaluated again from there on. Answers are found by what they said and by whose conversation they belong to; what was
forgotten here may still lie with the conversation's parked state, from where it is read once.

Bounded by bytes, the conversation that was used longest ago goes first. Does not promise to know an answer.
"""

import hashlib
import json
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from threading import Lock

from ....engine.chat import ChatMessage
from .token_ids import packed, unpacked

Answers = Mapping[bytes, bytes]
"""What an answer said (a digest) -> its token ids, packed."""

_BUDGET = 64 << 20  # bytes
_OVERHEAD = 200  # bytes that an answer or a conversation takes besides its tokens, about


def _none(session: str) -> Answers:
    return {}


@dataclass(slots=True)
class _Conversation:
    answers: dict[bytes, bytes] = field(default_factory=dict[bytes, bytes])
    looked_up: bool = False  # whether answers that are kept elsewhere have been read


class AnswerMemory:
    """The tokens of answers given lately. Safe to use from several threads.

    Args:
        kept: reads the answers of a conversation that are kept elsewhere.
        budget: bytes to keep at most.
    """

    def __init__(self, kept: Callable[[str], Answers] = _none, budget: int = _BUDGET) -> None:
        self._kept = kept
        self._budget = budget
        self._conversations: OrderedDict[str | None, _Conversation] = OrderedDict()
        self._bytes = 0
        self._lock = Lock()

    @property
    def size(self) -> int:
        """Bytes kept, about."""
        return self._bytes

    def remember(
        self, session: str | None, message: ChatMessage, ids: Sequence[int], nth: int = 0
    ) -> None:
        """Keep the tokens of an answer of this session, which had said the same `nth` times before."""
        with self._lock:
            self._put(self._conversation(session), _digest(message, nth), packed(ids))
            self._shrink()

    def recall(
        self, session: str | None, message: ChatMessage, nth: int = 0
    ) -> tuple[int, ...] | None:
        """The tokens of this message, if it was an answer of this session; `nth` as in `remember`."""
        digest = _digest(message, nth)
        with self._lock:
            conversation = self._conversation(session)
            if digest not in conversation.answers and not conversation.looked_up:
                self._look_up(session, conversation)
            ids = conversation.answers.get(digest)
            self._shrink()
        return None if ids is None else tuple(unpacked(ids))

    def of(self, session: str) -> Answers:
        """All answers of a session that are known, oldest first."""
        with self._lock:
            conversation = self._conversations.get(session)
            return dict(conversation.answers) if conversation else {}

    def forget(self, session: str) -> None:
        """Drop the answers of a session."""
        with self._lock:
            self._drop(session)

    def _conversation(self, session: str | None) -> _Conversation:
        found = self._conversations.get(session)
        if found is None:
            found = self._conversations[session] = _Conversation()
            self._bytes += _OVERHEAD
        self._conversations.move_to_end(session)
        return found

    def _look_up(self, session: str | None, conversation: _Conversation) -> None:
        conversation.looked_up = True
        newer = conversation.answers
        conversation.answers = {}
        kept: Answers = self._kept(session) if session is not None else {}
        self._bytes -= sum(_cost(ids) for ids in newer.values())
        for digest, ids in (*kept.items(), *newer.items()):
            self._put(conversation, digest, ids)

    def _put(self, conversation: _Conversation, digest: bytes, ids: bytes) -> None:
        old = conversation.answers.pop(digest, None)
        self._bytes += _cost(ids) - (_cost(old) if old is not None else 0)
        conversation.answers[digest] = ids

    def _shrink(self) -> None:
        """Drop what was used longest ago: of the oldest conversation the oldest answers, then it itself."""
        while self._bytes > self._budget and self._conversations:
            session, conversation = next(iter(self._conversations.items()))
            if not conversation.answers:
                self._drop(session)
                continue
            digest = next(iter(conversation.answers))
            self._bytes -= _cost(conversation.answers.pop(digest))
            conversation.looked_up = True  # what is kept elsewhere would not fit either

    def _drop(self, session: str | None) -> None:
        conversation = self._conversations.pop(session, None)
        if conversation is not None:
            self._bytes -= _OVERHEAD + sum(_cost(ids) for ids in conversation.answers.values())


def _cost(ids: bytes) -> int:
    return _OVERHEAD + len(ids)


def occurrences(messages: Sequence[ChatMessage]) -> list[int]:
    """For each message how many answers before it say the same: the same words need not be the same tokens."""
    seen: Counter[object] = Counter()
    before: list[int] = []
    for message in messages:
        said = _said(message) if message.role == "assistant" else None
        before.append(seen[said])
        seen[said] += 1
    return before


def _said(message: ChatMessage) -> tuple[str, tuple[tuple[str, str], ...]]:
    """What a message says, however its arguments are spaced."""
    calls = tuple((call.name, _canonical(call.arguments)) for call in message.tool_calls)
    return message.text.strip(), calls


def _digest(message: ChatMessage, nth: int) -> bytes:
    said = json.dumps([*_said(message), nth])
    return hashlib.blake2b(said.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _canonical(arguments: str) -> str:
    try:
        return json.dumps(json.loads(arguments), sort_keys=True)
    except ValueError:
        return arguments
