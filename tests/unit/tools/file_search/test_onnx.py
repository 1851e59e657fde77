"""Queries without torch: the ONNX file of a model folder, what it gives and what it says when it cannot."""

import asyncio
import hashlib
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from local_assistants.engine.errors import MissingDependency, ToolFault
from local_assistants.tools.file_search.embedding.folder import (
    ONNX,
    WEIGHTS,
    Prompts,
    folder_facts,
)
from local_assistants.tools.file_search.embedding.onnx import OnnxEmbedder
from local_assistants.tools.file_search.embedding.queries import LocalQueries
from local_assistants.tools.file_search.embedding.sentence import SentenceEmbedder
from local_assistants.tools.file_search.embedding.vectors import cosines
from tests.support.toy_onnx import WORDS, vectors, write_onnx_folder

SRC = Path(__file__).parents[4] / "src"


def _numbers(vector: bytes) -> list[float]:
    return [round(float(number), 5) for number in np.frombuffer(vector, "<f4")]


def _expected(words: Sequence[str], pooling: str) -> list[float]:
    rows = vectors()[[WORDS.index(word) for word in words]]
    pooled = {"mean_tokens": rows.mean(0), "cls_token": rows[0], "max_tokens": rows.max(0)}[pooling]
    return [round(float(number), 5) for number in pooled / np.linalg.norm(pooled)]


@pytest.mark.parametrize("pooling", ["mean_tokens", "cls_token", "max_tokens"])
async def test_it_pools_as_the_folder_says(tmp_path: Path, pooling: str) -> None:
    """Special tokens count, padding does not, and the vector has length one."""
    embedder = OnnxEmbedder(write_onnx_folder(tmp_path / "model", pooling))
    short, long = await embedder.encode(["north", "east north east"])
    await embedder.close()

    assert _expected(["[CLS]", "north", "[SEP]"], pooling) == _numbers(short)
    assert _expected(["[CLS]", "east", "north", "east", "[SEP]"], pooling) == _numbers(long)


async def test_it_gives_the_vectors_of_the_real_weights(
    model_folder: Path, embedder: SentenceEmbedder
) -> None:
    """The 8-bit file that comes with the catalogue's model stands for it: also long texts, in many languages."""
    texts = ["How did net sales develop?", "revenue " * 300, "Zürich, 東京 и Москва", "", "x"]
    queries = OnnxEmbedder(model_folder)
    found = await queries.encode(texts)
    expected = await embedder.encode(texts)
    await queries.close()

    alike = [cosines(one, [other])[0] for one, other in zip(found, expected, strict=True)]
    assert min(alike) > 0.99
    assert embedder.window == queries.window


def test_it_needs_no_torch(tmp_path: Path) -> None:
    """Nor anything that imports it: the server's memory stays its own."""
    folder = write_onnx_folder(tmp_path / "model")
    code = (
        "import asyncio, sys, pathlib\n"
        "from local_assistants.tools.file_search.embedding.onnx import OnnxEmbedder\n"
        "embedder = OnnxEmbedder(pathlib.Path(sys.argv[1]))\n"
        "assert 16 == len(asyncio.run(embedder.encode(['north']))[0])\n"
        "print({'torch', 'transformers', 'sentence_transformers'} & set(sys.modules))"
    )
    env = {"PYTHONPATH": str(SRC)}
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder)],
        env=env,
        capture_output=True,
        text=True,
        check=True,
    )

    assert "set()" == done.stdout.strip()


async def test_what_cannot_be_used_says_so(tmp_path: Path) -> None:
    """A file that is missing, not the pinned one, or no model at all."""
    folder = write_onnx_folder(tmp_path / "model")
    right = hashlib.sha256((folder / ONNX).read_bytes()).hexdigest()
    pinned = OnnxEmbedder(folder, sha256=right)
    assert 1 == len(await pinned.encode(["north"]))
    await pinned.close()

    with pytest.raises(ToolFault, match="not the expected one"):
        await OnnxEmbedder(folder, sha256="0" * 64).encode(["north"])
    (folder / ONNX).write_bytes(b"no model")
    with pytest.raises(ToolFault, match=r"model\.onnx cannot be used"):
        await OnnxEmbedder(folder).encode(["north"])
    with pytest.raises(MissingDependency, match="models pull"):
        await OnnxEmbedder(tmp_path / "none").encode(["north"])


async def test_unknown_pooling_is_not_guessed(tmp_path: Path) -> None:
    """A folder with a further layer is for sentence-transformers alone."""
    folder = write_onnx_folder(tmp_path / "model")
    modules = json.loads((folder / "modules.json").read_text())
    dense = {"idx": 2, "path": "2_Dense", "type": "sentence_transformers.models.Dense"}
    (folder / "modules.json").write_text(json.dumps([*modules, dense]))

    with pytest.raises(ToolFault, match="does not say how to pool"):
        await OnnxEmbedder(folder).encode(["north"])


async def test_a_closed_model_says_so(tmp_path: Path) -> None:
    """Closing twice is no error; embedding afterwards is, in words."""
    embedder = OnnxEmbedder(write_onnx_folder(tmp_path / "model"))
    await embedder.close()
    await embedder.close()

    with pytest.raises(ToolFault, match="closed"):
        await embedder.encode(["north"])


# --- what a folder says of itself ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("sentence", "model", "window"),
    [
        ({"max_seq_length": 128}, {"max_position_embeddings": 512}, 128),
        ({"max_seq_length": 8192}, {"max_position_embeddings": 8192}, 512),
        (
            {"max_seq_length": 512},
            {"max_position_embeddings": 514, "model_type": "xlm-roberta"},
            512,
        ),
        ({"max_seq_length": 300}, {"max_position_embeddings": 130, "model_type": "roberta"}, 128),
        ({"max_seq_length": None}, {}, 256),
    ],
)
def test_the_window_is_the_model_s(
    tmp_path: Path, sentence: dict[str, object], model: dict[str, object], window: int
) -> None:
    """Never more than it has positions for, nor than memory bears."""
    (tmp_path / "sentence_bert_config.json").write_text(json.dumps(sentence))
    (tmp_path / "config.json").write_text(json.dumps(model))

    assert window == folder_facts(tmp_path).window


@pytest.mark.parametrize("name", ["document", "passage"])
def test_prompts_are_the_folder_s(tmp_path: Path, name: str) -> None:
    """What the model was trained with stands in a file of its folder."""
    prompts = {"query": "query: ", name: "passage: ", "odd": 5}
    (tmp_path / "config_sentence_transformers.json").write_text(json.dumps({"prompts": prompts}))

    assert Prompts("query: ", "passage: ") == folder_facts(tmp_path).prompts


@pytest.mark.parametrize("content", ["{", "5", "[]"])
def test_a_damaged_folder_is_named(tmp_path: Path, content: str) -> None:
    """With the file that is wrong."""
    (tmp_path / "config.json").write_text(content)

    with pytest.raises(ToolFault, match=r"config\.json"):
        folder_facts(tmp_path)


def test_an_empty_folder_gets_the_usual(tmp_path: Path) -> None:
    """Whoever loads it says what is missing."""
    facts = folder_facts(tmp_path)

    assert (256, Prompts(), None) == (facts.window, facts.prompts, facts.pooling)
    assert not (tmp_path / WEIGHTS).exists()


# --- in the server's process --------------------------------------------------------------------


class Elsewhere:
    """Stands for the worker process: notes what it is asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def encode(self, queries: Sequence[str]) -> list[bytes]:
        self.asked += queries
        return [b"elsewhere"] * len(queries)


async def test_queries_are_embedded_here(tmp_path: Path) -> None:
    """Under the prompt for queries, long ones to their end, and the worker is not asked."""
    worker = Elsewhere()
    folder = write_onnx_folder(tmp_path / "model")
    queries = LocalQueries(OnnxEmbedder(folder), worker, "query: ")
    plain, long = await queries.encode(["north", "north " * 30 + "east " * 30])
    await queries.close()

    assert _expected(["[CLS]", "query:", "north", "[SEP]"], "mean_tokens") == _numbers(plain)
    assert _numbers(long) != _numbers(plain)
    assert [] == worker.asked


async def test_the_worker_helps_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A file that cannot be used costs time, not the search; it is said once."""
    worker = Elsewhere()
    folder = write_onnx_folder(tmp_path / "model")
    (folder / ONNX).write_bytes(b"no model")
    queries = LocalQueries(OnnxEmbedder(folder), worker)

    assert [b"elsewhere"] == await queries.encode(["north"])
    assert [b"elsewhere"] * 2 == await queries.encode(["east", "north"])
    assert ["north", "east"] == worker.asked
    assert 1 == len(caplog.records)
    await queries.close()


async def test_a_query_that_was_asked_before_is_remembered(tmp_path: Path) -> None:
    """Also among others, each with its own vector."""
    embedder = OnnxEmbedder(write_onnx_folder(tmp_path / "model"))
    queries = LocalQueries(embedder, Elsewhere())
    first = await queries.encode(["north", "east"])
    await embedder.close()  # from here on nothing can be embedded
    again = await asyncio.gather(queries.encode(["east"]), queries.encode(["north", "east"]))

    assert [[first[1]], first] == list(again)
