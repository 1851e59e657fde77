"""docs/openai-compatible.md: its snippets are understood, its tables complete, and a whole run goes over a server."""

import dataclasses
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from local_assistants import Engine, Settings
from local_assistants.backends.openai_compatible import OpenAISettings
from local_assistants.engine.ports import PageQuery
from local_assistants.engine.requests import CreateAssistant, CreateThreadAndRun
from local_assistants.models_file import read_models_file
from tests.support.chat_server import ChatServer, chat_server, delta, events, finish, refuses, says

DOC = (Path(__file__).resolve().parents[2] / "docs" / "openai-compatible.md").read_text("utf-8")
WEATHER = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
CALL = {"index": 0, "id": "x", "function": {"name": "weather", "arguments": '{"city": "Paris"}'}}

ModelOf = Callable[[ChatServer], Settings]


def blocks(language: str) -> list[str]:
    """The page's snippets in a language."""
    return re.findall(rf"```{language}\n(.*?)```", DOC, re.DOTALL)


def test_the_table_has_every_setting_with_its_default() -> None:
    """And no other; of several in one row the defaults stand in the same order."""
    table = DOC.partition("| key | means |")[2].partition("\n\n")[0]
    named = re.findall(r"`(\w+)`", "\n".join(row.split("|")[1] for row in table.split("\n")[2:]))
    assert sorted(field.name for field in dataclasses.fields(OpenAISettings)) == sorted(named)
    settings = OpenAISettings(("http://a",))
    limits = (settings.max_line_bytes, settings.max_answer_bytes, settings.max_image_bytes)
    assert "4 MiB, 64 MiB, 20 MiB" == ", ".join(f"{limit >> 20} MiB" for limit in limits)
    assert (5, 600, 120, None) == (
        settings.connect_timeout,
        settings.first_token_timeout,
        settings.token_timeout,
        settings.total_timeout,
    )
    assert (4, 0.5, 30) == (settings.attempts, settings.backoff, settings.max_backoff)
    assert (10, 5, 8) == (settings.health_interval, settings.health_timeout, settings.spill_at)


def test_the_models_file_is_understood(tmp_path: Path) -> None:
    """With every key in its place."""
    [text] = blocks("toml")
    path = tmp_path / "models.toml"
    path.write_text(text)
    [model] = read_models_file(path).models
    assert "analyst" == model.name
    assert model.server == OpenAISettings(
        ("http://10.0.0.5:8080/v1", "http://10.0.0.6:8080/v1"),
        api_key_env="ANALYST_KEY",
        spill_at=4,
        temperature_at_one=0.7,
        extra_body={"top_k": 20},
    )


def test_the_names_of_models_are_understood() -> None:
    """As `serve` takes them."""
    named = re.findall(r"--model \"?openai_compatible:([^\s\"]+)", DOC)
    assert [
        OpenAISettings(("http://127.0.0.1:8080",)),
        OpenAISettings(("http://127.0.0.1:11434",), model="qwen2.5-coder:1.5b"),
    ] == [OpenAISettings.parse(text) for text in named]


async def talk(engine: Engine, model: str) -> tuple[list[str], str]:
    """The events of a run that calls a function, and what the model said in the end."""
    services = engine.services
    assistant = await services.assistants.create(
        CreateAssistant.model_validate({"model": model, "tools": [WEATHER]})
    )
    body = {
        "assistant_id": assistant.id,
        "thread": {"messages": [{"role": "user", "content": "How is Paris?"}]},
    }
    run = await services.runs.create_with_thread(CreateThreadAndRun.model_validate(body))
    names = [str(event.name) async for event in services.runs.stream(run.id)]
    page = await services.messages.list(run.thread_id, PageQuery())
    return names, page.data[0].text


async def test_the_program_of_an_embedder_runs(tmp_path: Path) -> None:
    """On a server of this machine in place of the page's."""
    [program] = blocks("python")
    async with chat_server(says("Sunny ", "in Paris.")) as server:
        program = program.replace("http://127.0.0.1:8080", server.url)
        program = program.replace("models=models)", "models=models, data=data)")
        names: dict[str, Any] = {"data": tmp_path}
        exec(compile(program, "docs/openai-compatible.md", "exec"), names)
        async with names["engine"] as engine:
            events_seen, said = await talk(engine, "analyst")
    assert ("thread.run.completed", "Sunny in Paris.") == (events_seen[-1], said)


@pytest.fixture
def model_of(tmp_path: Path) -> ModelOf:
    """Settings of an engine whose model is on a server."""

    def settings(server: ChatServer) -> Settings:
        return Settings(model=f"openai_compatible:{server.url}/v1", data=tmp_path / "data")

    return settings


async def test_a_run_that_calls_a_function(model_of: ModelOf) -> None:
    """The call comes through to the client with its arguments."""
    called = events(delta(tool_calls=[CALL]), finish("tool_calls"), "[DONE]")
    async with chat_server(called) as server, Engine.open(model_of(server)) as engine:
        names, _ = await talk(engine, "gpt-4o")
    assert "thread.run.requires_action" == names[-1]
    assert "weather" == server.chats[0]["tools"][0]["function"]["name"]


async def test_a_run_whose_server_fails(model_of: ModelOf) -> None:
    """It fails with a text for people; the engine goes on."""
    bad = refuses(400, {"error": {"message": "no such thing"}})
    async with chat_server(bad, says("Sunny.")) as server, Engine.open(model_of(server)) as engine:
        failed, _ = await talk(engine, "gpt-4o")
        completed, said = await talk(engine, "gpt-4o")
    assert ("thread.run.failed", "thread.run.completed", "Sunny.") == (
        failed[-1],
        completed[-1],
        said,
    )
