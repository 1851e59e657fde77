"""Are the right passages found? Two public collections through the search endpoint of a real server.

What a result covers is read from its text, which is looked for in the file: nothing but the public API is used.
"""

import time
from collections.abc import Sequence
from pathlib import Path

import httpx
from _report import Goal, Row, median, p99

from local_assistants import catalogue, paths
from local_assistants.tools.file_search.chunking.tokens import FolderTokenizer

from . import corpora, scoring, shelf
from .bench import Bench
from .corpora import Question, Span

_DEPTH = 50  # results asked for, the most that the API gives
_QUICK = 20  # questions of a quick run
BUDGETS = (1000, 4000)
NDCG, RECALL = "SciFact nDCG@10", "SciFact recall@20"
_GOALS = {NDCG: 0.74, "chunking set, 1000 tokens": 0.88, "chunking set, 4000 tokens": 0.98}


async def measure(bench: Bench) -> None:
    """Fill a store with each collection and ask all its questions, one at a time."""
    async with bench.server("quality") as client:
        await _scifact(bench, client)
        await _chunking(bench, client)


async def _scifact(bench: Bench, client: httpx.AsyncClient) -> None:
    claims = corpora.scifact()
    asked = list(claims.claims.items())[: _QUICK if bench.quick else None]
    files = claims.files
    if bench.quick:
        right = {name for key, _ in asked for name in claims.judged[key]}
        files = {name: files[name] for name in [*sorted(right), *list(files)[:_QUICK]]}
    store = await _filled(bench, client, files, "SciFact")
    for key, text in asked:
        found = await _found(bench, client, store, text)
        ranked = list(dict.fromkeys(str(one["filename"]) for one in found))
        bench.samples[NDCG].append(scoring.ndcg(ranked, claims.judged[key]))
        bench.samples[RECALL].append(scoring.recall(ranked, claims.judged[key], 20))


async def _chunking(bench: Bench, client: httpx.AsyncClient) -> None:
    plain = corpora.chunking_texts()
    questions = corpora.chunking_questions()
    if bench.quick:
        plain = {name: text for name, text in plain.items() if name == "state_of_the_union.md"}
        questions = [one for one in questions if one.source in plain][:_QUICK]
    files = {name: text.encode() for name, text in plain.items()}
    store = await _filled(bench, client, files, "chunking set")
    tokenizer = FolderTokenizer(_model())
    texts = {name: scoring.Text(text, tokenizer) for name, text in plain.items()}
    for question in questions:
        found = await _found(bench, client, store, question.text)
        spans = [(str(one["filename"]), _place(one, plain)) for one in found]
        _judge(bench, question, spans, texts)


def _judge(
    bench: Bench,
    question: Question,
    spans: Sequence[tuple[str, Span]],
    texts: dict[str, scoring.Text],
) -> None:
    for budget in BUDGETS:
        share = scoring.answered(question, scoring.within(spans, texts, budget))
        bench.samples[f"chunking set, {budget} tokens"].append(share)


def _place(result: dict[str, object], texts: dict[str, str]) -> Span:
    """Where the text of a result stands in its file.

    Raises:
        RuntimeError: it does not, so the result is no passage of the file.
    """
    name, parts = str(result["filename"]), result["content"]
    if not isinstance(parts, list) or len(parts) != 1:
        raise RuntimeError(f"a result of {name} has not one content: {parts}")
    text = str(parts[0]["text"])
    start = texts[name].find(text)
    if start < 0:
        raise RuntimeError(f"a result is no passage of {name}: {text[:80]!r}")
    return start, start + len(text)


async def _found(
    bench: Bench, client: httpx.AsyncClient, store: str, query: str
) -> list[dict[str, object]]:
    began = time.perf_counter()
    found = await shelf.search(client, store, query=query, max_num_results=_DEPTH)
    bench.samples["search over HTTP, ms"].append((time.perf_counter() - began) * 1000)
    return found


async def _filled(
    bench: Bench, client: httpx.AsyncClient, files: dict[str, bytes], what: str
) -> str:
    began = time.monotonic()
    store = await shelf.filled(client, files)
    print(f"{what}: {len(files)} files at hand after {time.monotonic() - began:.0f} s", flush=True)
    return store


def _model() -> Path:
    roots = [root / catalogue.embedder().target for root in paths.model_folders()]
    return next((folder for folder in roots if folder.is_dir()), roots[-1])


def rows(bench: Bench) -> list[Row]:
    """Means over the questions, and how long a search took with its query embedded."""
    means = [Row(name, _mean(bench, name), "") for name in (NDCG, RECALL, *list(_GOALS)[1:])]
    times = bench.samples["search over HTTP, ms"]
    return [*means, Row("search over HTTP, query embedded", median(times), "ms", p99(times))]


def goals(bench: Bench) -> list[Goal]:
    """What the issue of file search asks for."""
    return [Goal(name, _mean(bench, name), least, at_least=True) for name, least in _GOALS.items()]


def _mean(bench: Bench, name: str) -> float:
    return sum(bench.samples[name]) / len(bench.samples[name])
