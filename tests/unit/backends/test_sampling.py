"""Choosing tokens: penalties, seeds, min-p, and grammars beside them, over the real library."""

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from local_assistants.backends.llama_cpp.batch import Span
from local_assistants.backends.llama_cpp.context import NativeContext
from local_assistants.backends.llama_cpp.native import NativeModel
from local_assistants.backends.llama_cpp.sampling import Grammar, Penalties, Sampler
from local_assistants.engine.errors import BackendFault
from tests.support.toy_gguf import write_random_model
from tests.unit.backends.conftest import TOY_SETTINGS

PROMPT = [5 + byte for byte in b"Once upon a time"]


class Scene:
    """A random model that has read a prompt."""

    def __init__(self, path: Path) -> None:
        self.model = NativeModel(path, TOY_SETTINGS)
        self.context = NativeContext(self.model, TOY_SETTINGS)
        self.context.decode([Span(PROMPT, 0, 0, wants_logits=True)])
        self.row = len(PROMPT) - 1

    def sampler(self, **options: Any) -> Sampler:
        """A sampler; greedy unless told otherwise."""
        given: dict[str, Any] = {"temperature": 0.0, "top_p": 1.0, "min_p": 0.0, "seed": 1}
        given |= {"vocabulary_size": self.context.vocabulary_size, **options}
        return Sampler(**given)

    def draws(self, count: int, **options: Any) -> list[int]:
        """Choices of so many seeds for the same row."""
        given: dict[str, Any] = {"temperature": 1.0, **options}
        return [
            self.sampler(**given, seed=seed).choose(self.context, self.row) for seed in range(count)
        ]

    def ranked(self) -> list[int]:
        """All tokens, the likeliest first."""
        return [int(token) for token in np.argsort(-self.context.logits(self.row), kind="stable")]

    def close(self) -> None:
        """Free the model."""
        self.context.free()
        self.model.free()


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    """A random model that has read a prompt."""
    opened = Scene(write_random_model(tmp_path / "random.gguf"))
    yield opened
    opened.close()


# --- the chain -------------------------------------------------------------------------------------


def test_greedy_takes_the_likeliest(scene: Scene) -> None:
    """At temperature 0."""
    assert scene.ranked()[0] == scene.sampler().choose(scene.context, scene.row)


def test_draws_are_as_frequent_as_the_model_says(scene: Scene) -> None:
    """Two thousand seeds give the likeliest tokens in the shares that the scores give them."""
    scores = scene.context.logits(scene.row).astype(np.float64)
    expected = np.exp(scores - scores.max())
    expected /= expected.sum()
    draws = scene.draws(2000)
    for token in scene.ranked()[:5]:
        share, wanted = draws.count(token) / 2000, expected[token]
        assert abs(share - wanted) < 4 * math.sqrt(wanted * (1 - wanted) / 2000)


def test_min_p_cuts_the_tail_exactly(scene: Scene) -> None:
    """Nothing less likely than a fifth of the likeliest is ever drawn, and more than one token is."""
    scores = scene.context.logits(scene.row)
    allowed = {int(t) for t in np.flatnonzero(scores >= scores.max() + math.log(0.2))}
    drawn = set(scene.draws(500, min_p=0.2))
    assert 1 < len(drawn)
    assert drawn <= allowed


def test_colder_draws_are_fewer(scene: Scene) -> None:
    """Temperature reaches the chain."""
    hot, cold = (len(set(scene.draws(300, temperature=each))) for each in (2.0, 0.3))
    assert cold < hot


def test_same_place_gets_the_same_random_numbers_and_the_next_place_others(scene: Scene) -> None:
    """However often it is asked; and a replayed answer is where it was."""
    sampler = scene.sampler(temperature=1.5)
    first = [sampler.choose(scene.context, scene.row) for _ in range(3)]
    assert 1 == len(set(first))
    later: list[int] = []
    for _ in range(12):
        sampler.accept(7)
        later.append(sampler.choose(scene.context, scene.row))
    assert len(set(later)) > 4
    replayed = scene.sampler(temperature=1.5)
    for _ in range(12):
        replayed.accept(7)
    assert later[-1] == replayed.choose(scene.context, scene.row)


# --- penalties -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "penalties",
    [Penalties(repeat=1e6), Penalties(frequency=100.0), Penalties(presence=100.0)],
    ids=["repeat", "frequency", "presence"],
)
def test_penalty_makes_said_tokens_unlikely(scene: Scene, penalties: Penalties) -> None:
    """The likeliest tokens are passed over once they were said, one after another."""
    sampler = scene.sampler(penalties=penalties)
    said: list[int] = []
    for _ in range(6):
        said.append(sampler.choose(scene.context, scene.row))
        sampler.accept(said[-1])
    positive = [t for t in scene.ranked()[:6] if scene.context.logits(scene.row)[t] > 0]
    assert said[: len(positive)] == positive
    assert len(positive) > 2


def test_frequency_counts_and_presence_does_not(scene: Scene) -> None:
    """A token said four times loses four times the frequency penalty, once the presence penalty."""
    first, second, *_ = scene.ranked()
    scores = scene.context.logits(scene.row)
    gap = float(scores[first] - scores[second])
    for penalties, chosen in (
        (Penalties(frequency=gap / 3), second),
        (Penalties(presence=gap / 3), first),
        (Penalties(presence=gap * 1.1), second),
    ):
        sampler = scene.sampler(penalties=penalties)
        for _ in range(4):
            sampler.accept(first)
        assert chosen == sampler.choose(scene.context, scene.row)


def test_penalties_look_back_on_64_tokens(scene: Scene) -> None:
    """What was said before that is forgotten."""
    best = scene.ranked()[0]
    sampler = scene.sampler(penalties=Penalties(presence=50.0))
    sampler.accept(best)
    for _ in range(63):
        sampler.accept(scene.ranked()[-1])
    assert best != sampler.choose(scene.context, scene.row)
    sampler.accept(scene.ranked()[-1])
    assert best == sampler.choose(scene.context, scene.row)


def test_choice_that_a_grammar_refused_is_not_penalised(scene: Scene) -> None:
    """Only tokens that were said count."""
    sampler = scene.sampler(penalties=Penalties(presence=50.0))
    grammar = Grammar(scene.model.vocabulary, 'root ::= "zz"')
    refused = scene.ranked()[0]
    sampler.accept(sampler.choose_within(grammar, scene.context, scene.row))
    assert refused == sampler.choose(scene.context, scene.row)


# --- grammars --------------------------------------------------------------------------------------


def test_grammar_gives_the_likeliest_token_that_fits(scene: Scene) -> None:
    """However far down the list it is."""
    ranked = scene.ranked()
    vocabulary = scene.model.vocabulary
    for letter in "qzA}7":
        grammar = Grammar(vocabulary, f'root ::= {json.dumps(letter)} "x"')
        fitting = [t for t in ranked if vocabulary.piece(t) == letter.encode()]
        chosen = scene.sampler().choose_within(grammar, scene.context, scene.row)
        assert fitting[0] == chosen


def test_draws_under_a_grammar_are_as_frequent_as_the_model_says(scene: Scene) -> None:
    """Of two letters far from the likeliest tokens each has its share relative to the other."""
    vocabulary = scene.model.vocabulary
    scores = scene.context.logits(scene.row).astype(np.float64)
    fitting = [t for t in range(len(scores)) if vocabulary.piece(t) in (b"q", b"z")]
    weights = np.exp(scores[fitting] - scores[fitting].max())
    weights /= weights.sum()
    draws = [
        scene.sampler(temperature=1.0, seed=seed, min_p=1e-4).choose_within(
            Grammar(vocabulary, 'root ::= [qz] "x"'), scene.context, scene.row
        )
        for seed in range(600)
    ]
    for token, wanted in zip(fitting, weights, strict=True):
        allowed = 4 * math.sqrt(wanted * (1 - wanted) / 600) + 1e-3
        assert abs(draws.count(token) / 600 - wanted) < allowed


def test_finished_grammar_leaves_only_the_end(scene: Scene) -> None:
    """After the whole of its text nothing fits but the token that ends the turn."""
    vocabulary = scene.model.vocabulary
    grammar = Grammar(vocabulary, 'root ::= "a"')
    letter = scene.sampler().choose_within(grammar, scene.context, scene.row)
    end = scene.sampler().choose_within(grammar, scene.context, scene.row)
    assert (b"a", True) == (vocabulary.piece(letter), vocabulary.is_end(end))


def test_token_that_there_is_not_is_a_fault(scene: Scene) -> None:
    """Its text cannot be asked for; the library would end the process."""
    for token in (-1, scene.context.vocabulary_size):
        with pytest.raises(BackendFault, match="no token"):
            scene.model.vocabulary.piece(token)


def test_scores_that_are_no_numbers_are_a_fault(scene: Scene) -> None:
    """A damaged model ends its turns with an error instead of ending the process."""
    scores = scene.context.logits(scene.row)
    for bad in (math.nan, math.inf):
        scores[17] = bad
        for options in ({}, {"temperature": 1.0, "min_p": 0.05}):
            with pytest.raises(BackendFault, match="not numbers"):
                scene.sampler(**options).choose(scene.context, scene.row)
