"""The engine without a server, as an embedder opens it."""

from pathlib import Path

import yaml

import local_assistants
from local_assistants import Engine, Settings
from local_assistants.engine.ports import PageQuery
from local_assistants.engine.requests import CreateAssistant, CreateThreadAndRun


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
