"""What operators are told of isolation before there is a server, and models of what their tier does not have."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from .rows import WORKED_OFTEN, Engine

OFTEN = (*WORKED_OFTEN, "B-docker-root")


@pytest.fixture
def private(engine: Engine) -> Iterator[Path]:
    """A folder that its owner alone can pass, as a root's home is."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        os.chown(folder, engine.hello["uid"], -1)
        yield Path(folder)


def test_a_data_folder_out_of_reach_is_told_beforehand(engine: Engine, private: Path) -> None:
    """Where sandboxes have users of their own and see the host's folders: with what is in the way, and the way out."""
    told = engine.ask("told", data=str(private / "new"))
    if engine.row.tier == "B" and not engine.row.plain:
        assert told["tier"] is None
        assert f"these cannot pass {private} on the way to the sessions' folder" in told["text"]
        assert f"chmod o+x {private}" in told["text"]
    else:
        assert engine.row.tier == told["tier"]
    assert [] == list(private.iterdir())


def test_a_model_reads_what_its_tier_lacks(engine: Engine) -> None:
    """In the tool's description; where nothing is missing, it costs no token."""
    text = engine.ask("described")["text"]
    assert ("Process pools, !commands and local servers do not work" in text) is (
        engine.row.tier == "B"
    )


@pytest.mark.parametrize(
    ("code", "advice"),
    [
        ("!ls", "!commands do not work here; use Python, or subprocess.run"),
        ("from multiprocessing import Pool\nPool(2)", "use a plain loop or threads"),
        ("from concurrent.futures import ProcessPoolExecutor as P\nP(2).submit(abs, 1)", "use a plain loop or"),
        ("from multiprocessing.shared_memory import SharedMemory as S\nS(create=True, size=9)", "use a plain loop"),
        ("import socket\nsocket.create_server(('127.0.0.1', 0))", "there is no network here"),
        ("import subprocess\nopen('x.sh', 'w').write('x')\nsubprocess.run(['./x.sh'])", "be run as programs here"),
        ("open('a.txt', 'w').write('x')\nopen('/mnt' + '/data/a.txt')", "leave it away: 'a.txt'"),
        ("import os\nos.listdir('/mnt' + '/data')", "leave it away: '.'"),
    ],
    ids=["command", "pool", "executor", "shared memory", "server", "program", "file", "folder"],
)  # fmt: skip
def test_what_a_tier_lacks_is_explained_when_it_is_met(
    engine: Engine, code: str, advice: str
) -> None:
    """Python's own words for it ("out of pty devices") say nothing to a model."""
    output = engine.call(code, thread="lacks")["output"]
    assert (advice in output) is (engine.row.tier == "B")
