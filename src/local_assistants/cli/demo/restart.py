"""Chapter 4: after a restart of the server the conversation of chapter 1 goes on, with all it had.

Everything that talks to the server is the official SDK as anyone would write it; only `base_url` is ours.
"""

# pyright: reportDeprecated=false
# The API's owners have switched it off, and their SDK says so at every call: that is why this product is here.

import re
from collections.abc import Callable

from openai import OpenAI

from local_assistants.cli.demo import truth
from local_assistants.cli.demo.analyst import CHART_FILE, Analysis, Conversation, ask
from local_assistants.cli.demo.stage import Stage, text_of

FOLLOW_UP = "And which state has the second most bank failures, and how many?"
LIST_FILES = "List the files in /mnt/data: print(os.listdir('/mnt/data'))"


def tell(stage: Stage, analysis: Analysis, restart: Callable[[], str]) -> None:
    """Run the chapter. `restart` stops the server, starts it again and gives the new address."""
    before = _transcript(stage.address, analysis)
    with stage.ledger.timed("4 stop the server and start it again"):
        address = restart()
    stage.narrator.line(f"stopped, started again, now at {address}")
    after = _transcript(address, analysis)
    stage.ledger.part(
        after == before, "all messages are there, word for word", f"{len(after)} of {len(before)}"
    )
    client = OpenAI(base_url=f"{address}/v1", api_key="any")
    talk = Conversation(client, analysis.assistant_id, analysis.thread_id)
    _check_chart(stage, client, analysis)
    _check_folder(stage, talk)
    _follow_up(stage, talk)


def _transcript(address: str, analysis: Analysis) -> list[tuple[str, str, str]]:
    """(id, role, text) of all messages, oldest first."""
    client = OpenAI(base_url=f"{address}/v1", api_key="any")
    page = client.beta.threads.messages.list(analysis.thread_id, order="asc", limit=100)
    return [(message.id, message.role, text_of(message)) for message in page]


def _check_chart(stage: Stage, client: OpenAI, analysis: Analysis) -> None:
    if analysis.chart_id is None:
        return
    content = client.files.content(analysis.chart_id).read()
    same = content == (stage.output / CHART_FILE).read_bytes()
    stage.ledger.part(same, "the chart can still be downloaded", f"{len(content):,} bytes")


def _check_folder(stage: Stage, talk: Conversation) -> None:
    """What a fresh kernel finds in /mnt/data, as its own listing says."""
    with stage.ledger.timed("4 list /mnt/data in a new kernel"):
        ask(stage, talk, LIST_FILES, must_run=True)
    listed = _last_logs(talk)
    names = re.findall(r"'([^'\n]+)'", listed)
    there = truth.BANKS in names and any(name.endswith(".xlsx") for name in names)
    stage.ledger.part(
        there, "table and report are still in /mnt/data", ", ".join(names) or "nothing was listed"
    )


def _last_logs(talk: Conversation) -> str:
    """What code printed in the newest run of the thread."""
    runs = talk.client.beta.threads.runs
    newest = next(iter(runs.list(talk.thread_id, limit=1)))
    return "\n".join(
        output.logs
        for step in runs.steps.list(newest.id, thread_id=talk.thread_id)
        if step.step_details.type == "tool_calls"
        for call in step.step_details.tool_calls
        if call.type == "code_interpreter"
        for output in call.code_interpreter.outputs
        if output.type == "logs"
    )


def _follow_up(stage: Stage, talk: Conversation) -> None:
    with stage.ledger.timed("4 ask a question that needs what was said before"):
        answer = "\n".join(map(text_of, ask(stage, talk, FOLLOW_UP)))
    stage.ledger.answer(
        truth.names_state(answer, truth.SECOND_MOST),
        "names the second state",
        f"truth {truth.shown(truth.SECOND_MOST)}",
    )
