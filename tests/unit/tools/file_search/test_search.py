"""One search over a real store: which ways count, by which ranker, under which filter."""

import math
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from local_assistants.engine.errors import InvalidRequest
from local_assistants.engine.objects import File, VectorStore, VectorStoreFile
from local_assistants.engine.ports import (
    Chunk,
    Extract,
    HybridWeights,
    Passage,
    SearchQuery,
    Transaction,
)
from local_assistants.engine.states import StoreFileStatus, StoreStatus
from local_assistants.storage.sqlite import SQLiteStore
from local_assistants.storage.vectors.index import open_index
from local_assistants.tools.file_search.searching.nearest import Nearest
from local_assistants.tools.file_search.searching.searcher import Searcher
from local_assistants.tools.file_search.settings import LibrarySettings
from tests.support.database import open_store
from tests.support.vectors import packed

STORE = "vs_a"
EAST, NORTH, BETWEEN = packed([1.0, 0.0]), packed([0.0, 1.0]), packed([0.6, 0.8])


class Compass:
    """Embeds queries: whatever says "north" points there, the rest to the east."""

    async def encode(self, queries: Sequence[str]) -> list[bytes]:
        """One of two vectors for each."""
        return [NORTH if "north" in query else EAST for query in queries]

    async def close(self) -> None:
        """Nothing to let go of."""


@dataclass
class Place:
    """A store with one vector store, and what searches it."""

    store: SQLiteStore
    searcher: Searcher

    async def put(
        self, name: str, texts: dict[str, bytes | None], opening: str = "", year: int = 2000
    ) -> None:
        """A file with these chunks, one behind the other."""
        file_id = f"file-{name}"

        def change(tx: Transaction) -> None:
            tx.put(File(id=file_id, purpose="assistants", filename=name, bytes=1, created_at=1))
            tx.put(
                VectorStoreFile(
                    id=file_id,
                    created_at=1,
                    vector_store_id=STORE,
                    status=StoreFileStatus.COMPLETED,
                    attributes={"year": year},
                )
            )
            tx.put_extract(Extract(STORE, file_id, name, "", name, 1, len(texts), opening))
            at = 0
            for number, (text, vector) in enumerate(texts.items()):
                key = f"{STORE}/{file_id}/{number}"
                end = at + len(text)
                tx.put_chunks(
                    [Chunk(key, STORE, file_id, number, text, at, end, None, name, vector)]
                )
                at = end

        await self.store.write(change)

    async def search(self, *queries: str, **more: Any) -> list[Passage]:
        """The passages found."""
        return await self.searcher.search(SearchQuery((STORE,), queries, **more))

    async def texts(self, *queries: str, **more: Any) -> list[str]:
        """Their texts."""
        return [passage.chunk.text for passage in await self.search(*queries, **more)]


@pytest_asyncio.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    """An empty one."""
    store = open_store(tmp_path)
    owner = VectorStore(id=STORE, created_at=1, status=StoreStatus.COMPLETED, last_active_at=1)
    await store.write(lambda tx: tx.put(owner))
    nearest = Nearest(store, open_index(tmp_path / "vectors"))
    yield Place(store, Searcher(store, nearest, Compass(), LibrarySettings()))
    await nearest.close()
    await store.close()


async def test_meaning_and_words_count_alike(place: Place) -> None:
    """Half of the score each; what has both comes first."""
    await place.put("a", {"zebras graze": EAST, "zebras sleep": NORTH, "lions hunt": EAST})

    found = await place.search("zebras", ranker="none")

    assert [(one.chunk.text, round(one.score, 2)) for one in found] == [
        ("zebras graze", 1.0),
        ("zebras sleep", 0.5),
        ("lions hunt", 0.5),
    ]


async def test_text_is_found_by_its_words_before_it_has_a_vector(place: Place) -> None:
    """Embedding takes longer than anything else."""
    await place.put("a", {"zebras graze": None, "lions hunt": None})

    assert await place.texts("zebras") == ["zebras graze"]


async def test_the_file_breaks_a_tie(place: Place) -> None:
    """Equal chunks of look-alike files: the one whose name and opening are asked for."""
    await place.put("acme", {"first": EAST, "margins fell": NORTH}, "Annual report of Acme")
    await place.put("globex", {"first": EAST, "margins fell!": NORTH}, "Annual report of Globex")

    assert (await place.search("globex margins north"))[0].filename == "globex"


async def test_without_a_ranker_neighbours_stay_apart(place: Place) -> None:
    """And repeated texts are shown as often as they are there."""
    await place.put("a", {"zebras graze. ": EAST, "zebras drink. ": EAST})
    await place.put("b", {"zebras graze.": EAST})

    assert sorted(await place.texts("zebras", ranker="none")) == [
        "zebras drink. ",
        "zebras graze.",
        "zebras graze. ",
    ]
    assert await place.texts("zebras") == ["zebras graze. zebras drink. "]


async def test_a_clients_weights_fuse_by_rank(place: Place) -> None:
    """All weight on words leaves what the vectors found alone out, and the other way round."""
    await place.put("a", {"zebras sleep": NORTH})
    await place.put("b", {"lions hunt": EAST})

    assert await place.texts("zebras", hybrid=HybridWeights(0.0, 1.0)) == ["zebras sleep"]
    assert (await place.texts("zebras", hybrid=HybridWeights(1.0, 0.0)))[0] == "lions hunt"


@pytest.mark.parametrize("weight", [1e308, 1.7e308, 5e-324])
async def test_weights_count_by_their_ratio_alone(place: Place, weight: float) -> None:
    """However large or small they are: equal ones give the scores of 1 and 1."""
    await place.put("a", {"zebras graze": EAST, "zebras sleep": NORTH, "lions hunt": EAST})
    usual, odd = HybridWeights(1.0, 1.0), HybridWeights(weight, weight)
    equal = await place.search("zebras", hybrid=usual, ranker="none")
    found = await place.search("zebras", hybrid=odd, ranker="none")

    shown = [[(one.chunk.id, one.score) for one in each] for each in (equal, found)]
    assert shown[0] == shown[1]
    assert found[0].score > 0.9


@pytest.mark.parametrize("weight", [math.nan, math.inf, -math.inf, -1.0])
def test_other_numbers_are_no_weights(weight: float) -> None:
    """Whoever makes the query, a client or a program."""
    with pytest.raises(InvalidRequest, match="have to be finite"):
        HybridWeights(weight, 1.0)
    with pytest.raises(InvalidRequest, match="have to be finite"):
        HybridWeights(1.0, weight)


async def test_filters_hold_for_both_ways(place: Place) -> None:
    """A file that they leave out is found neither by vectors nor by words."""
    await place.put("old", {"zebras graze": EAST}, year=1990)
    await place.put("new", {"zebras drink": EAST}, year=2020)
    recent = {"type": "gt", "key": "year", "value": 2000}

    assert await place.texts("zebras", filters=recent) == ["zebras drink"]


async def test_the_threshold_cuts_off_worse_results(place: Place) -> None:
    """By the score that is shown."""
    await place.put("a", {"zebras graze": EAST, "zebras sleep": NORTH})

    found = await place.search("zebras", score_threshold=0.9)

    assert [one.chunk.text for one in found] == ["zebras graze"]


async def test_several_queries_share_one_list(place: Place) -> None:
    """Each finds its own."""
    await place.put("a", {"zebras graze": EAST, "the wind is cold": NORTH, "nothing": BETWEEN})

    found = await place.texts("zebras", "north wind", max_results=2, ranker="none")

    assert sorted(found) == ["the wind is cold", "zebras graze"]


async def test_rewriting_looks_for_each_question(place: Place) -> None:
    """A text of two questions finds what either asks for."""
    await place.put("a", {"zebras graze": EAST, "the wind is cold": NORTH})
    query = "Where do zebras graze? Please tell me how cold north wind is?"

    found = await place.search(query, rewrite=True, ranker="none", score_threshold=0.9)

    assert {one.chunk.text for one in found} == {"zebras graze", "the wind is cold"}


async def test_a_detached_file_is_not_found(place: Place) -> None:
    """Though its text may not be erased yet."""
    await place.put("a", {"zebras graze": EAST})
    await place.store.write(lambda tx: tx.delete(VectorStoreFile, f"{STORE}/file-a"))

    assert await place.search("zebras") == []


async def test_filters_that_leave_many_files_hold_too(place: Place) -> None:
    """Words are then looked for everywhere, and the others' matches are dropped."""
    for number in range(210):
        await place.put(f"new{number}", {f"lions {number}": None}, year=2020)
    await place.put("old", {"zebras graze": None}, year=1990)
    await place.put("newest", {"zebras drink": None}, year=2020)
    recent = {"type": "gt", "key": "year", "value": 2000}

    assert await place.texts("zebras", filters=recent) == ["zebras drink"]


async def test_the_end_of_a_book_is_not_what_is_asked_for(place: Place) -> None:
    """A query of any length costs a few windows of the model; its first words still find their passage."""
    await place.put("near.txt", {"the harbour": NORTH, "the quay": EAST})

    found = await place.search("quay " + "and so on " * 1000 + "north")

    assert found[0].chunk.text == "the quay"
