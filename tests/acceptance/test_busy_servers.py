"""`serve --busy-thread`: two server processes on one data folder let the requests for one thread wait in turn."""

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
import yaml

from local_assistants.cli import exit_codes
from local_assistants.cli.app import run

EACH = 4  # requests to each server


@pytest.fixture
def two_servers(tmp_path: Path) -> Iterator[list[httpx.Client]]:
    """Clients of two servers on one data folder, which queue requests for a busy thread."""
    script = tmp_path / "script.yaml"
    script.write_text(yaml.safe_dump({"turns": [{"text": "one two", "tokens_per_second": 20}]}))
    serve = [sys.executable, "-m", "local_assistants", "serve", "--port", "0"]
    serve += ["--model", f"scripted:{script}", "--data", str(tmp_path / "data")]
    serve += ["--busy-thread", "queue", "--busy-wait", "50"]
    processes = [
        subprocess.Popen(serve, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        for _ in range(2)
    ]
    clients: list[httpx.Client] = []
    try:
        for process in processes:
            assert process.stdout is not None
            address = process.stdout.readline().strip()
            clients.append(httpx.Client(base_url=f"{address}/v1", timeout=60))
        yield clients
    finally:
        for client in clients:
            client.close()
        for process in processes:
            process.kill()
            process.communicate()


@pytest.mark.slow
def test_two_servers_share_a_thread_in_turns(two_servers: list[httpx.Client]) -> None:
    """Every request is served, by whichever server it came to; the loser of a race waits on."""
    one, other = two_servers
    assistant = one.post("/assistants", json={"model": "scripted"}).json()
    thread = one.post("/threads", json={"messages": [{"role": "user", "content": "hi"}]}).json()
    path = f"/threads/{thread['id']}/runs"

    def stream(client: httpx.Client) -> str:
        return client.post(path, json={"assistant_id": assistant["id"], "stream": True}).text

    with ThreadPoolExecutor(2 * EACH) as pool:
        streams = list(pool.map(stream, [one, other] * EACH))
    runs = other.get(path, params={"limit": 100}).json()["data"]

    assert 2 * EACH == len(runs)
    assert {"completed"} == {each["status"] for each in runs}
    assert [1] * len(streams) == [stream.count("event: thread.run.completed") for stream in streams]


@pytest.mark.parametrize("option", [("--busy-thread", "wait"), ("--busy-wait", "-1")])
def test_an_unknown_policy_is_wrong_usage(
    option: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Said before anything is started."""
    assert exit_codes.WRONG_USAGE == run(["serve", *option])
    assert option[0] in capsys.readouterr().err
