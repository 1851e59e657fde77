"""The stream of a run whose code runs in the real sandbox: logs, a picture, then a message that begins with it."""

import json
from typing import Any

import httpx
import pytest

from .conftest import ServeScript

CODE = """import matplotlib.pyplot as plt
print("é is", 6 * 7, flush=True)
plt.plot([1, 2])
plt.show()
print("done")"""
ONLY_A_PLOT = "import matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.show()"


def streamed(address: str) -> list[tuple[str, Any]]:
    """The events of a run on a new thread."""
    with httpx.Client(base_url=f"{address}/v1", timeout=100) as client:
        tools = [{"type": "code_interpreter"}]
        assistant = client.post("/assistants", json={"model": "scripted", "tools": tools}).json()
        body = {"assistant_id": assistant["id"], "stream": True}
        stream = client.post("/threads/runs", json=body).text
    frames = [
        dict(line.split(": ", 1) for line in frame.splitlines() if not line.startswith(":"))
        for frame in stream.split("\n\n")[:-1]
    ]
    assert {"event": "done", "data": "[DONE]"} == frames[-1]
    return [(frame["event"], json.loads(frame["data"])) for frame in frames[:-1]]


def calls_code(code: str) -> dict[str, Any]:
    """A turn that runs code."""
    return {"tool_calls": [{"name": "code_interpreter", "arguments": {"code": code}}]}


def parts(events: list[tuple[str, Any]]) -> list[Any]:
    """Every call fragment of the step deltas, in order."""
    return [
        data["delta"]["step_details"]["tool_calls"][0]
        for name, data in events
        if name == "thread.run.step.delta"
    ]


def ended(events: list[tuple[str, Any]], name: str) -> Any:
    """The payload of the first event of this name."""
    return next(data for told, data in events if told == name)


@pytest.mark.slow
def test_logs_and_pictures_come_in_the_order_of_the_code(serve_script: ServeScript) -> None:
    """Step, header, code, logs, picture, logs, step's end; then the message with picture and text."""
    address = serve_script([calls_code(CODE), {"text": "See the plot."}])
    events = streamed(address)
    header, *fragments = parts(events)
    inputs = [f for f in fragments if "input" in f["code_interpreter"]]
    outputs = [f["code_interpreter"]["outputs"][0] for f in fragments[len(inputs) :]]

    names = [name.removeprefix("thread.") for name, _ in events]
    joined = [n for i, n in enumerate(names) if i == 0 or n != names[i - 1]]
    assert [
        *("created", "run.created", "run.queued", "run.in_progress"),
        *("run.step.created", "run.step.in_progress", "run.step.delta", "run.step.completed"),
        *("run.step.created", "run.step.in_progress"),
        *("message.created", "message.in_progress", "message.delta", "message.completed"),
        *("run.step.completed", "run.completed"),
    ] == joined
    assert {"input": "", "outputs": []} == header["code_interpreter"]
    assert CODE == "".join(f["code_interpreter"]["input"] for f in inputs)
    assert ["logs", "image", "logs"] == [output["type"] for output in outputs]
    assert [0, 1, 2] == [output["index"] for output in outputs]

    [call] = ended(events, "thread.run.step.completed")["step_details"]["tool_calls"]
    final = call["code_interpreter"]
    assert CODE == final["input"]
    assert ["é is 42\n", None, "done\n"] == [output.get("logs") for output in final["outputs"]]
    picture = final["outputs"][1]["image"]["file_id"]
    assert picture == outputs[1]["image"]["file_id"]
    content = ended(events, "thread.message.completed")["content"]
    assert ["image_file", "text"] == [part["type"] for part in content]
    assert picture == content[0]["image_file"]["file_id"]
    image = httpx.get(f"{address}/v1/files/{picture}/content")
    assert image.content.startswith(b"\x89PNG")


@pytest.mark.slow
def test_a_plot_alone_has_no_logs_and_silence_no_outputs(serve_script: ServeScript) -> None:
    """Two steps: a picture and nothing else, then nothing at all."""
    turns = [calls_code(ONLY_A_PLOT), calls_code("x = 1"), {"text": "That was all."}]
    events = streamed(serve_script(turns))
    steps = [
        data["step_details"]["tool_calls"][0]["code_interpreter"]["outputs"]
        for name, data in events
        if name == "thread.run.step.completed" and data["type"] == "tool_calls"
    ]
    assert [["image"], []] == [[output["type"] for output in outputs] for outputs in steps]
