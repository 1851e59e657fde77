"""Whatever limit is overrun, the model and the API are told in a sentence; limits come from the operator's file."""

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from local_assistants import Engine, Settings
from local_assistants.engine.ports import PageQuery
from local_assistants.engine.requests import CreateAssistant, CreateThreadAndRun
from local_assistants.settings_file import read_settings_file
from local_assistants.tools.code_interpreter.environment import Environment
from local_assistants.tools.code_interpreter.isolation import cgroups
from local_assistants.tools.code_interpreter.isolation.limits import MIB, Limits
from local_assistants.tools.code_interpreter.sessions.sessions import SessionLimits
from local_assistants.tools.code_interpreter.tool import CodeInterpreter
from local_assistants.tools.code_interpreter.tool import Settings as ToolSettings

from .room import Desk, HandClock

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
    ],
    ids=["output", "files", "a large file", "disk", "memory in all"],
)  # fmt: skip
async def test_both_are_told_of_all_else(desk: Desk, code: str, said: str) -> None:
    """Losses, errors and what was left out."""
    result = await desk.run(code)
    assert said in result.output
    assert said in desk.logs


@pytest.mark.parametrize(
    ("code", "error", "advice"),
    [
        ("x = bytearray(2 << 30)", "MemoryError", "may use 1024 MiB of memory; read only"),
        ("import numpy\nnumpy.ones(1 << 30)", "MemoryError", "may use 1024 MiB of memory; read only"),
        (
            "import subprocess\nwhile True: subprocess.Popen(['sleep', '60'])",
            "BlockingIOError",
            "at most 64 processes and threads may run at once",
        ),
        (
            "import threading, time\nwhile True: threading.Thread(target=time.sleep, args=(9,)).start()",
            "RuntimeError",
            "at most 64 processes and threads may run at once",
        ),
        (
            "open('cut.bin', 'wb').write(bytes(9 << 20))",
            "OSError: [Errno 27]",
            "a file may have at most 8 MiB, and all of /mnt/data 64 MiB",
        ),
        ("kept = [open('/dev/null') for _ in range(2000)]", "OSError: [Errno 24]", "at most 1024 files may be open"),
        (
            "for n in range(9): open(f'/tmp/{n}', 'wb').write(bytes(7 << 20))",
            "OSError: [Errno 28]",
            "/tmp holds at most 32 MiB; write large files to /mnt/data",
        ),
    ],
    ids=["memory", "an array", "processes", "threads", "a file", "open files", "scratch"],
)  # fmt: skip
@pytest.mark.parametrize(
    "limits", [replace(SMALL, file_bytes=8 * MIB, scratch_bytes=32 * MIB)], ids=[""]
)
async def test_what_python_is_refused_is_told_with_the_limit(
    desk: Desk, code: str, error: str, advice: str
) -> None:
    """Python only says that it was refused; how much there is, the model is told beside it."""
    result = await desk.run(code)
    assert error in result.output
    assert advice in result.output
    assert {} == desk.saved


async def test_who_was_ended_for_want_of_memory_is_counted(desk: Desk) -> None:
    """One or several, wherever the host offers cgroups; else the interpreter goes."""
    code = (
        "import os, time\n"
        "for _ in range(4):\n"
        "    if os.fork() == 0:\n"
        "        hold = bytearray(b'x') * (900 << 20); time.sleep(60); os._exit(0)\n"
        "for _ in range(3): os.wait()"
    )
    result = await desk.run(code)
    assert "used more than 1024 MiB of memory together" in result.output
    exactly = cgroups.found()
    assert ("and 3 of them were ended" in result.output) is (exactly is not None)


async def test_an_overfull_folder_takes_no_more_until_some_is_deleted(desk: Desk) -> None:
    """The model is told so, can delete, and then write again."""
    fill = "import os\nos.write(os.open('big', 65), bytes(90 << 20))\nwhile True: pass"
    assert "delete some before you write more" in (await desk.run(fill)).output
    write = "import time\ntime.sleep(0.2)\nopen('more', 'w').write('x' * 100000)"
    more = await desk.run(write)
    assert "File too large" in more.output
    assert "26 MiB more than the 64 MiB that are allowed: no file can be written" in more.output
    removed = await desk.run("import os\nos.remove('big')")
    assert not removed.failed
    after = await desk.run(write)
    assert not after.failed
    assert "MiB more than" not in after.output
    assert b"x" * 100000 == desk.saved["more"]


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


async def test_an_old_thread_goes_by_the_settings_of_now(
    desk: Desk, environment: Environment, clock: HandClock, tmp_path: Path
) -> None:
    """After a start with a lower quota its files can be read and deleted, and nothing written until they fit."""
    await desk.run(
        "open('big.bin', 'wb').write(bytes(3 << 20)); open('small.txt', 'w').write('kept')"
    )
    await desk.tool.close()
    settings = ToolSettings(
        environment.prefix,
        tmp_path / "root",
        replace(SMALL, data_bytes=2 * MIB),
        sessions=SessionLimits(pool=0),
    )
    later = Desk(CodeInterpreter(settings, clock), saved=desk.saved)
    try:
        assert "kept" in (await later.run("open('small.txt').read()")).output
        assert "Error" in (await later.run("print(open('more.txt', 'w').write('x' * 9000))")).output
        await later.run("import os; os.unlink('big.bin')")
        assert "9000" in (await later.run("print(open('more.txt', 'w').write('x' * 9000))")).output
    finally:
        await later.tool.close()
