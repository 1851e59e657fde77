"""What a Chroma server adds to the vector index: addresses, installations side by side, servers that come and go."""

from pathlib import Path

import pytest

from local_assistants.engine.errors import InvalidRequest, StorageFault
from local_assistants.storage.vectors.index import open_index
from tests.support.chroma_server import chroma_server, free_port
from tests.support.vectors import paired

VECTORS = paired(["x", "y"], [[1.0, 0.25, 0.0], [0.0, 1.0, 0.125]])


async def test_installations_do_not_see_each_other(tmp_path: Path) -> None:
    """Two data folders share a server, and each finds its own after a restart."""
    with chroma_server(tmp_path / "chroma") as address:
        first, second = open_index(tmp_path / "1", address), open_index(tmp_path / "2", address)
        await first.upsert("vs_a", VECTORS)
        await second.upsert("vs_b", VECTORS[:1])
        await first.close()
        again = open_index(tmp_path / "1", address)

        assert (await again.names(), await again.count("vs_a")) == (["vs_a"], 2)
        assert await second.names() == ["vs_b"]
        await again.close()
        await second.close()


async def test_a_server_that_comes_back_is_used_again(tmp_path: Path) -> None:
    """While it is away each call says so; afterwards everything is as before."""
    port = free_port()
    with chroma_server(tmp_path / "chroma", port) as address:
        index = open_index(tmp_path / "1", address)
        await index.upsert("vs_a", VECTORS)
    with pytest.raises(StorageFault):
        await index.count("vs_a")
    with pytest.raises(StorageFault, match=r"No Chroma server answers.* \(http://127"):
        await index.count("vs_a")
    with chroma_server(tmp_path / "chroma", port):
        assert await index.count("vs_a") == 2
        await index.close()


async def test_a_server_that_lost_everything_is_filled_again(tmp_path: Path) -> None:
    """A server that comes back empty fails one call at most, then it is an empty index."""
    port = free_port()
    with chroma_server(tmp_path / "chroma", port) as address:
        index = open_index(tmp_path / "1", address)
        await index.upsert("vs_a", VECTORS)
    with chroma_server(tmp_path / "other", port):
        with pytest.raises(StorageFault):
            await index.count("vs_a")
        before = await index.count("vs_a")
        await index.upsert("vs_a", VECTORS)

        assert (before, await index.count("vs_a")) == (0, 2)
        await index.close()


@pytest.mark.parametrize(
    "address",
    ["chroma", "ftp://there", "http://", "http://a:b@there", "http://there/db", "http://there:x"],
)
def test_only_addresses_of_servers(tmp_path: Path, address: str) -> None:
    """What cannot be a server's address is refused before anything starts."""
    with pytest.raises(InvalidRequest, match="is no address of a Chroma server"):
        open_index(tmp_path, address)
