"""The engine without a server, as an embedder opens it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import yaml

import local_assistants
from local_assistants import Engine, Settings
from local_assistants.engine.errors import InsufficientStorage
from local_assistants.engine.ports import PageQuery
from local_assistants.engine.requests import CreateAssistant, CreateThreadAndRun
from local_assistants.engine.settings import CoreSettings


async def test_a_run_in_this_process(tmp_path: Path) -> None:
    """Open, ask, read the answer, close; everything public is really there."""
    script = tmp_path / "script.yaml"
    script.write_text(yaml.safe_dump({"turns": [{"text": "You said {{user}}."}]}))
    async with Engine.open(Settings(model=f"scripted:{script}", data=tmp_path / "data")) as engine:
        services = engine.services
        assistant = await services.assistants.create(CreateAssistant(model="gpt-4o"))
        body = {
            "assistant_id": assistant.id,
            "thread": {"messages": [{"role": "user", "content": "hi"}]},
        }
        run = await services.runs.create_with_thread(CreateThreadAndRun.model_validate(body))
        names = [event.name async for event in services.runs.stream(run.id)]
        page = await services.messages.list(run.thread_id, PageQuery())

    assert (names[0], names[-1]) == ("thread.created", "thread.run.completed")
    assert page.data[0].text == "You said hi."
    assert all(hasattr(local_assistants, name) for name in local_assistants.__all__)


async def test_a_folder_of_scripts_is_a_model_for_each(tmp_path: Path) -> None:
    """Each file is a model of its own; `default` also answers for hosted names."""
    for name in ("alpha", "default"):
        text = yaml.safe_dump({"turns": [{"text": f"This is {name}."}]})
        (tmp_path / f"{name}.yaml").write_text(text)
    answers: dict[str, str] = {}
    async with Engine.open(
        Settings(model=f"scripted:{tmp_path}", data=tmp_path / "data")
    ) as engine:
        services = engine.services
        for model in ("alpha", "gpt-4o"):
            assistant = await services.assistants.create(CreateAssistant(model=model))
            body = CreateThreadAndRun(assistant_id=assistant.id)
            run = await services.runs.create_with_thread(body)
            assert [event async for event in services.runs.stream(run.id)]
            answers[model] = (await services.messages.list(run.thread_id, PageQuery())).data[0].text
        names = [model.id for model in await services.models.list()]

    assert answers == {"alpha": "This is alpha.", "gpt-4o": "This is default."}
    assert names == ["default", "alpha"]


async def test_the_model_answers_to_a_deployment_s_name(tmp_path: Path) -> None:
    """What programs written for Azure call their model is told to the engine, not changed in the programs."""
    script = tmp_path / "script.yaml"
    script.write_text(yaml.safe_dump({"turns": [{"text": "Hello."}]}))
    settings = Settings(
        model=f"scripted:{script}", model_aliases=("prod-chat",), data=tmp_path / "data"
    )
    async with Engine.open(settings) as engine:
        assistant = await engine.services.assistants.create(CreateAssistant(model="prod-chat"))
        body = CreateThreadAndRun(assistant_id=assistant.id)
        run = await engine.services.runs.create_with_thread(body)
        names = [event.name async for event in engine.services.runs.stream(run.id)]
    assert ("prod-chat", "thread.run.completed") == (run.model, names[-1])


async def test_a_file_is_refused_while_its_disk_is_nearly_full(tmp_path: Path) -> None:
    """By the setting of what is to stay free, here more than any disk has."""
    script = tmp_path / "script.yaml"
    script.write_text(yaml.safe_dump({"turns": [{"text": "Hello."}]}))
    core = CoreSettings(min_free_bytes=1 << 62)

    async def content() -> AsyncIterator[bytes]:
        yield b"apples"

    settings = Settings(model=f"scripted:{script}", data=tmp_path / "data", core=core)
    async with Engine.open(settings) as engine:
        with pytest.raises(InsufficientStorage):
            await engine.services.files.create("a.txt", "assistants", content())
        assert () == (await engine.services.files.list(PageQuery())).data
