"""What does filling cost beside the embedding? From the attached file to `completed`, against bare `model.encode`.

The bare call gets the very texts that the worker process puts before the model, in a process of its own with as many
threads. The two take turns. Every round has files of other bytes: the same ones would not be embedded again.
"""

import asyncio
import gzip
import json
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
from _report import Goal, Row, median

from local_assistants import catalogue, model_store
from local_assistants.tools.file_search.chunking.chunking import Sizes
from local_assistants.tools.file_search.chunking.tokens import FolderTokenizer
from local_assistants.tools.file_search.embedding.folder import folder_facts
from local_assistants.tools.file_search.embedding.prefix import heading_line
from local_assistants.tools.file_search.embedding.windows import windows
from local_assistants.tools.file_search.ingestion.inline import InlineWorker
from local_assistants.tools.file_search.settings import WorkerSettings

from .bench import Bench
from .shelf import PATH, asked

DATA = Path(__file__).with_name("data")
GOALS = {"text": 1.15, "PDF": 1.6}
_CORPORA = ("state_of_the_union", "wikitexts", "pubmed", "finance", "chatlogs")
_FILINGS = ("ULTABEAUTY_2023Q4_EARNINGS", "AMCOR_2023Q4_EARNINGS", "MGMRESORTS_2022Q4_EARNINGS")
_CHARACTERS = 40_000  # of each text
_ROUNDS = 3
_PAUSE = 0.05  # seconds between two looks
_MIB = 1024  # kB

Files = dict[str, bytes]


class _NoModel:
    """Stands where the worker has its model: reading and cutting need the tokenizer alone."""

    def __init__(self, folder: Path) -> None:
        self.tokenizer = FolderTokenizer(folder)
        facts = folder_facts(folder)
        self.window = facts.window - facts.specials

    async def encode(self, texts: object) -> list[bytes]:
        """Never asked for."""
        raise RuntimeError("nothing is embedded here")

    async def close(self) -> None:
        """Nothing to close."""


async def measure(bench: Bench) -> None:
    """Fill and embed in turns; at last, who takes how much memory."""
    folder = model_store.resolve(catalogue.embedder().key)
    async with bench.server("ingest") as client, _bare(bench, folder) as bare:
        await _ingested(client, {"warm.txt": b"The worker process starts and loads its model."})
        for number in range(1 if bench.quick else _ROUNDS):
            for kind, files in _kinds(bench.quick, time.time_ns()).items():
                texts = await _texts(bench, folder, files)
                bench.samples[f"bare encode, {kind}"].append(await bare(texts))
                bench.samples[f"ingest, {kind}"].append(await _ingested(client, files))
                if not number:
                    bench.samples[f"texts, {kind}"].append(len(texts))
        for what, size in _memory(bench.data("ingest")).items():
            bench.samples[f"memory, {what}"].append(size)


def rows(bench: Bench) -> list[Row]:
    """Seconds of each kind, the ratio, and memory."""
    found: list[Row] = []
    for kind in GOALS:
        bare, whole = (
            median(bench.samples[f"{name}, {kind}"]) for name in ("bare encode", "ingest")
        )
        count = bench.samples[f"texts, {kind}"][0]
        found.append(Row(f"bare encode of {count:.0f} chunks, {kind}", bare, "s "))
        found.append(
            Row(f"ingest of them, {kind}", whole, "s ", ratio=_ratio(bench, kind), against="bare")
        )
    kept = ((what, bench.samples[f"memory, {what}"][0]) for what in ("server", "worker process"))
    return found + [Row(f"memory of the {what}", size, "MiB") for what, size in kept]


def goals(bench: Bench) -> list[Goal]:
    """How much more than the embedding alone filling may take."""
    return [
        Goal(f"ingest of {kind}, x bare encode", _ratio(bench, kind), GOALS[kind]) for kind in GOALS
    ]


def _ratio(bench: Bench, kind: str) -> float:
    """Of neighbours in time: what else the machine does changes from round to round."""
    pairs = zip(
        bench.samples[f"ingest, {kind}"], bench.samples[f"bare encode, {kind}"], strict=True
    )
    return median([whole / bare for whole, bare in pairs])


def _kinds(quick: bool, number: int) -> dict[str, Files]:
    """The files of a round, which differ from those of any other."""
    corpora, filings = (_CORPORA[:1], _FILINGS[:1]) if quick else (_CORPORA, _FILINGS)
    length = 8_000 if quick else _CHARACTERS
    texts: Files = {}
    for name in corpora:
        whole = gzip.decompress((DATA / "chunking" / f"{name}.md.gz").read_bytes()).decode()
        texts[f"{name}.md"] = f"{whole[:length]}\n\nRound {number}.\n".encode()
    pdfs = {
        f"{name}.pdf": (DATA / "pdf" / f"{name}.pdf").read_bytes() + f"\n% {number}\n".encode()
        for name in filings
    }
    return {"text": texts, "PDF": pdfs}


async def _texts(bench: Bench, folder: Path, files: Files) -> list[str]:
    """What the model reads of these files."""
    worker = InlineWorker(model := _NoModel(folder))
    found: list[str] = []
    for name, content in files.items():
        (path := bench.folder / name).write_bytes(content)
        extracted = await worker.extract(path, name, Sizes())
        passages = [(heading_line(name, one.heading), one.text) for one in extracted.chunks]
        found += windows(passages, model.tokenizer, model.window).texts
    await worker.close()
    return found


async def _ingested(client: httpx.AsyncClient, files: Mapping[str, bytes]) -> float:
    """Seconds from attaching the files to a new store until all are searchable.

    Raises:
        RuntimeError: one could not be indexed.
    """
    ids: list[str] = []
    for name, content in files.items():
        form = {"purpose": "assistants"}
        answer = await client.post("/v1/files", data=form, files={"file": (name, content)})
        ids.append(answer.json()["id"])
    store = (await asked(client, PATH, {}))["id"]
    began = time.perf_counter()
    await asked(client, f"{PATH}/{store}/file_batches", {"file_ids": ids})
    while True:
        counts = (await client.get(f"{PATH}/{store}")).json()["file_counts"]
        if counts["completed"] == len(files):
            return time.perf_counter() - began
        if counts["failed"]:
            raise RuntimeError(f"not all files were indexed: {counts}")
        await asyncio.sleep(_PAUSE)


class _Bare:
    """The process that only embeds."""

    def __init__(self, bench: Bench, process: asyncio.subprocess.Process) -> None:
        self._file = bench.folder / "texts.json"
        self._process = process

    async def __call__(self, texts: list[str]) -> float:
        """Seconds that embedding them takes."""
        self._file.write_text(json.dumps(texts), encoding="utf-8")
        assert self._process.stdin is not None
        self._process.stdin.write(f"{self._file}\n".encode())
        return float(await self.line())

    async def line(self) -> str:
        """The next line that it says."""
        assert self._process.stdout is not None
        return (await self._process.stdout.readline()).decode().strip()


@asynccontextmanager
async def _bare(bench: Bench, folder: Path) -> AsyncIterator[_Bare]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "retrieval_parts.bare", str(folder), str(WorkerSettings().threads)),
        cwd=Path(__file__).parents[1],
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        bare = _Bare(bench, process)
        if await bare.line() != "ready":
            raise RuntimeError("the model could not be loaded")
        yield bare
    finally:
        process.kill()
        await process.wait()


def _memory(data: Path) -> dict[str, float]:
    """Resident MiB of the server with this data folder and of its worker process."""
    found: dict[str, float] = {}
    server = next(each for each in _processes() if str(data) in _read(each / "cmdline").split("\0"))
    found["server"] = _resident(server)
    for each in _processes():
        if _field(each, "PPid") == server.name and "ingestion.serve" in _read(each / "cmdline"):
            found["worker process"] = _resident(each)
    return found


def _processes() -> list[Path]:
    return [each for each in Path("/proc").iterdir() if each.name.isdigit()]


def _resident(process: Path) -> float:
    return float(_field(process, "VmRSS").split()[0]) / _MIB


def _field(process: Path, name: str) -> str:
    lines = _read(process / "status").splitlines()
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith(f"{name}:")), ""
    )


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""  # it has ended meanwhile
