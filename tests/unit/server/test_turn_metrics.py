"""What /metrics tells of turns, tools, interpreters, the queue and the store."""

import asyncio
from pathlib import Path

import httpx

from local_assistants.engine.ports import Kernels
from local_assistants.engine.settings import CoreSettings
from tests.support.engine import ScriptedTool, answering

from .house import House, open_house
from .test_live import listening
from .test_metrics import ROOT, SLOW, figure, figures, until


class Interpreters(ScriptedTool):
    """A code interpreter with kernels: two in use, one spare, four at most."""

    def __init__(self) -> None:
        super().__init__("code_interpreter", answering("1"))

    def kernels(self) -> Kernels:
        """As the real one counts them."""
        return Kernels(sessions=2, spare=1, limit=4)


async def test_turns_are_measured_by_model(tmp_path: Path) -> None:
    """Time to the first token, tokens, and how fast they came; by the model's configured name."""
    turn = {"text": "one two three four " * 5, "delay": 0.05, "tokens_per_second": 20}
    async with open_house(tmp_path, (turn,)) as house:
        assistant = await house.post("/assistants", {"model": "scripted"})
        thread = await house.post("/threads", {})
        run = await house.finished_run(thread["id"], {"assistant_id": assistant["id"]})
        told = await figures(house.client)
    name = "local_assistants_turn"
    assert {
        f'{name}_seconds_count{{model="scripted",outcome="stop"}}': 1,
        f'{name}_first_token_seconds_count{{model="scripted"}}': 1,
        f'{name}_tokens_total{{kind="completion",model="scripted"}}': run["usage"][
            "completion_tokens"
        ],
        f'{name}_tokens_per_second_count{{model="scripted"}}': 1,
    }.items() <= told.items()
    assert told[f'{name}_first_token_seconds_sum{{model="scripted"}}'] >= 0.05
    assert 0 < told[f'{name}_tokens_per_second_sum{{model="scripted"}}'] < 60


async def test_an_answer_that_comes_at_once_has_no_rate(house: House) -> None:
    """It would be that of a clock's tick."""
    assistant = await house.post("/assistants", {"model": "scripted"})
    thread = await house.post("/threads", {})
    await house.finished_run(thread["id"], {"assistant_id": assistant["id"]})
    told = await figures(house.client)
    assert 1 == told['local_assistants_turn_first_token_seconds_count{model="scripted"}']
    assert 'local_assistants_turn_tokens_per_second_count{model="scripted"}' not in told


async def test_a_turn_that_fails_is_counted_as_broken_off(tmp_path: Path) -> None:
    """What it took is known all the same."""
    turn = {"error": {"message": "broken"}}
    async with open_house(tmp_path, (turn,)) as house:
        assistant = await house.post("/assistants", {"model": "scripted"})
        thread = await house.post("/threads", {})
        await house.finished_run(thread["id"], {"assistant_id": assistant["id"]})
        told = await figures(house.client)
    name = 'local_assistants_turn_seconds_count{model="scripted",outcome="broken_off"}'
    assert 1 == told[name]


async def test_the_queue_has_an_age(tmp_path: Path) -> None:
    """That of the oldest run that was never begun; 0 when none waits. Its length and its waits are told, too."""
    core, age = CoreSettings(max_concurrent_runs=1), "local_assistants_run_queue_age_seconds"
    async with open_house(tmp_path, ({"text": "hi", "hang": True},), core=core) as house:
        assistant = await house.post("/assistants", {"model": "scripted"})
        empty = (await figures(house.client))[age]
        for _ in range(3):
            thread = await house.post("/threads", {})
            await house.post(f"/threads/{thread['id']}/runs", {"assistant_id": assistant["id"]})
        await until(lambda: figure(house.client, ROOT, "local_assistants_runs_queued"), 2)
        async with asyncio.timeout(30):
            while (told := await figures(house.client))[age] < 1:  # noqa: ASYNC110 - a client polls, too
                await asyncio.sleep(0.1)
    assert (0, 2) == (empty, told["local_assistants_runs_queued"])
    assert 1 == told["local_assistants_run_queue_seconds_count"]


async def test_tools_and_kernels_are_told(tmp_path: Path) -> None:
    """A call by how it ended; interpreters as the tool says how many there are."""
    code = {"tool_calls": [{"name": "code_interpreter", "arguments": {"code": "1"}}]}
    async with open_house(tmp_path, (code, {"text": "hi"}), tools=(Interpreters(),)) as house:
        tools = [{"type": "code_interpreter"}]
        assistant = await house.post("/assistants", {"model": "scripted", "tools": tools})
        thread = await house.post("/threads", {})
        await house.finished_run(thread["id"], {"assistant_id": assistant["id"]})
        told = await figures(house.client)
    calls = "local_assistants_tool_call_seconds_count"
    assert {
        f'{calls}{{outcome="completed",tool="code_interpreter"}}': 1,
        'local_assistants_kernels{state="session"}': 2,
        'local_assistants_kernels{state="spare"}': 1,
        "local_assistants_kernels_limit": 4,
    }.items() <= told.items()


async def test_the_store_is_timed(tmp_path: Path) -> None:
    """Every read and write of an engine as it is put together, runs' or not."""
    name = "local_assistants_store_seconds_count"
    async with listening(tmp_path, SLOW) as root, httpx.AsyncClient() as client:
        before = await figures(client, root)
        await client.post(f"{root}/v1/threads", json={})
        after = await figures(client, root)
    for kind in ("read", "write"):
        sample = f'{name}{{kind="{kind}"}}'
        assert after[sample] > before[sample]
