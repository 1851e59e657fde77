"""What /metrics counts, and that nothing a client writes becomes a label."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx

from .house import House, Json, new_key, open_house
from .test_live import listening

ROOT = "http://localhost"
SLOW: tuple[Json, ...] = ({"text": "one two " * 200, "tokens_per_second": 10},)


async def figures(client: httpx.AsyncClient, root: str = ROOT) -> dict[str, float]:
    """Every sample by its name with labels."""
    answer = await client.get(f"{root}/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    lines = [line for line in answer.text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


OPEN = "local_assistants_open_streams"


async def figure(client: httpx.AsyncClient, root: str, name: str) -> float:
    """One sample."""
    return (await figures(client, root))[name]


async def counted(house: House, store_id: str) -> int:
    """How many files of a store are still to be indexed."""
    store = await house.get(f"/vector_stores/{store_id}")
    return int(store["file_counts"]["in_progress"])


async def until(look: Callable[[], Awaitable[float]], wanted: float) -> None:
    """Look again until what is seen is what is wanted."""
    while await look() != wanted:  # noqa: ASYNC110 - a client polls, too
        await asyncio.sleep(0.01)


async def test_requests_are_counted_by_template(house: House) -> None:
    """All prefixes and ids of one route add up; unknown paths and methods do not make labels."""
    await house.client.get("/assistants/asst_1")
    await house.client.get(f"{ROOT}/openai/assistants/asst_2")
    await house.client.get("/no/such/path")
    await house.client.request("BREW", "/assistants/asst_3")
    told = await figures(house.client)
    one = 'local_assistants_http_requests_total{method="GET",route="/v1/assistants/{assistant_id}",status="4xx"}'
    none = 'local_assistants_http_requests_total{method="GET",route="none",status="4xx"}'
    odd = 'local_assistants_http_requests_total{method="other",route="/v1/assistants/{assistant_id}",status="4xx"}'
    assert (2, 1, 1) == (told[one], told[none], told[odd])


async def test_refusals_at_the_gate_are_counted(house: House) -> None:
    """They reach no route."""
    await house.client.get("/models", headers={"host": "evil.example"})
    told = await figures(house.client)
    assert 1 == told['local_assistants_http_requests_total{method="GET",route="none",status="4xx"}']


async def test_a_run_leaves_its_figures(house: House) -> None:
    """Status, duration, first token, steps, tokens and commits."""
    assistant = await house.post("/assistants", {"model": "scripted"})
    thread = await house.post("/threads", {"messages": [{"role": "user", "content": "hi"}]})
    run = await house.finished_run(thread["id"], {"assistant_id": assistant["id"]})
    told = await figures(house.client)
    assert {
        'local_assistants_runs_total{status="completed"}': 1,
        'local_assistants_run_seconds_count{status="completed"}': 1,
        "local_assistants_run_first_token_seconds_count": 1,
        'local_assistants_run_steps_total{status="completed",type="message_creation"}': 1,
        'local_assistants_tokens_total{kind="prompt"}': run["usage"]["prompt_tokens"],
        'local_assistants_tokens_total{kind="completion"}': run["usage"]["completion_tokens"],
        "local_assistants_runs_in_progress": 0,
        "local_assistants_runs_queued": 0,
        "local_assistants_open_streams": 0,
    }.items() <= told.items()
    assert told["local_assistants_store_commit_seconds_count"] >= 3
    assert told["local_assistants_stream_events_total"] >= 9


async def test_indexed_files_are_counted(house: House) -> None:
    """By how it ended; nothing waits afterwards."""
    files = [await house.upload(), await house.upload(name="a.bin")]
    store = await house.post("/vector_stores", {"file_ids": [file["id"] for file in files]})
    async with asyncio.timeout(10):
        await until(lambda: counted(house, store["id"]), 0)
    told = await figures(house.client)
    counts = [
        told[f'local_assistants_file_index_seconds_count{{status="{status}"}}']
        for status in ("completed", "failed")
    ]
    assert ([1, 1], 0) == (counts, told["local_assistants_files_waiting"])


async def test_an_open_stream_is_seen(tmp_path: Path) -> None:
    """While it lasts a stream is open and its run in progress; when the client has gone it is not."""
    async with listening(tmp_path, SLOW) as url, httpx.AsyncClient(base_url=f"{url}/v1") as client:
        assistant = (await client.post("/assistants", json={"model": "scripted"})).json()
        body = {"assistant_id": assistant["id"], "stream": True}
        async with client.stream("POST", "/threads/runs", json=body) as answer:
            texts = answer.aiter_text()  # held: the connection is closed with its iterator
            while "thread.message.delta" not in await anext(texts):
                pass
            during = await figures(client, url)
        async with asyncio.timeout(10):
            await until(lambda: figure(client, url, OPEN), 0)
    assert (1, 1) == (during[OPEN], during["local_assistants_runs_in_progress"])


async def test_a_key_is_asked_for(tmp_path: Path) -> None:
    """Once there are keys, figures are for those who have one."""
    async with open_house(tmp_path) as house:
        key = await new_key(house)
        refused = await house.client.get(f"{ROOT}/metrics")
        told = await house.client.get(f"{ROOT}/metrics", headers={"api-key": key})
    assert (401, 200) == (refused.status_code, told.status_code)


async def test_what_runs_here_is_told(house: House) -> None:
    """The version and the process's own figures."""
    told = await figures(house.client)
    assert any(name.startswith("local_assistants_build_info{version=") for name in told)
    assert told["process_resident_memory_bytes"] > 0
