"""The tool `file_search` as the model sees it: queries in, numbered passages out, citations kept.

Passages are text out of somebody's files: shown as material, never as instructions, and never more of it than the
model can afford to read. It knows no store and no index, only the `Retriever` port: the library of files and what
else serves passages beside it.
"""

import asyncio
import json
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest
from typing import Any, cast

from ...engine.chat import ToolCall, ToolSchema
from ...engine.errors import AssistantsError
from ...engine.objects import FileSearchDetails, SearchResult, SearchText, StepRanking
from ...engine.ports import (
    Citation,
    Emit,
    HybridWeights,
    Passage,
    Retriever,
    SearchQuery,
    ToolFile,
    ToolResult,
    ToolSession,
)
from ...engine.sentences import is_blank, quote
from .quoting import estimated_tokens, excerpt

_log = logging.getLogger(__name__)

NAME = "file_search"
QUERIES = 4
_QUERY_CHARACTERS = 1000
_FRAGMENT_WORDS = 3  # a query of so few words, among others, is a piece of a question
_NAMES = 20  # file names in the brief
_MOST_RESULTS = 20
_LEAST_TOKENS = 60  # a passage cut shorter than this says nothing
_LARGEST_SHARE = 0.4  # of the budget for one passage, so that a second and a third can be read
_ASKED_TOKENS = 300  # for each result that the client asks for: a chunk, its place and blanks
_LIKE_A_NUMBER = re.compile(r"[\[【](\d{1,3})[\]】]")  # in a text it is no number of ours
_SURROGATE = re.compile("[\ud800-\udfff]")  # half a character, which nothing behind this can encode

_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "queries": {
            "type": "array",
            "items": {"type": "string"},
            "minItems": 1,
            "maxItems": QUERIES,
            "description": "What to look for: short phrases with the key words of the question.",
        }
    },
    "required": ["queries"],
}


class FileSearch:
    """`ports.Tool` over a library, and over other sources if there are any. Closing it closes none of them.

    A source beside the library that fails is left out; the library's failure is the call's.
    """

    def __init__(self, library: Retriever, *others: Retriever) -> None:
        self._library = library
        self._others = others

    @property
    def type(self) -> str:
        return NAME

    def schema(self, session: ToolSession) -> ToolSchema:
        return ToolSchema(
            name=NAME,
            description="Search the user's uploaded documents. Gives numbered passages to answer from.",
            parameters=_SCHEMA,
        )

    async def brief(self, files: Sequence[ToolFile], session: ToolSession) -> str:
        """The names of the searchable files, in one line."""
        if not files:
            return ""
        names = [_one_line(file.file.filename) for file in files[:_NAMES]]
        more = f" and {len(files) - _NAMES} more" if len(files) > _NAMES else ""
        return f"Files that {NAME} searches: {', '.join(names)}{more}."

    async def run(self, call: ToolCall, session: ToolSession, emit: Emit) -> ToolResult:
        """Search all vector stores of the session; bad arguments and empty results come back as output."""
        queries = whole_question(parsed_queries(call.arguments))
        options = session.search.ranking_options
        ranking = StepRanking(ranker=options.ranker, score_threshold=options.score_threshold)
        nothing = FileSearchDetails(ranking_options=ranking)
        if not queries:
            hint = f'Call {NAME} with {{"queries": ["words to look for"]}}.'
            return ToolResult(f"No query was given. {hint}", search=nothing, failed=True)
        if not session.vector_store_ids and not self._others:
            return ToolResult("There are no files to search.", search=nothing, failed=True)
        passages = await self._found(_query(queries, session))
        if not passages:
            output = f"Nothing was found in the files for: {'; '.join(queries)}. Try other words."
            return ToolResult(output, search=nothing, failed=True)
        shown = _shown(passages, queries, session)
        return ToolResult(
            "\n\n".join([*(one.line for one in shown), _closing(session)]),
            search=FileSearchDetails(
                ranking_options=ranking, results=tuple(_listed(one.passage) for one in shown)
            ),
            citations=tuple(_citation(one, queries) for one in shown),
        )

    async def _found(self, query: SearchQuery) -> list[Passage]:
        """The passages of all sources, each source's in its own order, taken in turns."""
        found = await asyncio.gather(
            self._library.search(query), *(_searched(other, query) for other in self._others)
        )
        mixed = chain.from_iterable(zip_longest(*found))
        return [one for one in mixed if one is not None][: query.max_results]

    async def forget(self, thread_id: str) -> None:
        """Nothing is kept for a thread."""

    async def close(self) -> None:
        """Nothing of its own to let go."""


def parsed_queries(arguments: str) -> tuple[str, ...]:
    """The queries of a call, () when there are none; read tolerantly: small models write one string, other names."""
    try:
        given: Any = json.loads(arguments)
    except (ValueError, RecursionError):
        return ()
    if isinstance(given, dict):
        fields = cast("dict[str, Any]", given)
        names = ("queries", "query", "q", "search", "text")
        given = next((fields[name] for name in names if fields.get(name)), None)
    if isinstance(given, str):
        given = [given]
    if not isinstance(given, list):
        return ()
    items = cast("list[object]", given)
    plain = (_SURROGATE.sub("", one) for one in items if isinstance(one, str))
    texts = [one for one in plain if not is_blank(one)]
    short = (" ".join(text.split())[:_QUERY_CHARACTERS] for text in texts)
    return tuple(dict.fromkeys(short))[:QUERIES]


def whole_question(queries: tuple[str, ...]) -> tuple[str, ...]:
    """One query out of several that are only the key words of one question, as small models write them.

    Measured: searched one by one, "fourth quarter" and the company's name outweigh the word that matters, and the
    passage with the answer came second in two of three questions; joined it came first in all. Phrases stay apart.
    """
    fragments = all(len(query.split()) <= _FRAGMENT_WORDS for query in queries)
    return (" ".join(queries),) if fragments and len(queries) > 1 else queries


async def _searched(source: Retriever, query: SearchQuery) -> list[Passage]:
    try:
        return await source.search(query)
    except AssistantsError:
        _log.exception("%s could not be searched and is left out", source.name)
        return []


def _query(queries: tuple[str, ...], session: ToolSession) -> SearchQuery:
    options = session.search.ranking_options
    hybrid = options.hybrid_search
    return SearchQuery(
        vector_store_ids=session.vector_store_ids,
        queries=queries,
        max_results=session.search.max_num_results or _MOST_RESULTS,
        score_threshold=options.score_threshold,
        ranker=options.ranker,
        hybrid=None if hybrid is None else HybridWeights(**hybrid),
    )


@dataclass(frozen=True, slots=True)
class _Shown:
    """A passage as the model reads it: under which number, which stretch (start, end) of its text, in which words."""

    number: int
    passage: Passage
    span: tuple[int, int]
    line: str


def _closing(session: ToolSession) -> str:
    first = session.first_citation
    return f"Answer from these passages only and put the number of the passage behind each fact, like [{first}]."


def _shown(
    passages: Sequence[Passage], queries: Sequence[str], session: ToolSession
) -> list[_Shown]:
    """As many passages as the model can read, best first."""
    tokens = budget(session)
    left = tokens - estimated_tokens(_closing(session))
    most = int(tokens * _LARGEST_SHARE)
    shown: list[_Shown] = []
    for number, passage in enumerate(passages, start=session.first_citation):
        text = passage.chunk.text
        head = f"[{number}] {_place(passage)}: "
        room = left - estimated_tokens(head)
        if shown and room < min(_LEAST_TOKENS, estimated_tokens(text)):
            break
        start, end = excerpt(text, queries, max(min(room, most), _LEAST_TOKENS))
        body = _LIKE_A_NUMBER.sub(r"(\1)", text[start:end])
        shown.append(_Shown(number, passage, (start, end), head + body))
        left = room - estimated_tokens(body)
    return shown


def budget(session: ToolSession) -> int:
    """Tokens for the passages of a call: what is read in good time, more for a client that asks for many results."""
    asked = _ASKED_TOKENS * (session.search.max_num_results or 0)
    return max(session.output_tokens, min(asked, session.most_tokens))


def _place(passage: Passage) -> str:
    name = _one_line(passage.filename)
    page = passage.chunk.page
    return name if page is None else f"{name}, page {page}"


def _listed(passage: Passage) -> SearchResult:
    return SearchResult(
        file_id=passage.chunk.file_id,
        file_name=passage.filename,
        score=passage.score,
        attributes=dict(passage.attributes),
        content=(SearchText(text=passage.chunk.text.strip()),),
    )


def _citation(shown: _Shown, queries: Sequence[str]) -> Citation:
    chunk = shown.passage.chunk
    start, end = shown.span
    return Citation(
        shown.number,
        chunk.file_id,
        shown.passage.filename,
        quote(chunk.text, queries),
        chunk.page,
        source=chunk.vector_store_id,
        start=chunk.start + start,
        text=chunk.text[start:end],
    )


def _one_line(name: str) -> str:
    """A file name as the prompt may carry it: whoever uploads may have put lines of instructions or numbers into it."""
    line = re.sub(r"[\s\x00-\x1f]+", " ", name).strip()[:100]
    return _LIKE_A_NUMBER.sub(r"(\1)", line)
