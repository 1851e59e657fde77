"""Chapter 1: an analyst with a Python sandbox reads a table, draws a chart and writes an Excel report.

Everything that talks to the server is the official SDK as anyone would write it; only `base_url` is ours.
"""

# pyright: reportDeprecated=false
# The API's owners have switched it off, and their SDK says so at every call: that is why this product is here.

from dataclasses import dataclass
from pathlib import Path

from openai import OpenAI
from openai.types.beta.threads import Message
from pydantic import BaseModel

from local_assistants.cli.demo import truth
from local_assistants.cli.demo.made_files import opens_as_xlsx, png_size, xlsx_values
from local_assistants.cli.demo.stage import Live, Stage, how_it_ended, text_of

INSTRUCTIONS = "You are a data analyst. Answer questions about the attached file by running Python."
MOST = "Which state has the most bank failures, and how many?"
CHART = "Make a bar chart of the number of bank failures by state."
REPORT = "Write an Excel file report.xlsx with the number of bank failures by state, most first."
CHART_FILE = "failures-by-state.png"
REPORT_FILE = "failures-by-state.xlsx"
_SMALLEST_CHART = 1000  # bytes; an empty picture has fewer


class Analysis(BaseModel):
    """What a later chapter needs to go on with this one."""

    assistant_id: str
    thread_id: str
    chart_id: str | None = None


@dataclass(frozen=True, slots=True)
class Conversation:
    """A thread with its assistant."""

    client: OpenAI
    assistant_id: str
    thread_id: str


def tell(stage: Stage) -> Analysis:
    """Run the chapter. Server errors surface as the SDK's own."""
    client = OpenAI(base_url=f"{stage.address}/v1", api_key="any")
    with stage.ledger.timed("1 upload the table, make the assistant"):
        with (stage.data / truth.BANKS).open("rb") as table:
            file = client.files.create(file=table, purpose="assistants")
        assistant = client.beta.assistants.create(
            model=stage.model,
            name="Analyst",
            instructions=INSTRUCTIONS,
            tools=[{"type": "code_interpreter"}],
            temperature=0,
        )
        thread = client.beta.threads.create(
            tool_resources={"code_interpreter": {"file_ids": [file.id]}}
        )
    stage.narrator.line(f"uploaded {file.filename} ({file.bytes:,} bytes) as {file.id}")
    talk = Conversation(client, assistant.id, thread.id)
    _most_failures(stage, talk)
    chart_id = _chart(stage, talk)
    _report(stage, talk)
    return Analysis(assistant_id=assistant.id, thread_id=thread.id, chart_id=chart_id)


def ask(
    stage: Stage, talk: Conversation, question: str, *, must_run: bool = False
) -> list[Message]:
    """Ask in the thread, show the run as it comes, and return what the assistant wrote.

    `must_run`: the assistant is made to answer by running code, as tool_choice can ask.
    """
    threads = talk.client.beta.threads
    stage.narrator.say("you", question)
    threads.messages.create(talk.thread_id, role="user", content=question)
    with (
        stage.narrator.waiting("the model reads and thinks"),
        threads.runs.stream(
            thread_id=talk.thread_id,
            assistant_id=talk.assistant_id,
            tool_choice={"type": "code_interpreter"} if must_run else "auto",
            event_handler=Live(stage.narrator),
        ) as stream,
    ):
        stream.until_done()
        run = stream.current_run
    if run is None or run.status != "completed":
        stage.ledger.part(False, "the run completes", how_it_ended(run))
        return []
    page = threads.messages.list(talk.thread_id, run_id=run.id, order="asc")
    return list(page)


def images(messages: list[Message]) -> list[str]:
    """File ids of the pictures in the messages."""
    return [
        part.image_file.file_id
        for message in messages
        for part in message.content
        if part.type == "image_file"
    ]


def made_files(messages: list[Message], suffix: str) -> list[str]:
    """File ids of the files that the messages link to under a name with this ending."""
    return [
        mark.file_path.file_id
        for message in messages
        for part in message.content
        if part.type == "text"
        for mark in part.text.annotations
        if mark.type == "file_path" and mark.text.endswith(suffix)
    ]


def _most_failures(stage: Stage, talk: Conversation) -> None:
    with stage.ledger.timed("1 ask for the state with the most failures"):
        messages = ask(stage, talk, MOST)
    answer = "\n".join(map(text_of, messages))
    right = truth.names_state(answer, truth.MOST_FAILURES)
    stage.ledger.answer(
        right, "names the state with the most failures", f"truth {truth.shown(truth.MOST_FAILURES)}"
    )


def _chart(stage: Stage, talk: Conversation) -> str | None:
    with stage.ledger.timed("1 ask for the chart"):
        found = images(ask(stage, talk, CHART))
        if not found:
            stage.narrator.say("note", "No picture came. Asking once more.")
            found = images(ask(stage, talk, f"There was no picture. {CHART}"))
    if not found:
        stage.ledger.part(False, "a chart arrives")
        return None
    content = _save(talk.client, found[-1], stage.output / CHART_FILE)
    size = png_size(content)
    whole = size is not None and len(content) >= _SMALLEST_CHART
    seen = f"{size[0]} x {size[1]} pixels" if size else "not a PNG picture"
    stage.ledger.part(whole, "a chart arrives", f"{CHART_FILE}, {seen}, {len(content):,} bytes")
    return found[-1]


def _report(stage: Stage, talk: Conversation) -> None:
    with stage.ledger.timed("1 ask for the Excel report"):
        found = made_files(ask(stage, talk, REPORT), ".xlsx")
        if not found:
            stage.narrator.say("note", "No Excel file came. Asking once more.")
            found = made_files(ask(stage, talk, f"There was no file. {REPORT}"), ".xlsx")
    if not found:
        stage.ledger.part(False, "an Excel report arrives")
        return
    path = stage.output / REPORT_FILE
    content = _save(talk.client, found[-1], path)
    opens = opens_as_xlsx(path)
    seen = f"{REPORT_FILE}, {len(content):,} bytes"
    stage.ledger.part(opens, "an Excel report arrives and opens", seen)
    _check_report(stage, path)


def _check_report(stage: Stage, path: Path) -> None:
    counts = truth.failures_by_state(stage.data / truth.BANKS)
    values = xlsx_values(path)
    right = sum(state in values and str(count) in values for state, count in counts.items())
    seen = f"{right} of {len(counts)} states with their count"
    stage.ledger.answer(right == len(counts), "puts every state's count into the report", seen)


def _save(client: OpenAI, file_id: str, path: Path) -> bytes:
    content = client.files.content(file_id).read()
    path.write_bytes(content)
    return content
