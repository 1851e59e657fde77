"""Ask about a table: the assistant writes Python, the server runs it in a sandbox, everything streams in.

    .venv/bin/python examples/analyst.py [TABLE] [QUESTION]     # beside .venv/bin/local-assistants serve

The base_url is all that differs from the hosted API. What the assistant makes is saved in the working folder.
"""

import os
import sys
from pathlib import Path

from openai import AssistantEventHandler, OpenAI
from openai.types.beta.threads import Text, TextDelta
from openai.types.beta.threads.runs import ToolCall, ToolCallDelta

TABLE = sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent / "data/failed_banks.csv"
DEFAULT = "Which state has the most bank failures, and how many?"
QUESTION = sys.argv[2] if len(sys.argv) > 2 else DEFAULT

URL = os.environ.get("OPENAI_BASE_URL", "http://127.0.0.1:8000/v1")
client = OpenAI(base_url=URL, api_key="any")


class Printer(AssistantEventHandler):
    """Prints what the model writes and what its code says."""

    def on_text_delta(self, delta: TextDelta, snapshot: Text) -> None:
        print(delta.value, end="", flush=True)

    def on_tool_call_created(self, tool_call: ToolCall) -> None:
        print("\n")

    def on_tool_call_delta(self, delta: ToolCallDelta, snapshot: ToolCall) -> None:
        if delta.type == "code_interpreter" and delta.code_interpreter:
            print(delta.code_interpreter.input or "", end="", flush=True)
            for output in delta.code_interpreter.outputs or []:
                print(f"\n> {output.logs if output.type == 'logs' else '(a picture)'}")


file = client.files.create(file=Path(TABLE), purpose="assistants")
assistant = client.beta.assistants.create(
    model=client.models.list().data[0].id,
    instructions="You are a data analyst. Answer questions about the attached file by running Python.",
    tools=[{"type": "code_interpreter"}],
    tool_resources={"code_interpreter": {"file_ids": [file.id]}},
    temperature=0,
)
thread = client.beta.threads.create(messages=[{"role": "user", "content": QUESTION}])
with client.beta.threads.runs.stream(
    thread_id=thread.id,
    assistant_id=assistant.id,
    tool_choice={"type": "code_interpreter"},  # small models else may only say what they would do
    event_handler=Printer(),
) as stream:
    stream.until_done()

made = {}
for message in client.beta.threads.messages.list(thread.id, order="asc"):
    for part in message.content:
        if part.type == "image_file":
            made["chart.png"] = part.image_file.file_id
        for mark in part.text.annotations if part.type == "text" else []:
            made[Path(mark.text).name] = mark.file_path.file_id
for name, file_id in made.items():
    Path(name).write_bytes(client.files.content(file_id).read())
    print(f"\nsaved {name}")
