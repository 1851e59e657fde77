"""A real KV pool of a toy model with its sequences and its parking, driven token by token, for tests."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from local_assistants.backends.llama_cpp import LlamaSettings
from local_assistants.backends.llama_cpp.batch import Span
from local_assistants.backends.llama_cpp.context import NativeContext, Outcome
from local_assistants.backends.llama_cpp.kv.answers import AnswerMemory
from local_assistants.backends.llama_cpp.kv.parking import Parking
from local_assistants.backends.llama_cpp.kv.parking_place import open_parking
from local_assistants.backends.llama_cpp.kv.sequences import Resident, Residents
from local_assistants.backends.llama_cpp.loading.identity import model_identity
from local_assistants.backends.llama_cpp.native import NativeModel

PATIENCE = 60.0  # seconds after which a test that waits for the disk has failed
SETTINGS = LlamaSettings(context_tokens=512, threads=1, sequences=4, parallel=4, prefill_chunk=64)


@dataclass(frozen=True)
class Heard:
    """What a turn came to: how many tokens of its prompt were known, and what was said."""

    cached: int
    said: list[int]


@dataclass
class KVPool:
    """A loaded model."""

    context: NativeContext
    parking: Parking
    answers: AnswerMemory
    residents: Residents

    def evaluate(self, resident: Resident, ids: Sequence[int]) -> int:
        """Evaluate what a sequence lacks of `ids`, making room as the scheduler does; the likeliest next token."""
        row = 0
        while len(resident.tokens) < len(ids):
            start = len(resident.tokens)
            part = list(ids[start : start + SETTINGS.prefill_chunk])
            last = start + len(part) == len(ids)
            outcome = self.context.decode([Span(part, start, resident.number, last)])
            if outcome is Outcome.FULL:
                assert self.residents.evict(), "the pool is full of what is at work"
                continue
            assert outcome is Outcome.DONE
            self.residents.extend(resident, part)
            row = len(part) - 1
        return int(np.argmax(self.context.logits(row)))

    def turn(self, session: str | None, ids: Sequence[int], length: int = 3) -> Heard:
        """A whole turn: take a sequence, evaluate, say `length` tokens greedily, release it."""
        resident = self.residents.take(ids, session)
        cached, said = len(resident.tokens), list[int]()
        for _ in range(length):
            said.append(self.evaluate(resident, [*ids, *said]))
        self.residents.release(resident)
        return Heard(cached, said)

    def park_everything(self) -> None:
        """Write as the scheduler does when nobody asks for anything."""
        while self.residents.park_idle():
            assert self.parking.flush(PATIENCE)


@contextmanager
def kv_pool(
    model: Path,
    folder: Path | None = None,
    *,
    can_rewind: bool = True,
    **settings: int | str | None,
) -> Iterator[KVPool]:
    """A pool of `SETTINGS` with others of these; closed as an engine closes it."""
    chosen = replace(SETTINGS, park_folder=folder, **settings)  # type: ignore[arg-type]
    native = NativeModel(model, chosen)
    context = NativeContext(native, chosen)
    parking = open_parking(chosen, model_identity(model))
    answers = AnswerMemory(parking.answers)
    residents = Residents(
        context,
        chosen.sequences,
        can_rewind=can_rewind,
        parking=parking,
        answers=answers.of,
    )
    try:
        yield KVPool(context, parking, answers, residents)
    finally:
        residents.close()
        context.free()
        native.free()
