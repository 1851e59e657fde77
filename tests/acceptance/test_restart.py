"""What a client had before the server was stopped is there after it was started again."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from openai import OpenAI
from openai.types.beta.threads.run_submit_tool_outputs_params import ToolOutput

from local_assistants import assemble

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*[Dd]eprecated:DeprecationWarning"  # the SDK says so of every call
)

LOOK: dict[str, Any] = {"type": "function", "function": {"name": "look"}}
TURNS: list[dict[str, Any]] = [
    {"tool_calls": [{"name": "look", "arguments": {}}]},
    {"text": "You see {{tool}}.", "tokens_per_second": 50},
]


@pytest.fixture
def settings(tmp_path: Path) -> assemble.Settings:
    """One data folder for all servers of a test."""
    script = tmp_path / "script.yaml"
    script.write_text(yaml.safe_dump({"turns": TURNS}))
    return assemble.Settings(model=f"scripted:{script}", data=tmp_path / "data", port=0)


@pytest.fixture
def connect(
    serve_settings: Callable[[assemble.Settings], Any], settings: assemble.Settings
) -> Callable[[], tuple[OpenAI, Callable[[], None]]]:
    """Start a server on the data folder: a client for it, and how to stop it."""

    def start() -> tuple[OpenAI, Callable[[], None]]:
        server = serve_settings(settings)
        client = OpenAI(base_url=f"{server.address}/v1", api_key="none", max_retries=0)
        return client, server.stop

    return start


def test_a_waiting_run_takes_its_outputs_after_a_restart(
    connect: Callable[[], tuple[OpenAI, Callable[[], None]]],
) -> None:
    """requires_action survives; the answer comes from the second server."""
    client, stop = connect()
    assistant = client.beta.assistants.create(model="gpt-4o", tools=[LOOK])  # type: ignore[list-item]
    thread = client.beta.threads.create(messages=[{"role": "user", "content": "look"}])
    run = client.beta.threads.runs.create_and_poll(thread_id=thread.id, assistant_id=assistant.id)
    assert run.required_action is not None
    call = run.required_action.submit_tool_outputs.tool_calls[0]
    stop()

    client, stop = connect()
    assert (
        client.beta.threads.runs.retrieve(run.id, thread_id=thread.id).status == "requires_action"
    )
    run = client.beta.threads.runs.submit_tool_outputs_and_poll(
        run_id=run.id,
        thread_id=thread.id,
        tool_outputs=[{"tool_call_id": call.id, "output": "a door"}],
    )
    messages = client.beta.threads.messages.list(thread.id)

    assert run.status == "completed"
    assert messages.data[0].content[0].type == "text"
    assert messages.data[0].content[0].text.value == "You see a door."


def test_a_run_cut_off_in_mid_answer_is_finished_by_the_next_server(
    connect: Callable[[], tuple[OpenAI, Callable[[], None]]],
) -> None:
    """Stopped while it speaks, the run completes after the restart; the broken step is closed as failed."""
    client, stop = connect()
    assistant = client.beta.assistants.create(model="gpt-4o", tools=[LOOK])  # type: ignore[list-item]
    thread = client.beta.threads.create(messages=[{"role": "user", "content": "look"}])
    run = client.beta.threads.runs.create_and_poll(thread_id=thread.id, assistant_id=assistant.id)
    assert run.required_action is not None
    call = run.required_action.submit_tool_outputs.tool_calls[0]
    outputs: list[ToolOutput] = [{"tool_call_id": call.id, "output": "word " * 40}]
    stream = client.beta.threads.runs.submit_tool_outputs(
        run.id, thread_id=thread.id, tool_outputs=outputs, stream=True
    )
    for event in stream:
        if event.event == "thread.message.delta":
            break
    stream.close()
    stop()

    client, stop = connect()
    run = client.beta.threads.runs.poll(run.id, thread_id=thread.id)
    steps = client.beta.threads.runs.steps.list(run.id, thread_id=thread.id, order="asc").data
    messages = client.beta.threads.messages.list(thread.id, run_id=run.id, order="asc").data

    assert run.status == "completed"
    assert [(s.type, s.status) for s in steps] == [
        ("tool_calls", "completed"),
        ("message_creation", "failed"),
        ("message_creation", "completed"),
    ]
    assert [m.status for m in messages] == ["incomplete", "completed"]
    assert messages[1].content[0].type == "text"
    assert messages[1].content[0].text.value == f"You see {'word ' * 40}."
