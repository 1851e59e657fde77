"""The tool `file_search` as the model sees it: queries in, numbered passages out, citations kept.

Passages are text out of somebody's files: shown as material, never as instructions, and never more of it than the
model can afford to read. It knows no store and no index, only the `Library`.
"""

import json
import re
from collections.abc import Sequence
from typing import Any, cast

from ...engine.chat import ToolCall, ToolSchema
from ...engine.objects import FileSearchDetails, SearchResult, SearchText, StepRanking
from ...engine.ports import (
    Citation,
    Emit,
    Library,
    Passage,
    SearchQuery,
    ToolFile,
    ToolResult,
    ToolSession,
)
from .quoting import estimated_tokens, excerpt, quote

NAME = "file_search"
QUERIES = 4
_QUERY_CHARACTERS = 1000
_FRAGMENT_WORDS = 3  # a query of so few words, among others, is a piece of a question
_NAMES = 20  # file names in the brief
_MOST_RESULTS = 20
_LEAST_TOKENS = 60  # a passage cut shorter than this says nothing
_LARGEST_SHARE = 0.4  # of the budget for one passage, so that a second and a third can be read

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
    """`ports.Tool` over a library. Closing it leaves the library open: whoever made it closes it."""

    def __init__(self, library: Library) -> None:
        self._library = library

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
        ranking = StepRanking(
            ranker=session.search.ranking_options.ranker,
            score_threshold=session.search.ranking_options.score_threshold,
        )
        nothing = FileSearchDetails(ranking_options=ranking)
        if not queries:
            hint = f'Call {NAME} with {{"queries": ["words to look for"]}}.'
            return ToolResult(f"No query was given. {hint}", search=nothing, failed=True)
        if not session.vector_store_ids:
            return ToolResult("There are no files to search.", search=nothing, failed=True)
        passages = await self._library.search(
            SearchQuery(
                vector_store_ids=session.vector_store_ids,
                queries=queries,
                max_results=session.search.max_num_results or _MOST_RESULTS,
                score_threshold=ranking.score_threshold,
            )
        )
        if not passages:
            output = f"Nothing was found in the files for: {'; '.join(queries)}. Try other words."
            return ToolResult(output, search=nothing, failed=True)
        return _result(passages, queries, session, ranking)

    async def forget(self, thread_id: str) -> None:
        """Nothing is kept for a thread."""

    async def close(self) -> None:
        """Nothing of its own to let go."""


def parsed_queries(arguments: str) -> tuple[str, ...]:
    """The queries of a call, () when there are none; read tolerantly: small models write one string, other names."""
    try:
        given: Any = json.loads(arguments)
    except ValueError:
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
    texts = [one for one in items if isinstance(one, str) and one.strip()]
    short = (" ".join(text.split())[:_QUERY_CHARACTERS] for text in texts)
    return tuple(dict.fromkeys(short))[:QUERIES]


def whole_question(queries: tuple[str, ...]) -> tuple[str, ...]:
    """One query out of several that are only the key words of one question, as small models write them.

    Measured: searched one by one, "fourth quarter" and the company's name outweigh the word that matters, and the
    passage with the answer came second in two of three questions; joined it came first in all. Phrases stay apart.
    """
    fragments = all(len(query.split()) <= _FRAGMENT_WORDS for query in queries)
    return (" ".join(queries),) if fragments and len(queries) > 1 else queries


def _result(
    passages: Sequence[Passage],
    queries: Sequence[str],
    session: ToolSession,
    ranking: StepRanking,
) -> ToolResult:
    """As many passages as the model can read, best first, with the line that tells it to cite."""
    first = session.first_citation
    closing = f"Answer from these passages only and put the number of the passage behind each fact, like [{first}]."
    left = session.output_tokens - estimated_tokens(closing)
    most = int(session.output_tokens * _LARGEST_SHARE)
    parts: list[str] = []
    shown: list[tuple[int, Passage]] = []
    for number, passage in enumerate(passages, start=first):
        head = f"[{number}] {_place(passage)}: "
        room = left - estimated_tokens(head)
        if parts and room < min(_LEAST_TOKENS, estimated_tokens(passage.chunk.text)):
            break
        text = excerpt(passage.chunk.text, queries, max(min(room, most), _LEAST_TOKENS))
        parts.append(head + text)
        shown.append((number, passage))
        left = room - estimated_tokens(text)
    return ToolResult(
        "\n\n".join([*parts, closing]),
        search=FileSearchDetails(
            ranking_options=ranking, results=tuple(_listed(passage) for _, passage in shown)
        ),
        citations=tuple(_citation(number, passage, queries) for number, passage in shown),
    )


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


def _citation(number: int, passage: Passage, queries: Sequence[str]) -> Citation:
    chunk = passage.chunk
    text = quote(chunk.text, queries)
    return Citation(number, chunk.file_id, passage.filename, text, chunk.page)


def _one_line(name: str) -> str:
    """A file name as the prompt may carry it: whoever uploads may have put lines of instructions into it."""
    return re.sub(r"[\s\x00-\x1f]+", " ", name).strip()[:100]
