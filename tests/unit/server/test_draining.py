"""Leave is taken of whoever is being talked to: streams, requests that wait, and those that come too late."""

import asyncio
from pathlib import Path

from local_assistants.server.draining import Drain

from .house import House, open_house

STILL = [{"text": "Hello", "hang": True}]


async def busy(house: House) -> str:
    """The path of a thread that a run holds for good."""
    assistant = await house.post("/assistants", {"model": "scripted"})
    run = await house.post("/threads/runs", {"assistant_id": assistant["id"]})
    return f"/threads/{run['thread_id']}"


async def held(drain: Drain) -> None:
    """Return when somebody is being talked to."""
    async with asyncio.timeout(20):
        while not drain.held:  # noqa: ASYNC110 - nobody tells of it but the count
            await asyncio.sleep(0)


async def test_a_request_that_waits_for_a_busy_thread_is_told_to_come_again(tmp_path: Path) -> None:
    """Its thread will not be free before the next start; nothing of it was done."""
    async with open_house(tmp_path, STILL) as house:
        thread = await busy(house)
        body, queue = {"role": "user", "content": "More"}, {"x-busy-thread": "queue"}
        path = f"{thread}/messages"
        waiting = asyncio.create_task(house.client.post(path, json=body, headers=queue))
        await held(house.app.state.drain)
        await house.app.state.drain.cut(patience=0)
        answer = await waiting
        messages = await house.get(path)

    assert (503, "1") == (answer.status_code, answer.headers["retry-after"])
    assert [] == messages["data"]


async def test_a_stream_that_comes_too_late_is_cut_at_once(tmp_path: Path) -> None:
    """It would hold up the end; the error says how to go on."""
    async with open_house(tmp_path, STILL) as house:
        thread = await busy(house)
        run = (await house.get(f"{thread}/runs"))["data"][0]["id"]
        await house.app.state.drain.cut(patience=0)
        told = (await house.client.get(f"{thread}/runs/{run}/events")).text

    assert told.endswith("}\n\n")
    assert '"code":"server_stopping"' in told
    assert "Last-Event-ID" in told
    assert "event: done" not in told


async def test_a_stream_whose_run_ends_meanwhile_ends_as_ever(tmp_path: Path) -> None:
    """Its last words have some patience; the server waits no longer than for them."""
    async with open_house(tmp_path, [{"text": "Hi.", "delay": 0.05}]) as house:
        assistant = await house.post("/assistants", {"model": "scripted"})
        body = {"assistant_id": assistant["id"], "stream": True}
        streaming = asyncio.create_task(house.client.post("/threads/runs", json=body))
        await held(house.app.state.drain)
        await house.app.state.drain.cut(patience=100)
        told = (await streaming).text

    assert told.endswith("event: done\ndata: [DONE]\n\n")
    assert "thread.run.completed" in told


async def test_a_server_that_is_being_stopped_is_not_ready(tmp_path: Path) -> None:
    """Nothing else about it matters then; whoever asks for more is answered."""
    async with open_house(tmp_path) as house:
        house.app.state.drain.begin()
        ready = await house.client.get("http://localhost/readyz?exclude=server")
        models = await house.client.get("/models")

    assert (503, {"server": "It is being stopped."}) == (
        ready.status_code,
        ready.json()["reasons"],
    )
    assert 200 == models.status_code
