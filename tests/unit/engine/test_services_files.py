"""Files and models: what may be uploaded, handed out and deleted, and which models answer."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from local_assistants.engine import requests
from local_assistants.engine.errors import InvalidRequest, ModelNotFound, NotFound
from local_assistants.engine.ports import PageQuery
from tests.support.engine import CODE, MODEL, ScriptedTool, answering, calls, house
from tests.support.stores import indexed


async def test_files_are_handed_out_unless_they_were_given_for_tools(tmp_path: Path) -> None:
    """The original's rule and text."""
    async with house(tmp_path) as home:
        file = await home.file("a.txt", "alpha")
        with pytest.raises(InvalidRequest) as refused:
            await home.services.files.content(file.id)

    assert "Not allowed to download files of purpose: assistants" == refused.value.message


async def test_a_file_needs_a_purpose_that_is_known(tmp_path: Path) -> None:
    """400 with the list of those that are."""

    async def nothing() -> AsyncIterator[bytes]:
        yield b""

    async with house(tmp_path) as home:
        with pytest.raises(InvalidRequest) as refused:
            await home.services.files.create("a", "assistants_output", nothing())
        page = await home.services.files.list(PageQuery())

    assert (
        "'assistants_output' is not one of "
        "['fine-tune', 'assistants', 'batch', 'user_data', 'vision', 'evals'] - 'purpose'"
    ) == refused.value.message
    assert () == page.data


async def test_a_deleted_file_is_gone_everywhere(tmp_path: Path) -> None:
    """Its record, its bytes, its place in every store and its text in the library."""
    async with house(tmp_path) as home:
        file = await home.file("a.txt", "alpha")
        body = requests.CreateVectorStore(file_ids=(file.id,))
        stores = [(await home.services.vector_stores.create(body)).id for _ in range(2)]
        for store_id in stores:
            await indexed(home, store_id)
        path = home.core.blobs.path(file.id)
        await home.services.files.delete(file.id)
        with pytest.raises(NotFound, match=f"No such File object: {file.id}"):
            await home.services.files.get(file.id)
        with pytest.raises(NotFound):
            await home.services.files.delete(file.id)
        counts = [(await home.services.vector_stores.get(s)).file_counts.total for s in stores]

    assert not path.exists()
    assert [0, 0] == counts
    assert {} == home.library.texts


async def test_models_answer_under_the_name_asked_for(tmp_path: Path) -> None:
    """And unknown ones are 404."""
    async with house(tmp_path) as home:
        listed = [model.id for model in await home.services.models.list()]
        assert MODEL == (await home.services.models.get(MODEL)).id
        with pytest.raises(ModelNotFound):
            await home.services.models.get("gpt-9")

    assert [MODEL] == listed


async def test_a_run_goes_on_without_a_file_whose_bytes_are_gone(tmp_path: Path) -> None:
    """Deleted between the reading of the thread and the turn: the tool gets the files that are left."""
    tool = ScriptedTool("code_interpreter", answering("done"))
    turns = (calls("code_interpreter", {"code": "1"}), {"text": "Done."})
    async with house(tmp_path, turns, tools=[tool]) as home:
        gone, kept = await home.file("a.txt", "alpha"), await home.file("b.txt", "beta")
        resources = {"code_interpreter": {"file_ids": [gone.id, kept.id]}}
        assistant = await home.assistant(tools=[CODE], tool_resources=resources)
        await home.core.blobs.delete(gone.id)
        thread = await home.thread("Hi")
        run = await home.finish(await home.run(thread.id, assistant.id))

    assert "completed" == run.status
    assert [[kept.id]] == [[item.file.id for item in one.files] for one in tool.sessions]
