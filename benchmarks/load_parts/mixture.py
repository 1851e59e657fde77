"""What clients do all day, by chance with a seed: runs read to the end, left in the middle, cancelled; tools; files.

Everything that is made is deleted again, so that a server that keeps growing keeps what nobody has any more.
"""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

from api_parts.client import Connection, json_bytes, open_connection

from load_parts import checking

_BOUNDARY = "b0undary"


class Client:
    """One of them: a connection, and chances of its own."""

    def __init__(self, address: str, assistants: dict[str, str], seed: int) -> None:
        self._address = address
        self._assistants = assistants
        self._chance = random.Random(seed)
        self._done: Counter[str] = Counter()
        self.errors: list[str] = []

    async def work(self, seconds: float) -> Counter[str]:
        """Do this and that for so long; how often what."""
        ways: dict[str, tuple[float, Callable[[Connection], Awaitable[None]]]] = {
            "talk": (0.6, self._talk),
            "leave": (0.1, self._leave),
            "tool": (0.1, self._tool),
            "file": (0.15, self._file),
            "code": (0.05 if "code" in self._assistants else 0.0, self._code),
        }
        names, weights = list(ways), [weight for weight, _ in ways.values()]
        connection = await open_connection(self._address)
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            (name,) = self._chance.choices(names, weights)
            try:
                await ways[name][1](connection)
            except (ValueError, RuntimeError, ConnectionError, KeyError) as error:
                self.errors.append(f"{name}: {error!r}"[:500])
                connection.close()
                connection = await open_connection(self._address)
            self._done[name] += 1
        connection.close()
        return self._done

    async def _talk(self, connection: Connection) -> None:
        text = f"hello {self._chance.random()}"
        answer = await connection.ask("POST", "/v1/threads/runs", self._run("talk", text))
        first = checking.read(checking.whole(answer.body, text)[1]).data
        await self._json(connection, "GET", f"/v1/threads/{first['thread_id']}/messages")
        await self._drop(connection, first["thread_id"])

    async def _leave(self, _: Connection) -> None:
        """Go away in the middle of a stream, come back, cancel the run and delete its thread."""
        other = await open_connection(self._address)
        thread = (await self._json(other, "POST", "/v1/threads", {}))["id"]
        body = {"assistant_id": self._assistants["slow"]}
        run = (await self._json(other, "POST", f"/v1/threads/{thread}/runs", body))["id"]
        reading = asyncio.ensure_future(other.ask("GET", f"/v1/threads/{thread}/runs/{run}/events"))
        await asyncio.sleep(self._chance.uniform(0, 0.5))
        other.close()
        await asyncio.gather(reading, return_exceptions=True)
        again = await open_connection(self._address)
        path = f"/v1/threads/{thread}/runs/{run}"
        await self._json(again, "POST", f"{path}/cancel", {})
        told = await again.ask("GET", f"{path}/events")
        if b"thread.run.cancelled" not in told.body:
            raise ValueError(f"a cancelled run ended otherwise: {told.body[-300:]!r}")
        await self._drop(again, thread)
        again.close()

    async def _tool(self, connection: Connection) -> None:
        """A run that waits for its client's answer."""
        answer = await connection.ask("POST", "/v1/threads/runs", self._run("tool", "which?"))
        last = checking.read(checking.frames(answer.body)[-1])
        if last.name != "thread.run.requires_action":
            raise ValueError(f"the run does not wait, it is {last.name}")
        calls = last.data["required_action"]["submit_tool_outputs"]["tool_calls"]
        outputs = [{"tool_call_id": call["id"], "output": "this"} for call in calls]
        path = f"/v1/threads/{last.data['thread_id']}/runs/{last.data['id']}/submit_tool_outputs"
        body = json_bytes({"tool_outputs": outputs, "stream": True})
        told = await connection.ask("POST", path, body)
        if b"thread.run.completed" not in told.body:
            raise ValueError(f"a run did not take its outputs: {told.body[-300:]!r}")
        await self._drop(connection, last.data["thread_id"])

    async def _file(self, connection: Connection) -> None:
        """A file that comes, is read and goes."""
        content = self._chance.randbytes(10_000).hex()
        form = (
            f'--{_BOUNDARY}\r\ncontent-disposition: form-data; name="purpose"\r\n\r\nvision\r\n'
            f'--{_BOUNDARY}\r\ncontent-disposition: form-data; name="file"; filename="a.png"\r\n'
            f"content-type: image/png\r\n\r\n{content}\r\n--{_BOUNDARY}--\r\n"
        )
        kind = f"multipart/form-data; boundary={_BOUNDARY}"
        made = (await connection.ask("POST", "/v1/files", form.encode(), kind=kind)).json()
        told = await connection.ask("GET", f"/v1/files/{made['id']}/content")
        if told.body != content.encode():
            raise ValueError("a file came back changed")
        await self._json(connection, "DELETE", f"/v1/files/{made['id']}")

    async def _code(self, connection: Connection) -> None:
        """A run that has code executed, in an interpreter of its own."""
        answer = await connection.ask("POST", "/v1/threads/runs", self._run("code", "6 * 7"))
        events = [checking.read(frame) for frame in checking.frames(answer.body)]
        if events[-1].name != "thread.run.completed" or b"It said 42" not in answer.body:
            raise ValueError(f"the code was not executed: {checking.said(events)!r}")
        await self._drop(connection, events[-1].data["thread_id"])

    def _run(self, model: str, text: str) -> bytes:
        thread = {"messages": [{"role": "user", "content": text}]}
        body = {"assistant_id": self._assistants[model], "thread": thread, "stream": True}
        return json_bytes(body)

    async def _drop(self, connection: Connection, thread: str) -> None:
        await self._json(connection, "DELETE", f"/v1/threads/{thread}")

    async def _json(
        self, connection: Connection, method: str, path: str, body: Any = None
    ) -> dict[str, Any]:
        sent = json_bytes(body) if body is not None else b""
        answer: dict[str, Any] = (await connection.ask(method, path, sent)).json()
        return answer


async def mixture(job: dict[str, Any]) -> dict[str, Any]:
    """`clients` of them for `seconds`; how often each thing was done, and what went wrong."""
    clients = [
        Client(job["address"], job["assistants"], seed)
        for seed in range(job["seed"], job["seed"] + job["clients"])
    ]
    counts = await asyncio.gather(*(client.work(job["seconds"]) for client in clients))
    done = sum(counts, Counter[str]())
    return {"done": done, "errors": [error for client in clients for error in client.errors]}
