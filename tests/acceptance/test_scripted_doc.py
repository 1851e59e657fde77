"""docs/scripted-backend.md: its tables are complete, its files play as it says."""

import asyncio
import re
import textwrap
from pathlib import Path
from typing import Any

import pytest
import yaml

from local_assistants import Engine, Settings
from local_assistants.backends.script import ScriptedTurn
from local_assistants.backends.scripted import ScriptedBackend
from local_assistants.engine.chat import ChatMessage, ChatRequest
from local_assistants.engine.errors import BackendFault
from local_assistants.engine.objects import Run
from local_assistants.engine.requests import CreateAssistant, CreateThreadAndRun

ROOT = Path(__file__).resolve().parents[2]
DOC = (ROOT / "docs" / "scripted-backend.md").read_text("utf-8")
FILES = re.findall(r"```yaml\n(.*?)```", DOC, re.DOTALL)
RECIPES = [file for file in FILES if file.startswith("# ends: ")]
PROGRAMS = re.findall(r"```python\n(.*?)```", DOC, re.DOTALL)
WEATHER = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}


def test_the_table_has_every_key() -> None:
    """And no other."""
    table = DOC.partition("| key |")[2].partition("\n\n")[0]
    assert sorted(ScriptedTurn.model_fields) == sorted(re.findall(r"^\| `(\w+)` ", table, re.M))


async def test_the_first_file_plays() -> None:
    """A call with what the user said, then what the tool said."""
    backend = ScriptedBackend.from_turns(yaml.safe_load(FILES[0])["turns"])
    asked = ChatRequest((ChatMessage(role="user", content="1 + 1"),))
    deltas = [delta async for delta in backend.stream(asked)]
    assert "print(1 + 1)" in "".join(getattr(delta, "arguments", "") for delta in deltas)


def test_the_file_that_the_command_names_is_there() -> None:
    """And is a script."""
    [name] = re.findall(r"--model scripted:(\S+)", DOC)
    ScriptedBackend.from_file(ROOT / name)


def test_a_mistake_is_named_as_the_page_says(tmp_path: Path) -> None:
    """File, turn and key."""
    path = tmp_path / "two-turns.yaml"
    path.write_text('turns: [{text: a}, {error: {mesage: "b"}}]')
    with pytest.raises(BackendFault) as caught:
        ScriptedBackend.from_file(path)
    [said] = re.findall(r"`(two-turns\.yaml: [^`]*)`", DOC)
    assert caught.value.message.endswith(said)


async def _run(engine: Engine) -> Run:
    """A run to its end, or to where it waits; cancelled in mid-sentence if it hangs."""
    services = engine.services
    assistant = await services.assistants.create(
        CreateAssistant.model_validate({"model": "scripted", "tools": [WEATHER]})
    )
    body = {
        "assistant_id": assistant.id,
        "thread": {"messages": [{"role": "user", "content": "Paris"}]},
    }
    run = await services.runs.create_with_thread(CreateThreadAndRun.model_validate(body))
    async with asyncio.timeout(20):
        async for event in services.runs.stream(run.id):
            if event.name == "thread.message.delta" and "thinking" in str(event.data):
                await services.runs.cancel(run.thread_id, run.id)
    return await services.runs.get(run.thread_id, run.id)


@pytest.mark.parametrize("recipe", RECIPES)
async def test_recipes_end_as_they_say(recipe: str, tmp_path: Path) -> None:
    """With the status, and the reason where one is named."""
    script = tmp_path / "script.yaml"
    script.write_text(recipe)
    async with Engine.open(Settings(model=f"scripted:{script}", data=tmp_path / "data")) as engine:
        run = await _run(engine)
    [(status, reason)] = re.findall(r"^# ends: (\w+)(?: \((\w+)\))?", recipe)
    error = run.last_error.code if run.last_error else None
    cut = run.incomplete_details.reason if run.incomplete_details else None
    assert (status, reason) == (run.status, error or cut or "")


async def test_the_same_script_goes_the_same_way(tmp_path: Path) -> None:
    """Event by event but for the deltas, which are cut by time."""
    script = tmp_path / "script.yaml"
    script.write_text(RECIPES[4])
    ways: list[list[str]] = []
    for folder in ("one", "two"):
        settings = Settings(model=f"scripted:{script}", data=tmp_path / folder)
        async with Engine.open(settings) as engine:
            run = await _run(engine)
            names = [str(event.name) async for event in engine.services.runs.stream(run.id)]
            ways.append([name for name in names if not name.endswith(".delta")])
    assert ways[0] == ways[1]


async def test_the_program_of_an_embedder_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where the file lies in the folder that it is started from."""
    (tmp_path / "weather.yaml").write_text("turns: [{text: Sunny.}]")
    monkeypatch.chdir(tmp_path)
    await _execute(
        PROGRAMS[0],
        Engine=Engine,
        Settings=Settings,
        CreateAssistant=CreateAssistant,
        CreateThreadAndRun=CreateThreadAndRun,
        folder=tmp_path / "data",
    )
    assert capsys.readouterr().out.splitlines()[-1].endswith(" thread.run.completed")


async def test_the_program_of_a_study_runs(capsys: pytest.CaptureFixture[str]) -> None:
    """Its clock is asked for the pauses between the words."""
    slept: list[float] = []

    class Clock:
        def now(self) -> float:
            return sum(slept)

        async def sleep(self, seconds: float) -> None:
            slept.append(seconds)

    names = {"ScriptedBackend": ScriptedBackend, "ChatRequest": ChatRequest}
    await _execute(PROGRAMS[1], **names, ChatMessage=ChatMessage, clock=Clock())
    assert [0.1, 0.1] == slept
    assert "TextDelta(text='one ')" == capsys.readouterr().out.splitlines()[0]


async def _execute(program: str, **names: Any) -> None:
    """Run statements of the page as the body of a coroutine."""
    code = f"async def program():\n{textwrap.indent(program, '    ')}"
    exec(compile(code, "docs/scripted-backend.md", "exec"), names)
    await names["program"]()
