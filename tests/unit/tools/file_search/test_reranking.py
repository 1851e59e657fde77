"""The second look at the best passages, with a cross-encoder that has random weights."""

from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from local_assistants.engine.errors import MissingDependency, ToolFault
from local_assistants.engine.ports import Chunk, Passage
from local_assistants.tools.file_search.searching.cross_encoder import CrossEncoder
from local_assistants.tools.file_search.searching.reranking import READ, reranked

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "apples", "pears", "are", "red", "green", "what"]


def passage(number: int, score: float, text: str = "apples") -> Passage:
    """A passage of a file of its own."""
    chunk = Chunk(f"vs/f{number}/0", "vs", f"f{number}", 0, text, 0, len(text))
    return Passage(chunk, f"{number}.txt", score)


class LongestFirst:
    """A reranker that takes the length of a text for its worth; for the other query the shortness."""

    async def scores(self, query: str, texts: Sequence[str]) -> list[float]:
        """Between 0 and 1."""
        longest = max(len(text) for text in texts)
        shares = [len(text) / longest for text in texts]
        return shares if query == "long" else [1.1 - share for share in shares]

    async def close(self) -> None:
        """Nothing to end."""


async def test_scores_are_mixed_half_and_half() -> None:
    """The fusion keeps its say."""
    found = [passage(1, 0.9, "ab"), passage(2, 0.8, "abcd")]

    ranked = await reranked(LongestFirst(), ["long"], found)

    assert [one.filename for one in ranked] == ["2.txt", "1.txt"]
    assert [one.score for one in ranked] == pytest.approx([0.9, 0.7])


async def test_a_passage_counts_by_the_query_it_answers_best() -> None:
    """Several queries are for several passages."""
    found = [passage(1, 0.5, "a"), passage(2, 0.5, "a" * 10)]

    ranked = await reranked(LongestFirst(), ["long", "short"], found)

    assert {one.filename for one in ranked} == {"1.txt", "2.txt"}
    assert [one.score for one in ranked] == pytest.approx([0.75, 0.75])


async def test_the_rest_stays_behind() -> None:
    """Passages that were not read again are neither lost nor put before others."""
    found = [passage(at, 1 - at / 100, "a" * (at + 1)) for at in range(READ + 2)]

    ranked = await reranked(LongestFirst(), ["long"], found)

    assert [one.filename for one in ranked[READ:]] == [f"{READ}.txt", f"{READ + 1}.txt"]
    assert [one.score for one in ranked] == sorted((one.score for one in ranked), reverse=True)


async def test_nothing_found_is_nothing_to_read() -> None:
    """An empty list stays empty."""
    assert await reranked(LongestFirst(), ["long"], []) == []


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cross-encoder as its library saves one: BERT's shape, a few thousand random weights."""
    from transformers import BertConfig, BertForSequenceClassification, BertTokenizer

    folder = tmp_path_factory.mktemp("cross-encoder")
    (folder / "vocab.txt").write_text("\n".join(WORDS) + "\n")
    config: Any = BertConfig(
        vocab_size=len(WORDS),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
    )
    config.num_labels = 1
    parts: list[Any] = [
        BertForSequenceClassification(config),
        BertTokenizer(str(folder / "vocab.txt")),
    ]
    for part in parts:
        part.save_pretrained(folder)
    return folder


@pytest_asyncio.fixture
async def model(folder: Path) -> AsyncIterator[CrossEncoder]:
    """The adapter over it."""
    made = CrossEncoder(folder)
    yield made
    await made.close()


async def test_a_local_model_scores_each_text(model: CrossEncoder) -> None:
    """The same texts get the same scores, each between 0 and 1, and order does not matter."""
    texts = ["apples are red", "pears are green", "red red red"]

    scores = await model.scores("what are apples", texts)
    turned = await model.scores("what are apples", texts[::-1])

    assert all(0 < score < 1 for score in scores)
    assert len(set(scores)) == len(texts)
    assert turned[::-1] == pytest.approx(scores, abs=1e-5)


async def test_a_missing_model_is_told() -> None:
    """With the setting that names it."""
    with pytest.raises(MissingDependency, match="`reranker` in the settings file"):
        await CrossEncoder(Path("/nowhere")).scores("what", ["apples"])


async def test_a_broken_model_is_told(tmp_path: Path) -> None:
    """What the library says is passed on; the process lives on and says it again."""
    (tmp_path / "config.json").write_text("{}")
    model = CrossEncoder(tmp_path)

    for _ in range(2):
        with pytest.raises(ToolFault, match="The reranking model"):
            await model.scores("what", ["apples"])
    await model.close()
