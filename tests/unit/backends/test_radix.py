"""The index of token sequences, against what a search through all of them finds."""

from itertools import product

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from local_assistants.backends.llama_cpp.kv.radix import RadixIndex
from local_assistants.backends.llama_cpp.kv.token_ids import packed, unpacked

Ids = list[int]
_IDS = st.lists(st.sampled_from([0, 1, 256, 257]), max_size=7)  # ids that share bytes
_HOLDERS = st.integers(0, 5)


def common(left: Ids, right: Ids) -> int:
    """Ids that two sequences begin with in common, counted one by one."""
    count = 0
    while count < min(len(left), len(right)) and left[count] == right[count]:
        count += 1
    return count


def expected_longest(held: dict[int, Ids], ids: Ids) -> tuple[int, set[int]]:
    """What a search through everything finds."""
    best = max((common(each, ids) for each in held.values()), default=0)
    return best, {name for name, each in held.items() if best and common(each, ids) == best}


def expected_whole(held: dict[int, Ids], ids: Ids) -> tuple[int, set[int]]:
    """The longest sequences that `ids` begins with."""
    fitting = {name: len(each) for name, each in held.items() if ids[: len(each)] == each}
    best = max(fitting.values(), default=0)
    return best, {name for name, length in fitting.items() if length == best}


def found_longest(index: RadixIndex[int], ids: Ids) -> tuple[int, set[int]]:
    """What the index finds."""
    length, holders = index.longest(packed(ids))
    return length, set(holders)


def found_whole(index: RadixIndex[int], ids: Ids) -> tuple[int, set[int]]:
    """What the index finds."""
    length, holders = index.whole(packed(ids))
    return length, set(holders)


def test_all_small_cases() -> None:
    """Every pair of sequences of up to three ids, every question of up to four, also after one was removed."""
    sequences: list[Ids] = [
        list(each) for size in range(4) for each in product((1, 2), repeat=size)
    ]
    questions: list[Ids] = [
        list(each) for size in range(5) for each in product((1, 2), repeat=size)
    ]
    for first, second in product(sequences, repeat=2):
        for gone in (None, 0, 1):
            index, held = RadixIndex[int](), {0: first, 1: second}
            for name, ids in held.items():
                index.insert(name, packed(ids))
            if gone is not None:
                index.remove(gone)
                del held[gone]
            for ids in questions:
                assert expected_longest(held, ids) == found_longest(index, ids)
                assert expected_whole(held, ids) == found_whole(index, ids)


class _Histories(RuleBasedStateMachine):
    """Any history of insertions, extensions and removals."""

    def __init__(self) -> None:
        super().__init__()
        self.index = RadixIndex[int]()
        self.held: dict[int, Ids] = {}

    @rule(name=_HOLDERS, ids=_IDS)
    def insert(self, name: int, ids: Ids) -> None:
        self.index.insert(name, packed(ids))
        self.held[name] = ids

    @rule(name=_HOLDERS, more=_IDS)
    def extend(self, name: int, more: Ids) -> None:
        if name in self.held:
            self.index.extend(name, packed(more))
            self.held[name] = self.held[name] + more

    @rule(name=_HOLDERS)
    def remove(self, name: int) -> None:
        self.index.remove(name)
        self.held.pop(name, None)

    @rule(ids=_IDS)
    def ask(self, ids: Ids) -> None:
        assert expected_longest(self.held, ids) == found_longest(self.index, ids)
        assert expected_whole(self.held, ids) == found_whole(self.index, ids)

    @invariant()
    def stores_every_beginning_once(self) -> None:
        beginnings = {
            tuple(ids[: end + 1]) for ids in self.held.values() for end in range(len(ids))
        }
        assert (len(beginnings), len(self.held)) == (self.index.stored, len(self.index))

    @invariant()
    def knows_every_sequence(self) -> None:
        assert self.held == {name: list(unpacked(self.index.sequence(name))) for name in self.held}


_Histories.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestHistories = _Histories.TestCase


@given(st.lists(st.integers(-(2**31), 2**31 - 1), min_size=1, max_size=40), st.integers(0, 40))
def test_any_id_of_four_bytes(ids: Ids, cut: int) -> None:
    """The whole range of ids can be stored and asked for."""
    index, asked = RadixIndex[int](), [*ids[:cut], 5, 6]
    index.insert(0, packed(ids))
    assert expected_longest({0: ids}, asked) == found_longest(index, asked)


def test_many_long_conversations_share_their_instructions() -> None:
    """32 sequences of 16k ids that begin alike take the room of the beginning once."""
    index = RadixIndex[int]()
    start = list(range(8000))
    for number in range(32):
        index.insert(number, packed(start + [100_000 + number] * 8000))
    asked = packed(start + [100_007] * 7000 + [1] * 1000)
    length, holders = index.longest(asked)
    assert (8000 + 32 * 8000, 15000, [7]) == (index.stored, length, list(holders))
