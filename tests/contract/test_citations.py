"""Citations opened over HTTP: the page and the sentence that stand behind a marker."""

from pathlib import Path
from typing import Any

import pytest

from local_assistants.engine.chat import ToolCall
from local_assistants.engine.objects import FileSearchDetails
from local_assistants.engine.ports import Citation, Emit, ToolResult, ToolSession
from tests.support.engine import ScriptedTool, Turns, calls

from .web import ORIGIN, Json, Web, open_web

LOCAL = f"{ORIGIN}/local"
TEXT = "Apples are red. Sales rose by 5% in 2023. Pears are green, and 1,234 were sold."
PASSAGE = TEXT[16:]
TURNS: Turns = [
    calls("file_search", {"queries": ["pears"]}),
    {"text": "They sold 1234 pears [1]. Sales rose 5% (passage 1)."},
]


def finding(source: str, file_id: str) -> ScriptedTool:
    """A search that gives the passage of this file."""

    async def search(call: ToolCall, session: ToolSession, emit: Emit) -> ToolResult:
        cited = Citation(
            session.first_citation,
            file_id,
            "a.txt",
            "Quote.",
            source=source,
            start=16,
            text=PASSAGE,
        )
        return ToolResult(f"[1] {PASSAGE}", search=FileSearchDetails(), citations=(cited,))

    return ScriptedTool("file_search", search)


async def answered(web: Web, store: Json, file: Json) -> Json:
    """The answer of a run that cites the file."""
    web.home.services.core.tools["file_search"] = finding(store["id"], file["id"])  # type: ignore[index]
    assistant = await web.assistant(tools=[{"type": "file_search"}])
    run = await web.finished(assistant)
    page = await web.get(f"/threads/{run['thread_id']}/messages")
    return next(one for one in page["data"] if one["role"] == "assistant")


async def filled(web: Web) -> tuple[Json, Json]:
    """A vector store and its one file."""
    file = await web.upload(TEXT.encode(), "a.txt")
    store = await web.post("/vector_stores", {"file_ids": [file["id"]]})
    return await web.settled(f"/vector_stores/{store['id']}"), file


async def test_each_citation_opens_its_own_sentence(tmp_path: Path) -> None:
    """Two markers of one passage stand for two sentences; both are found in the file's text."""
    async with open_web(tmp_path, TURNS, tools=[finding("", "")]) as web:
        store, file = await filled(web)
        message = await answered(web, store, file)
        shown = await web.get(
            f"{LOCAL}/threads/{message['thread_id']}/messages/{message['id']}/citations"
        )
    value, marks = (message["content"][0]["text"][key] for key in ("value", "annotations"))

    assert "They sold 1234 pears 【1:0†a.txt】. Sales rose 5% 【1:0†a.txt】." == value
    assert ["Pears are green, and 1,234 were sold.", "Sales rose by 5% in 2023."] == [
        mark["file_citation"]["quote"] for mark in marks
    ]
    opened = [one["passage"] for one in shown["data"]]
    assert [mark["file_citation"]["quote"] for mark in marks] == [one["quote"] for one in opened]
    assert [TEXT, TEXT] == [one["text"] for one in opened]
    assert ("a.txt", file["id"], store["id"]) == tuple(
        opened[0][key] for key in ("filename", "file_id", "vector_store_id")
    )
    assert [mark["text"] for mark in marks] == [one["text"] for one in shown["data"]]


@pytest.mark.parametrize(
    ("said", "sentences"),
    [
        ("[1] They sold 1,234 pears.", ["Pears are green, and 1,234 were sold."]),
        (
            "Found:\n- [1] Sales rose 5%.\n- [1] 1234 pears were sold.",
            ["Sales rose by 5% in 2023.", "Pears are green, and 1,234 were sold."],
        ),
        ("Sales rose in 2023.\n[1]", ["Sales rose by 5% in 2023."]),
        ("Unicorns exist [1].", [PASSAGE]),
    ],
)
async def test_a_number_before_its_claim_opens_what_follows(
    tmp_path: Path, said: str, sentences: list[str]
) -> None:
    """At the head of a line; alone on one it stands for what was said, and a claim without proof for the passage."""
    turns = [TURNS[0], {"text": said}]
    async with open_web(tmp_path, turns, tools=[finding("", "")]) as web:
        message = await answered(web, *await filled(web))
        shown = await web.get(
            f"{LOCAL}/threads/{message['thread_id']}/messages/{message['id']}/citations"
        )

    assert sentences == [one["passage"]["quote"] for one in shown["data"]]


async def test_a_citation_outlives_its_text_without_it(tmp_path: Path) -> None:
    """The file is taken out of its store: the citation is listed, and has no passage any more."""
    async with open_web(tmp_path, TURNS, tools=[finding("", "")]) as web:
        store, file = await filled(web)
        message = await answered(web, store, file)
        await web.delete(f"/vector_stores/{store['id']}/files/{file['id']}")
        shown = await web.get(
            f"{LOCAL}/threads/{message['thread_id']}/messages/{message['id']}/citations"
        )

    assert [None, None] == [one["passage"] for one in shown["data"]]


async def test_a_message_without_citations_has_none(web: Web) -> None:
    """Also the user's own."""
    thread = await web.thread("Hi")
    [message] = (await web.get(f"/threads/{thread['id']}/messages"))["data"]
    shown = await web.get(f"{LOCAL}/threads/{thread['id']}/messages/{message['id']}/citations")

    assert {"object": "list", "data": []} == shown


async def test_a_stretch_opens_by_its_place(web: Web) -> None:
    """As a search result names it."""
    store, file = await filled(web)
    [found] = (await web.post(f"/vector_stores/{store['id']}/search", {"query": "apples"}))["data"]
    path = f"{LOCAL}/vector_stores/{store['id']}/files/{file['id']}/passages"
    opened = await web.get(path, start=found["start"] + 16, end=found["start"] + 41)

    assert "Sales rose by 5% in 2023." == opened["quote"]
    assert opened["quote"] == opened["text"][opened["start"] : opened["end"]]
    assert opened["page"] is None


@pytest.mark.parametrize(
    ("query", "status", "param", "said"),
    [
        ({}, 400, "start", "Missing required parameter: 'start'."),
        ({"start": "0"}, 400, "end", "Missing required parameter: 'end'."),
        ({"start": "x", "end": "9"}, 400, "start", "Invalid type for 'start': expected an integer"),
        (
            {"start": "-1", "end": "9"},
            400,
            "start",
            "Invalid 'start': integer below minimum value.",
        ),
        (
            {"start": "0", "end": "9" * 20},
            400,
            "end",
            "Invalid 'end': integer above maximum value.",
        ),
        ({"start": "9", "end": "9"}, 400, "end", "'end' has to be greater than 'start', and 9 is"),
        (
            {"start": "999999", "end": "40"},
            400,
            "end",
            "'end' has to be greater than 'start', and 40",
        ),
        (
            {"start": "0", "end": "100001"},
            400,
            "end",
            "At most 100000 characters can be opened at once",
        ),
        ({"start": "5", "end": "5000"}, 404, None, "File '"),
    ],
)
async def test_a_stretch_that_cannot_be(
    web: Web, query: dict[str, Any], status: int, param: str | None, said: str
) -> None:
    """The client's mistake is named, one sentence for each."""
    store, file = await filled(web)
    path = f"{LOCAL}/vector_stores/{store['id']}/files/{file['id']}/passages"
    error = await web.refused("GET", path, status, params=query)

    assert param == error["param"]
    assert error["message"].startswith(said)


async def test_what_is_not_there_cannot_be_opened(web: Web) -> None:
    """Neither the store, nor the file in it, nor the message."""
    store, _ = await filled(web)
    thread = await web.thread("Hi")
    for path in (
        f"{LOCAL}/vector_stores/vs_none/files/file-none/passages?start=0&end=9",
        f"{LOCAL}/vector_stores/{store['id']}/files/file-none/passages?start=0&end=9",
        f"{LOCAL}/threads/{thread['id']}/messages/msg_none/citations",
        f"{LOCAL}/threads/thread_none/messages/msg_none/citations",
    ):
        await web.refused("GET", path, 404)
