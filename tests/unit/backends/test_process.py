"""A model in a process of its own, with real processes that really die."""

import asyncio
import contextlib
import json
import logging
import os
import resource
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from local_assistants.backends.llama_cpp import (
    LlamaCppBackend,
    LlamaSettings,
    ProcessBackend,
    Supervision,
)
from local_assistants.engine.chat import ChatRequest, Delta, ToolSchema
from local_assistants.engine.errors import BackendFault, ContextOverflow, InvalidRequest
from tests.support.clock import VirtualClock
from tests.support.toy_gguf import write_saying_model
from tests.support.turns import Turn, listen, user
from tests.unit.backends.conftest import TOY_SETTINGS

ROOT = Path(__file__).parents[3]
HELLO = user("Hello")
CRASHING = Supervision(module="tests.support.crashing_worker")
NOTE = ToolSchema(
    "note",
    "Writes a note",
    {
        "type": "object",
        "properties": {"text": {"type": "string", "minLength": 60, "maxLength": 60}},
        "required": ["text"],
    },
)

Open = Callable[..., Awaitable[ProcessBackend]]


@pytest.fixture
async def start(random_model: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Open]:
    """Opens backends, by default over the babbling model; closed afterwards."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))  # for the workers of the tests
    opened: list[ProcessBackend] = []

    async def opener(
        supervision: Supervision | None = None,
        settings: LlamaSettings = TOY_SETTINGS,
        path: Path = random_model,
        **options: Any,
    ) -> ProcessBackend:
        backend = await ProcessBackend.open(path, settings, supervision=supervision, **options)
        opened.append(backend)
        return backend

    yield opener
    for backend in opened:
        await backend.close()


def kill(backend: ProcessBackend, number: int = signal.SIGKILL) -> None:
    """A signal to the process that runs the model."""
    assert backend.worker_pid is not None
    os.kill(backend.worker_pid, number)


async def hear(backend: ProcessBackend, request: ChatRequest, *kills: int) -> Turn:
    """A turn during which the process is killed whenever so many deltas were heard."""
    deltas: list[Delta] = []
    async with aclosing(backend.stream(request)) as stream:
        async for delta in stream:
            deltas.append(delta)
            if len(deltas) in kills:
                kill(backend)
    return Turn(tuple(deltas))


async def until(condition: Callable[[], bool]) -> None:
    """Wait for something, not for ever."""
    for _ in range(2000):
        if condition():
            return
        await asyncio.sleep(0.01)
    pytest.fail("it does not come about")


def is_running(pid: int) -> bool:
    """Whether there is such a process, and it is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


async def undisturbed(path: Path, request: ChatRequest) -> Turn:
    """The turn in this process."""
    backend = await LlamaCppBackend.open(path, TOY_SETTINGS)
    try:
        return Turn(tuple([delta async for delta in backend.stream(request)]))
    finally:
        await backend.close()


# --- as if it were inline --------------------------------------------------------------------------


async def test_says_what_it_would_say_inline(start: Open, random_model: Path) -> None:
    """The same model, request and seed give the same turn; the tokens are counted alike."""
    request = ChatRequest((HELLO,), seed=1, max_tokens=40)
    backend = await start()
    turn = await hear(backend, request)
    assert await undisturbed(random_model, request) == turn
    assert turn.usage.prompt_tokens == await backend.count_tokens(request)


async def test_errors_are_those_of_the_model(start: Open) -> None:
    """They come back as the same classes, with the parameter at fault."""
    backend = await start()
    with pytest.raises(ContextOverflow, match="2048 tokens"):
        await listen(backend, user("x" * 3000))
    with pytest.raises(InvalidRequest, match="get_rain") as caught:
        await listen(backend, HELLO, tools=(NOTE,), forced_tool="get_rain")
    assert "tool_choice" == caught.value.param
    assert 1 == backend.lives


async def test_progress_of_loading_is_heard(start: Open) -> None:
    """From nothing to everything, in order."""
    heard: list[float] = []
    await start(on_progress=heard.append)
    assert sorted(heard) == heard
    assert 1.0 == heard[-1]


async def test_forgotten_conversation_is_evaluated_anew(start: Open) -> None:
    """What was kept for a session is erased in the process."""
    backend = await start()
    await listen(backend, HELLO, session="a", max_tokens=2)
    await backend.forget("a")
    assert 0 == (await listen(backend, HELLO, session="a", max_tokens=2)).usage.cached_tokens


# --- deaths ----------------------------------------------------------------------------------------


async def test_killed_in_mid_text_the_turn_goes_on(start: Open, random_model: Path) -> None:
    """Nothing is repeated, nothing is lost, and nobody notices but for the pause."""
    request = ChatRequest((HELLO,), seed=1, max_tokens=250)
    backend = await start()
    turn = await hear(backend, request, 3, 150)
    whole = await undisturbed(random_model, request)
    assert whole.text == turn.text
    assert whole.usage == turn.usage
    assert 3 == backend.lives == backend.capabilities.extra["worker_starts"]
    assert backend.worker_pid == backend.capabilities.extra["worker_pid"]


async def test_killed_in_mid_call_the_arguments_come_whole(start: Open, random_model: Path) -> None:
    """The grammar goes on where it was."""
    backend = await start(CRASHING)
    request = ChatRequest((HELLO,), tools=(NOTE,), forced_tool="note", seed=3)
    turn = await hear(backend, request, 12)
    assert (await undisturbed(random_model, request)).calls == turn.calls
    assert ["note"] == [name for name, arguments in turn.calls if json.loads(arguments)]
    assert 2 == backend.lives


async def test_killed_in_mid_prefill_the_prompt_is_evaluated_again(start: Open) -> None:
    """A turn that had said nothing is asked for once more."""
    settings = LlamaSettings(context_tokens=2048, threads=1, prefill_chunk=1)
    backend = await start(settings=settings)
    task = asyncio.create_task(listen(backend, user("y" * 1900), max_tokens=3, seed=1))
    await asyncio.sleep(0.1)
    kill(backend)
    assert 0 < (await task).usage.completion_tokens <= 3
    assert 2 == backend.lives


async def test_killed_between_turns_it_comes_back_unasked(start: Open) -> None:
    """The next turn finds the model loaded."""
    backend = await start()
    first = backend.worker_pid
    kill(backend)
    await until(lambda: backend.worker_pid not in (first, None))
    assert 3 == (await listen(backend, HELLO, seed=1, max_tokens=3)).usage.completion_tokens


async def test_killed_with_many_at_work_all_go_on(start: Open, random_model: Path) -> None:
    """One after the other at first, then together."""
    backend = await start(CRASHING)
    requests = [ChatRequest((user(f"Hi {n}"),), seed=n, max_tokens=60) for n in range(5)]
    turns = [asyncio.create_task(hear(backend, request)) for request in requests]
    late = asyncio.create_task(hear(backend, requests[0], 5))
    heard = [await turn for turn in (*turns, late)]
    wholes = [await undisturbed(random_model, request) for request in (*requests, requests[0])]
    assert [whole.text for whole in wholes] == [turn.text for turn in heard]
    assert 2 == backend.lives


@pytest.mark.parametrize("place", [0, 40])
async def test_request_that_crashes_the_library_fails_alone(start: Open, place: int) -> None:
    """At its beginning or in the middle of its answer; the others are answered."""
    backend = await start(CRASHING)
    good = [
        asyncio.create_task(listen(backend, user(f"Hi {n}"), seed=n, max_tokens=150))
        for n in range(3)
    ]
    with pytest.raises(BackendFault, match=r"makes llama\.cpp crash"):
        await listen(backend, user(f"abort after {place} tokens"), seed=1)
    assert all(turn.usage.completion_tokens for turn in await asyncio.gather(*good))
    assert (await listen(backend, HELLO, seed=1, max_tokens=3)).reason


async def test_questions_survive_a_death(start: Open) -> None:
    """Counting and forgetting are asked again; a count that crashes the library fails alone."""
    backend = await start(CRASHING)
    kill(backend, signal.SIGSTOP)  # so that they are under way when it dies
    counting = asyncio.create_task(backend.count_tokens(ChatRequest((HELLO,))))
    forgetting = asyncio.create_task(backend.forget("a"))
    await asyncio.sleep(0.05)
    kill(backend)
    await forgetting
    assert 25 == await counting
    with pytest.raises(BackendFault, match=r"makes llama\.cpp crash"):
        await backend.count_tokens(ChatRequest((user("abort after 0 tokens"),)))


async def test_process_that_hangs_is_replaced(start: Open, random_model: Path) -> None:
    """Stopped in the middle of a turn, it is killed when its time is up, and the turn goes on."""
    clock = VirtualClock()
    backend = await start(clock=clock)
    request = ChatRequest((HELLO,), seed=1, max_tokens=250)
    heard: list[Delta] = []
    async with aclosing(backend.stream(request)) as stream:
        async for delta in stream:
            heard.append(delta)
            if len(heard) == 3:
                kill(backend, signal.SIGSTOP)
                # Signs of life may still be under way, and each starts its patience anew.
                while backend.lives == 1:
                    await clock.advance(Supervision().patience / 10)
    assert (await undisturbed(random_model, request)).text == Turn(tuple(heard)).text
    assert 2 == backend.lives


# --- loading ---------------------------------------------------------------------------------------


async def test_file_that_crashes_the_library_is_given_up(start: Open, tmp_path: Path) -> None:
    """After two tries, with what the library said before it ended the process."""
    path = write_saying_model(tmp_path / "twice.gguf", ["only", "once"])
    path.write_bytes(path.read_bytes().replace(b"once", b"only"))  # llama.cpp asserts over that
    with pytest.raises(BackendFault, match=r"cannot load twice\.gguf.*SIGABRT.*GGML_ASSERT"):
        await start(path=path)


async def test_file_that_is_not_there_is_refused_at_once(start: Open, tmp_path: Path) -> None:
    """The model's own error comes back."""
    with pytest.raises(BackendFault, match=r"nothing\.gguf"):
        await start(path=tmp_path / "nothing.gguf")


async def test_model_that_vanishes_is_told_and_found_again(start: Open, random_model: Path) -> None:
    """What waits for it fails; when the file is back, so is the model."""
    backend = await start()
    away = random_model.rename(random_model.with_suffix(".away"))
    kill(backend)
    with pytest.raises(BackendFault, match=r"random\.gguf"):
        await listen(backend, HELLO)
    away.rename(random_model)
    assert (await listen(backend, HELLO, seed=1, max_tokens=3)).reason


async def test_cancelled_opening_leaves_no_process(random_model: Path) -> None:
    """Whoever stops waiting stops the load."""
    opening = asyncio.create_task(ProcessBackend.open(random_model, TOY_SETTINGS))
    await until(lambda: bool(children()))
    pids = children()
    opening.cancel()
    await asyncio.wait({opening})
    assert opening.cancelled()
    assert [] == [pid for pid in pids if is_running(pid)]


def children() -> list[int]:
    """The model processes that this process has started."""
    listed = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()
    return [int(pid) for pid in listed if "isolation" in _command(int(pid))]


def _command(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    return ""


# --- readers ---------------------------------------------------------------------------------------


async def test_slow_reader_holds_up_nobody_else(start: Open) -> None:
    """Its turn waits in the process, and goes on when it reads."""
    backend = await start(Supervision(window=4))
    slow = backend.stream(ChatRequest((HELLO,), seed=1, max_tokens=400))
    first = await anext(slow)
    for n in range(3):
        await listen(backend, user(f"{n}"), seed=n, max_tokens=20)
    await asyncio.sleep(1.2)  # pulses come twice a second
    held = backend.evaluated_tokens
    await asyncio.sleep(1.2)
    assert held == backend.evaluated_tokens < 400
    turn = Turn((first, *[delta async for delta in slow]))
    assert 400 == turn.usage.completion_tokens


async def test_closed_stream_stops_the_work(start: Open) -> None:
    """In the process too, at once."""
    backend = await start(CRASHING)
    stream = backend.stream(ChatRequest((HELLO,), seed=1, max_tokens=1000))
    await anext(stream)
    await stream.aclose()
    await listen(backend, user("next"), max_tokens=1)
    await asyncio.sleep(1.2)  # pulses come twice a second
    before = backend.evaluated_tokens
    await asyncio.sleep(1.2)
    assert before == backend.evaluated_tokens < 500


async def test_closing_ends_the_process_and_its_turns(start: Open) -> None:
    """A turn that is under way fails, and so does a later request."""
    backend = await start(CRASHING)
    task = asyncio.create_task(listen(backend, HELLO, seed=1, max_tokens=1000))
    await asyncio.sleep(0.1)
    pid = backend.worker_pid
    assert pid is not None
    await backend.close()
    assert not is_running(pid)
    with pytest.raises(BackendFault, match="unloaded"):
        await task
    with pytest.raises(BackendFault, match="unloaded"):
        await listen(backend, HELLO)


# --- the process -----------------------------------------------------------------------------------


HOST = """
import asyncio, sys
from local_assistants.backends.llama_cpp import LlamaSettings, ProcessBackend
async def main():
    backend = await ProcessBackend.open(sys.argv[1], LlamaSettings(context_tokens=256, threads=1))
    print(backend.worker_pid, "llama_cpp" in sys.modules, flush=True)
    await asyncio.sleep(60)
asyncio.run(main())
"""


async def test_server_that_is_killed_takes_its_model_along(random_model: Path) -> None:
    """No orphan is left; and the server itself never imported llama.cpp."""
    command = [sys.executable, "-c", HOST, str(random_model)]
    host = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
    assert host.stdout is not None
    pid, imported = (await host.stdout.readline()).split()
    running = is_running(int(pid))
    host.kill()
    await host.wait()
    assert (True, b"False") == (running, imported)
    await until(lambda: not is_running(int(pid)))


async def test_process_that_cannot_be_started_is_a_fault_of_ours(random_model: Path) -> None:
    """Also where there are no file descriptors left; when there are some again it starts."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.open(os.devnull, os.O_RDONLY)
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, before[1]))
    try:
        with pytest.raises(BackendFault, match="process cannot be started"):
            await ProcessBackend.open(random_model, TOY_SETTINGS)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    backend = await ProcessBackend.open(random_model, TOY_SETTINGS)
    await backend.close()


async def test_process_gets_nothing_that_it_does_not_need(
    start: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No secret of the environment, no file of ours, no terminal's signals, no core dump."""
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    monkeypatch.setenv("OMP_PROC_BIND", "false")
    ours, _ = pipe = os.pipe()
    os.set_inheritable(ours, True)
    pid = (await start()).worker_pid
    process = Path(f"/proc/{pid}")
    end, held = os.readlink(f"/proc/self/fd/{ours}"), (process / "fd").iterdir()
    assert end not in [os.readlink(descriptor) for descriptor in held]
    for descriptor in pipe:
        os.close(descriptor)
    environment = (process / "environ").read_bytes().split(b"\0")
    assert b"OMP_PROC_BIND=false" in environment
    assert b"GGML_NO_BACKTRACE=1" in environment
    assert not [pair for pair in environment if b"secret" in pair]
    assert pid == os.getpgid(pid or 0)
    assert "Max core file size        0" in (process / "limits").read_text()
    assert "la-model\n" == (process / "comm").read_text()


async def test_signals_of_a_terminal_or_a_service_manager_leave_it_alone(start: Open) -> None:
    """The server decides when its model goes."""
    backend = await start()
    kill(backend, signal.SIGINT)
    kill(backend, signal.SIGTERM)
    assert (await listen(backend, HELLO, seed=1, max_tokens=3)).reason
    assert 1 == backend.lives


@pytest.mark.parametrize(
    "says",
    [
        b"\xff\xff\xff\xff",
        b"\x00\x00\x00\x02[]",
        b'\x00\x00\x00\x0e{"kind":"what"',
        b'\x00\x00\x00\x0d{"kind":null}' + b"\x00" * 100,
        b'\x00\x00\x00\x2f{"kind":"ready","capabilities":{"tools":"maybe"}}',
        b'\x00\x00\x00\x10{"kind":"pulse"} ',
    ],
)
async def test_process_that_talks_nonsense_is_ended(
    start: Open, tmp_path: Path, says: bytes
) -> None:
    """Whatever a hostile file makes of the process, the server only hangs up."""
    path = tmp_path / "hostile.gguf"
    path.write_bytes(says)
    with pytest.raises(BackendFault, match=r"because it (sent|announced|spoke)"):
        await start(Supervision(module="tests.support.babbling_worker"), path=path)
    assert [] == children()


async def test_what_the_process_logs_is_in_the_servers_log(
    start: Open, caplog: pytest.LogCaptureFixture
) -> None:
    """With its pid in front, at its own level."""
    caplog.set_level(logging.INFO, "local_assistants.model")
    backend = await start()
    [record, *_] = [record for record in caplog.records if "context 2048" in record.message]
    assert f"model process {backend.worker_pid}: " in record.message
    assert "INFO" == record.levelname


async def test_pauses_grow_from_death_to_death(start: Open) -> None:
    """None before the first new start, then half a second, then twice that."""
    clock = Sleeps()
    backend = await start(clock=clock)
    for lives in range(1, 5):
        kill(backend)
        await until(partial(_has_lived, backend, lives + 1))
        await backend.count_tokens(ChatRequest((HELLO,)))
    assert [0.0, 0.0, 0.5, 1.0, 2.0] == clock.pauses


def _has_lived(backend: ProcessBackend, lives: int) -> bool:
    return backend.lives == lives


class Sleeps:
    """A clock on which every pause of a start is over at once, and the watchdog never looks."""

    def __init__(self) -> None:
        self.pauses: list[float] = []

    def now(self) -> float:
        """It stands still."""
        return 0.0

    async def sleep(self, seconds: float) -> None:
        """Noted."""
        if seconds == Supervision().patience / 10:
            await asyncio.Event().wait()
        self.pauses.append(seconds)
        await asyncio.sleep(0)
