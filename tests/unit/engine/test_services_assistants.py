"""Assistants: made with defaults, their files and vector stores checked, modified in part."""

from pathlib import Path
from typing import Any

import pytest

from local_assistants.engine import requests
from local_assistants.engine.errors import InvalidRequest, ModelNotFound
from local_assistants.engine.objects import FileCounts
from local_assistants.engine.ports import PageQuery
from tests.support.clock import START
from tests.support.engine import (
    CODE,
    MODEL,
    SEARCH,
    house,
)
from tests.support.stores import indexed, searching


async def test_an_assistant_has_the_originals_defaults(tmp_path: Path) -> None:
    """No null where the wire shows none."""
    async with house(tmp_path) as home:
        made = (await home.assistant()).to_wire()
        with_code = await home.assistant(tools=[CODE])

    assert {
        "id": "asst_1",
        "object": "assistant",
        "created_at": START,
        "name": None,
        "description": None,
        "model": MODEL,
        "instructions": None,
        "tools": [],
        "top_p": 1.0,
        "temperature": 1.0,
        "reasoning_effort": None,
        "tool_resources": {},
        "metadata": {},
        "response_format": "auto",
    } == made
    assert {"code_interpreter": {"file_ids": []}} == with_code.to_wire()["tool_resources"]


async def test_an_assistant_needs_a_model_and_files_that_exist(tmp_path: Path) -> None:
    """Nothing is made otherwise."""
    async with house(tmp_path) as home:
        with pytest.raises(ModelNotFound):
            await home.assistant(model="gpt-9")
        with pytest.raises(InvalidRequest, match=r"No file found with id\(s\): file-8, file-9\."):
            await home.assistant(
                tool_resources={"code_interpreter": {"file_ids": ["file-8", "file-9"]}}
            )
        with pytest.raises(InvalidRequest) as refused:
            await home.assistant(tool_resources={"file_search": {"vector_store_ids": ["vs_9"]}})
        with pytest.raises(InvalidRequest):
            await home.assistant(tool_resources=searching("file-9"))
        listed = await home.services.assistants.list(PageQuery())
        stores = await home.services.vector_stores.list(PageQuery())

    assert "tool_resources.file_search.vector_store_ids" == refused.value.param
    assert ((), ()) == (listed.data, stores.data)


async def test_the_vector_stores_helper_of_an_assistant(tmp_path: Path) -> None:
    """Makes a store without expiry, shows its id, and its files are indexed."""
    async with house(tmp_path) as home:
        file = await home.file("a.txt", "alpha")
        assistant = await home.assistant(tools=[SEARCH], tool_resources=searching(file.id))
        (store_id,) = assistant.tool_resources.vector_store_ids
        store = await indexed(home, store_id)

    assert (None, None, FileCounts(completed=1, total=1)) == (
        store.expires_after,
        store.expires_at,
        store.file_counts,
    )


async def test_modify_changes_what_was_sent(tmp_path: Path) -> None:
    """And nothing else; null clears a text, restores a default, and leaves a list alone."""
    async with house(tmp_path) as home:
        file = await home.file("a.csv", "a")
        made = await home.assistant(
            name="N",
            description="D",
            instructions="I",
            tools=[CODE],
            temperature=0.5,
            metadata={"a": "1", "b": "2"},
        )

        async def modify(**fields: Any) -> dict[str, Any]:
            body = requests.ModifyAssistant.model_validate(fields)
            return (await home.services.assistants.modify(made.id, body)).to_wire()

        nothing = await modify()
        renamed = await modify(name="M", metadata={"c": "3"})
        cleared = await modify(name=None, temperature=None, tools=None, metadata=None)
        given = await modify(tool_resources={"code_interpreter": {"file_ids": [file.id]}})
        with pytest.raises(ModelNotFound):
            await modify(model="gpt-9")

    assert made.to_wire() == nothing
    assert made.to_wire() | {"name": "M", "metadata": {"c": "3"}} == renamed
    assert renamed | {"name": None, "temperature": 1.0} == cleared
    assert cleared | {"tool_resources": {"code_interpreter": {"file_ids": [file.id]}}} == given


async def test_modify_of_one_tools_resources_keeps_the_others(tmp_path: Path) -> None:
    """Each tool's entry is replaced as a whole, on assistants and threads."""
    async with house(tmp_path) as home:
        first, second = await home.file("a.csv", "a"), await home.file("b.csv", "b")
        both = {"code_interpreter": {"file_ids": [first.id]}} | searching(second.id)
        assistant = await home.assistant(tool_resources=both)
        thread = await home.thread(tool_resources=both)
        change = {"tool_resources": {"code_interpreter": {"file_ids": [second.id]}}}
        changed_assistant = await home.services.assistants.modify(
            assistant.id, requests.ModifyAssistant.model_validate(change)
        )
        changed_thread = await home.services.threads.modify(
            thread.id, requests.ModifyThread.model_validate(change)
        )

    for before, after in ((assistant, changed_assistant), (thread, changed_thread)):
        assert (second.id,) == after.tool_resources.file_ids
        assert before.tool_resources.file_search == after.tool_resources.file_search
