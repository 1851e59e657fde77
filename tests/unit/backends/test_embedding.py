"""Embedding with a GGUF: vectors, windows, tokens with offsets, and files that cannot do it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import gguf
import numpy as np
import pytest

from local_assistants.backends.llama_cpp.embedding import GgufEmbedder
from local_assistants.engine.errors import BackendFault
from local_assistants.tools.file_search.embedding.embedder import Embedder
from tests.support.toy_embedder import write_bert, write_pooling_decoder
from tests.support.toy_gguf import write_random_model

Writer = Callable[[Path], Path]
KINDS: list[Writer] = [write_bert, write_pooling_decoder]
SENTENCE = "the sales of last year were higher than before."


def _write_unpooled(path: Path) -> Path:
    return write_pooling_decoder(path, gguf.PoolingType.NONE)


@asynccontextmanager
async def embedding(path: Path, window: int | None = None) -> AsyncIterator[Embedder]:
    """An embedder for the length of the block; assigning it shows that it has the shape that file search asks for."""
    embedder: Embedder = GgufEmbedder(path, window=window)
    try:
        yield embedder
    finally:
        await embedder.close()


def numbers(vector: bytes) -> "np.ndarray[tuple[int], np.dtype[np.float32]]":
    """A vector's numbers."""
    return np.frombuffer(vector, dtype="<f4")


@pytest.mark.parametrize("write", KINDS)
async def test_vectors_have_length_one_and_differ(write: Writer, tmp_path: Path) -> None:
    """One for each text, in order; the same text gives the same one."""
    async with embedding(write(tmp_path / "model.gguf")) as embedder:
        first, second, again = await embedder.encode([SENTENCE, "higher!", SENTENCE])

    assert pytest.approx(1.0) == float(np.linalg.norm(numbers(first)))
    assert pytest.approx(1.0, abs=1e-5) == float(numbers(first) @ numbers(again))
    assert float(numbers(first) @ numbers(second)) < 0.99


@pytest.mark.parametrize("write", KINDS)
async def test_company_does_not_change_a_vector(write: Writer, tmp_path: Path) -> None:
    """Texts that share a step do not see one another, whatever their number and length."""
    texts = [f"{'last year ' * (number % 7)}before {number}." for number in range(40)]
    async with embedding(write(tmp_path / "model.gguf")) as embedder:
        together = await embedder.encode(texts)
        alone = [(await embedder.encode([text]))[0] for text in texts]

    likeness = [float(numbers(a) @ numbers(b)) for a, b in zip(together, alone, strict=True)]
    assert min(likeness) > 0.9999


@pytest.mark.parametrize("write", KINDS)
async def test_a_text_is_read_to_the_end_of_the_window(write: Writer, tmp_path: Path) -> None:
    """What lies behind the window does not count, what lies before its end does."""
    async with embedding(write(tmp_path / "model.gguf")) as embedder:
        count = embedder.window // embedder.tokenizer.count("year,")
        start = "year," * count
        full, longer, shorter = await embedder.encode(
            [start, start + "higher than before" * 9, "year," * (count - 1)]
        )

    assert full == longer
    assert full != shorter


async def test_a_window_is_what_was_asked_for_at_most_what_was_trained(tmp_path: Path) -> None:
    """Less than the model can is a setting; more is not possible. Special tokens do not count."""
    write_bert(tmp_path / "bert.gguf", context=64)
    windows: list[int] = []
    for wanted in (None, 32, 1000):
        async with embedding(tmp_path / "bert.gguf", wanted) as embedder:
            await embedder.encode(["year"])
            windows.append(embedder.window)

    assert [62, 30, 62] == windows


@pytest.mark.parametrize("context", [3, 8])
async def test_a_window_smaller_than_a_batch_is_no_abort(tmp_path: Path, context: int) -> None:
    """More sequences than tokens of a step would end the process; all texts get the vector they have alone."""
    async with embedding(write_bert(tmp_path / "bert.gguf", context=context)) as embedder:
        together = await embedder.encode(["year", "sales"] * 20)
        alone = [*await embedder.encode(["year"]), *await embedder.encode(["sales"])]
    assert np.allclose([numbers(each) for each in together[:2]], [numbers(each) for each in alone])
    assert 40 == len(together)


@pytest.mark.parametrize("window", [1, 2])
async def test_a_window_without_room_for_a_text_is_refused(tmp_path: Path, window: int) -> None:
    """The special tokens alone fill it."""
    async with embedding(write_bert(tmp_path / "bert.gguf"), window) as embedder:
        with pytest.raises(BackendFault, match=r"reads \d tokens of a text"):
            await embedder.encode(["year"])


async def test_tokens_are_counted_without_special_ones(tmp_path: Path) -> None:
    """A known word is one token, an unknown one as many as its pieces."""
    async with embedding(write_bert(tmp_path / "bert.gguf")) as embedder:
        counts = [embedder.tokenizer.count(text) for text in ("", "last year", "year!", "zebra")]

    assert [0, 2, 2, 5] == counts


async def test_spans_are_of_words_and_their_pieces(tmp_path: Path) -> None:
    """In code points and in order; blanks lie between, a word's pieces share it."""
    text = "last  year, zeb😀"
    async with embedding(write_bert(tmp_path / "bert.gguf")) as embedder:
        spans = embedder.tokenizer.spans(text)

    assert ["last", "year", ",", "z", "e", "b", "😀"] == [text[start:end] for start, end in spans]


async def test_a_long_text_without_blanks_has_spans_too(tmp_path: Path) -> None:
    """A decoder's byte tokens can be more than the characters; spans stay in order and inside the text."""
    async with embedding(write_pooling_decoder(tmp_path / "decoder.gguf")) as embedder:
        spans = embedder.tokenizer.spans("größer😀" * 20)

    edges = [edge for span in spans for edge in span]
    assert sorted(edges) == edges
    assert (0, 140) == (edges[0], edges[-1])


async def test_an_empty_text_has_a_vector(tmp_path: Path) -> None:
    """Nothing is a text, too; no texts are no vectors."""
    async with embedding(write_bert(tmp_path / "bert.gguf")) as embedder:
        assert 1 == len(await embedder.encode([""]))
        assert [] == await embedder.encode([])


@pytest.mark.parametrize(
    ("write", "said"),
    [
        (write_random_model, "makes no vectors of whole texts"),
        (_write_unpooled, "makes no vectors"),
    ],
)
async def test_a_model_that_cannot_embed_is_refused(
    write: Writer, said: str, tmp_path: Path
) -> None:
    """With what it is and what to choose instead; it is refused again when asked again."""
    async with embedding(write(tmp_path / "chat.gguf")) as embedder:
        for _ in range(2):
            with pytest.raises(BackendFault, match=f"{said}.*Choose a GGUF of an embedding model"):
                await embedder.encode(["text"])


async def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """When the model is first used, not before."""
    async with embedding(tmp_path / "none.gguf") as embedder:
        with pytest.raises(BackendFault, match=r"none\.gguf"):
            await embedder.encode(["text"])


async def test_several_callers_share_the_model(tmp_path: Path) -> None:
    """Each gets its own vectors."""
    async with embedding(write_bert(tmp_path / "bert.gguf")) as embedder:
        texts = ["last year", "than before", "higher sales"]
        alone = [await embedder.encode([text] * 20) for text in texts]
        together = await asyncio.gather(*(embedder.encode([text] * 20) for text in texts))

    assert alone == list(together)


async def test_a_closed_embedder_says_so(tmp_path: Path) -> None:
    """Closing twice is fine; embedding after it is not."""
    embedder = GgufEmbedder(write_bert(tmp_path / "bert.gguf"))
    await embedder.encode(["year"])
    await embedder.close()
    await embedder.close()

    with pytest.raises(BackendFault, match="closed"):
        await embedder.encode(["year"])
