"""A backup taken from a server at work is a data folder: another server goes on with it, as docs/durability.md says."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from openai import OpenAI

from local_assistants import assemble
from local_assistants.storage.backup import make_backup
from local_assistants.storage.checking import check

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*[Dd]eprecated:DeprecationWarning"  # the SDK says so of every call
)

LOOK: dict[str, Any] = {"type": "function", "function": {"name": "look"}}
TURNS: list[dict[str, Any]] = [
    {"tool_calls": [{"name": "look", "arguments": {}}]},
    {"text": "You see {{tool}}."},
]


@pytest.fixture
def connect(
    serve_settings: Callable[[assemble.Settings], Any], tmp_path: Path
) -> Callable[[Path], tuple[OpenAI, Callable[[], None]]]:
    """Start a server on a data folder: a client for it, and how to stop it."""
    script = tmp_path / "script.yaml"
    script.write_text(yaml.safe_dump({"turns": TURNS}))

    def start(data: Path) -> tuple[OpenAI, Callable[[], None]]:
        server = serve_settings(assemble.Settings(model=f"scripted:{script}", data=data, port=0))
        client = OpenAI(base_url=f"{server.address}/v1", api_key="none", max_retries=0)
        return client, server.stop

    return start


def test_a_server_goes_on_with_a_restored_backup(
    connect: Callable[[Path], tuple[OpenAI, Callable[[], None]]], tmp_path: Path
) -> None:
    """Threads, files and a run that waits; what came after the backup is not there."""
    data, backup = tmp_path / "data", tmp_path / "backup"
    client, stop = connect(data)
    file = client.files.create(file=("a.txt", b"kept"), purpose="vision")
    assistant = client.beta.assistants.create(model="gpt-4o", tools=[LOOK])  # type: ignore[list-item]
    thread = client.beta.threads.create(messages=[{"role": "user", "content": "look"}])
    run = client.beta.threads.runs.create_and_poll(thread_id=thread.id, assistant_id=assistant.id)
    assert run.required_action is not None
    call = run.required_action.submit_tool_outputs.tool_calls[0]
    made = make_backup(data, backup)
    assert made.report.served is False  # the copy's own
    assert (True, True) == (made.report.ok, check(data).served)
    late = client.beta.threads.create()
    stop()

    data.rename(tmp_path / "old")
    shutil.copytree(backup, data)
    client, stop = connect(data)
    run = client.beta.threads.runs.submit_tool_outputs_and_poll(
        run_id=run.id,
        thread_id=thread.id,
        tool_outputs=[{"tool_call_id": call.id, "output": "a door"}],
    )
    messages = client.beta.threads.messages.list(thread.id)
    with pytest.raises(Exception, match="No thread found"):
        client.beta.threads.retrieve(late.id)
    kept = client.files.content(file.id).read()
    beside = check(data)
    stop()

    assert ("completed", b"kept") == (run.status, kept)
    assert messages.data[0].content[0].type == "text"
    assert "You see a door." == messages.data[0].content[0].text.value
    assert (True, True, {}) == (beside.served, beside.ok, dict(beside.counts))
    assert (False, True) == ((after := check(data)).served, after.ok)
