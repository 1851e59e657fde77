"""Whatever limit is overrun, the model and the API are told in a sentence; limits come from the operator's file."""

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from local_assistants import Engine, Settings
from local_assistants.engine.ports import PageQuery
from local_assistants.engine.requests import CreateAssistant, CreateThreadAndRun
from local_assistants.settings_file import read_settings_file
from local_assistants.tools.code_interpreter.isolation.limits import MIB, Limits

from .room import Desk

SPINNING = "while True: pass"
DEAF = f"import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\n{SPINNING}"


SMALL = Limits(
    grace_seconds=0.5,
    memory_bytes=1024 * MIB,
    data_bytes=64 * MIB,
    log_chars=2000,
    images=1,
    files=2,
    session_files=3,
    collected_bytes=MIB,
)
HURRIED = replace(SMALL, wall_seconds=1)


@pytest.fixture
def limits() -> Limits:
    """Small enough to be reached quickly."""
    return SMALL


@pytest.mark.parametrize("limits", [HURRIED], ids=["1 s"])
@pytest.mark.parametrize(
    ("code", "said"),
    [
        (SPINNING, "[time limit reached: the code was interrupted]"),
        (DEAF, "ran into the time limit and did not stop when interrupted"),
        (f"print('x' * 5000)\n{DEAF}", "ran into the time limit and did not stop when interrupted"),
    ],
    ids=["stopping", "not stopping", "after much output"],
)
async def test_both_are_told_of_the_end_of_time(desk: Desk, code: str, said: str) -> None:
    """In what the model reads, and in the logs of the step, however much was written there before."""
    result = await desk.run(code)
    assert said in result.output
    assert said in desk.logs


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("print('x' * 5000)", "[output ends here: more than 2000 characters]"),
        (
            "for n in range(4): open(f'{n}.txt', 'w').write('x')",
            "Not stored, only in /mnt/data: 2.txt: more than 2 files; 3.txt: more than",
        ),
        ("open('big', 'wb').write(bytes(2 << 20))", "Not stored, only in /mnt/data: big: larger than 1048576 bytes"),
        ("import os\nos.write(os.open('big', 65), bytes(90 << 20))\n" + SPINNING, "/mnt/data took more than 64 MiB"),
        ("import mmap\nm = mmap.mmap(-1, 2 << 30)\nwhile True: m.write(bytes(64 << 20))", "than 1024 MiB of memory"),
        ("x = bytearray(2 << 30)", "MemoryError"),
        ("import subprocess\nwhile True: subprocess.Popen(['sleep', '60'])", "BlockingIOError"),
    ],
    ids=["output", "files", "a large file", "disk", "memory in all", "memory at once", "processes"],
)  # fmt: skip
async def test_both_are_told_of_all_else(desk: Desk, code: str, said: str) -> None:
    """Losses, errors and what was left out."""
    result = await desk.run(code)
    assert said in result.output
    assert said in desk.logs


async def test_a_session_stores_so_many_files_and_no_more(desk: Desk) -> None:
    """Calls together have a limit as each of them has; the rest is named to both."""
    await desk.run("for n in '01': open(f'0{n}', 'w').write('x')")
    result = await desk.run("for n in '01': open(f'1{n}', 'w').write('x')")
    assert {"00", "01", "10"} == set(desk.saved)
    assert "Not stored, only in /mnt/data: 11: more than" in result.output
    assert "Not stored, only in /mnt/data: 11: more than" in desk.logs


async def test_an_engine_s_interpreter_obeys_the_settings_file(tmp_path: Path) -> None:
    """From the file to the logs of a run's step."""
    call = {"name": "code_interpreter", "arguments": {"code": SPINNING}}
    script = tmp_path / "turns.yaml"
    script.write_text(yaml.safe_dump({"turns": [{"tool_calls": [call]}, {"text": "{{tool}}"}]}))
    file = tmp_path / "settings.toml"
    file.write_text(
        "[code_interpreter.limits]\nwall_seconds = 1\n[code_interpreter.sessions]\npool = 0"
    )
    settings = Settings(
        model=f"scripted:{script}",
        data=tmp_path / "data",
        code_interpreter=read_settings_file(file).code_interpreter,
    )
    async with Engine.open(settings) as engine:
        services = engine.services
        assistant = await services.assistants.create(
            CreateAssistant.model_validate(
                {"model": "gpt-4o", "tools": [{"type": "code_interpreter"}]}
            )
        )
        body = {
            "assistant_id": assistant.id,
            "thread": {"messages": [{"role": "user", "content": "go"}]},
        }
        run = await services.runs.create_with_thread(CreateThreadAndRun.model_validate(body))
        assert [event async for event in services.runs.stream(run.id)]
        answer = (await services.messages.list(run.thread_id, PageQuery())).data[0].text
    assert "time limit reached" in answer
