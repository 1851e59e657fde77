"""The embedding model: what it gives, and what it says when it cannot."""

import shutil
from pathlib import Path

import pytest

from local_assistants.engine.errors import MissingDependency, ToolFault
from local_assistants.tools.file_search.chunking.tokens import GET_MODEL, Tokenizer
from local_assistants.tools.file_search.embedding.sentence import SentenceEmbedder
from local_assistants.tools.file_search.embedding.vectors import cosines, pooled, unpacked


async def test_vectors_are_normalised(embedder: SentenceEmbedder) -> None:
    """One vector a text, 384 numbers, length 1; more texts than a batch keep their order."""
    texts = [f"Text number {number}" for number in range(20)]
    vectors = await embedder.encode(texts)
    (again,) = await embedder.encode(texts[17:18])

    assert [len(unpacked(vector)) for vector in vectors] == [384] * 20
    assert cosines(vectors[3], [vectors[3]]) == pytest.approx([1.0], abs=1e-5)
    assert cosines(again, [vectors[17]]) == pytest.approx([1.0], abs=1e-4)


async def test_like_is_near_like(embedder: SentenceEmbedder) -> None:
    """Texts that mean the same are nearer than others."""
    query, same, other = await embedder.encode(
        ["How did revenue develop?", "Net sales increased by 18%.", "The cat sleeps on the mat."]
    )
    near, far = cosines(query, [same, other])

    assert near > far + 0.2


async def test_a_text_is_read_to_the_end_of_the_window(embedder: SentenceEmbedder) -> None:
    """All tokens that the window promises count."""
    filler = "word " * (embedder.window - 1)
    with_end, without = await embedder.encode([filler + "elephant", filler + "word"])

    assert cosines(with_end, [without])[0] < 0.9999


async def test_nothing_gives_nothing(embedder: SentenceEmbedder) -> None:
    """No texts, no vectors."""
    assert await embedder.encode([]) == []


async def test_a_missing_folder_names_the_command(tmp_path: Path) -> None:
    """Without weights the error says how to get them; nothing is fetched."""
    embedder = SentenceEmbedder(tmp_path / "none")

    with pytest.raises(MissingDependency, match=f"{GET_MODEL}$"):
        await embedder.encode(["text"])
    with pytest.raises(MissingDependency, match=f"{GET_MODEL}$"):
        embedder.tokenizer.count("text")
    await embedder.close()


async def test_other_weights_are_refused(tmp_path: Path, model_folder: Path) -> None:
    """Weights that do not hash to what is pinned are not loaded."""
    shutil.copy(model_folder / "tokenizer.json", tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"something else")
    embedder = SentenceEmbedder(tmp_path, sha256="0" * 64)

    with pytest.raises(ToolFault, match="not the expected one"):
        await embedder.encode(["text"])
    await embedder.close()


async def test_a_closed_model_says_so(model_folder: Path) -> None:
    """Closing twice is no error; embedding afterwards is, in words."""
    embedder = SentenceEmbedder(model_folder)
    await embedder.close()
    await embedder.close()

    with pytest.raises(ToolFault, match="closed"):
        await embedder.encode(["text"])


def test_counts_are_not_cut(tokenizer: Tokenizer) -> None:
    """The folder's tokenizer cuts and pads at 128; ours counts all tokens and only those."""
    assert tokenizer.count("one two three") == 3
    assert [tokenizer.count("word " * 1000), tokenizer.count("")] == [1000, 0]


def test_pooling_is_a_weighted_mean_of_length_one() -> None:
    """Two windows become one normalised vector, the longer one with more say."""
    east, north = pooled([_vector(1, 0)], [1]), pooled([_vector(0, 1)], [1])

    assert list(unpacked(pooled([east, north], [3, 4]))) == pytest.approx([0.6, 0.8])


def _vector(*numbers: float) -> bytes:
    import numpy as np

    return np.asarray(numbers, dtype="<f4").tobytes()
