"""Chapter 2: a question about a company filing, answered with its source, through the Azure client.

Everything that talks to the server is the official SDK as anyone would write it; only `azure_endpoint` is ours.
"""

# pyright: reportDeprecated=false
# The API's owners have switched it off, and their SDK says so at every call: that is why this product is here.

from openai import AzureOpenAI
from openai.types.beta.threads import Message
from openai.types.beta.threads.file_citation_annotation import FileCitation

from local_assistants.cli.demo import truth
from local_assistants.cli.demo.stage import Live, Stage, how_it_ended, text_of

INSTRUCTIONS = "Answer from the filing, in one sentence, with the exact number."
QUESTION = "How many shares did Ulta Beauty repurchase in the fourth quarter of fiscal 2022?"
_QUOTE = 160  # characters shown of a quoted passage


def tell(stage: Stage) -> None:
    """Run the chapter. Server errors surface as the SDK's own."""
    client = AzureOpenAI(
        azure_endpoint=stage.address, api_key="any", api_version="2024-05-01-preview"
    )
    store_id = _index(stage, client)
    if store_id is None:
        return
    assistant = client.beta.assistants.create(
        model=stage.model,
        name="Reader of filings",
        instructions=INSTRUCTIONS,
        tools=[{"type": "file_search"}],
        tool_resources={"file_search": {"vector_store_ids": [store_id]}},
        temperature=0,
    )
    thread = client.beta.threads.create(messages=[{"role": "user", "content": QUESTION}])
    stage.narrator.say("you", QUESTION)
    with (
        stage.ledger.timed("2 ask about the filing"),
        stage.narrator.waiting("searching and reading"),
        client.beta.threads.runs.stream(
            thread_id=thread.id, assistant_id=assistant.id, event_handler=Live(stage.narrator)
        ) as stream,
    ):
        stream.until_done()
        run = stream.current_run
    if run is None or run.status != "completed":
        stage.ledger.part(False, "the run completes", how_it_ended(run))
        return
    _check(stage, client, list(client.beta.threads.messages.list(thread.id, run_id=run.id)))


def _index(stage: Stage, client: AzureOpenAI) -> str | None:
    """Put the filing into a vector store; its id, or None when the file could not be read."""
    with stage.ledger.timed("2 read and index the filing"):
        store = client.vector_stores.create(name="Filings")
        with (
            stage.narrator.waiting(f"reading and indexing {truth.FILING}"),
            (stage.data / truth.FILING).open("rb") as pdf,
        ):
            file = client.vector_stores.files.upload_and_poll(vector_store_id=store.id, file=pdf)
    seen = file.status if file.last_error is None else f"{file.status}: {file.last_error.message}"
    done = stage.ledger.part(file.status == "completed", "the filing is indexed", seen)
    return store.id if done else None


def _check(stage: Stage, client: AzureOpenAI, messages: list[Message]) -> None:
    answer = "\n".join(map(text_of, messages))
    cited = _citations(messages)
    for citation in cited:
        name = client.files.retrieve(citation.file_id).filename
        stage.narrator.say("source", f"{name}, page {_page(citation)}: “{_quote(citation)}”")
    complete = [each for each in cited if _page(each) is not None and _quote(each)]
    stage.ledger.part(
        bool(complete),
        "the answer cites file, page and passage",
        f"{len(complete)} of {len(cited)}",
    )
    number = truth.SHARES_REPURCHASED
    right = truth.numbers(number) <= truth.numbers(answer)
    stage.ledger.answer(right, "gives the number", f"truth {number} shares")
    pages = {_page(each) for each in cited}
    stage.ledger.answer(
        truth.SHARES_PAGE in pages, "cites the right page", f"truth page {truth.SHARES_PAGE}"
    )


def _citations(messages: list[Message]) -> list[FileCitation]:
    return [
        mark.file_citation
        for message in messages
        for part in message.content
        if part.type == "text"
        for mark in part.text.annotations
        if mark.type == "file_citation"
    ]


def _page(citation: FileCitation) -> object:
    return getattr(citation, "page", None)  # ours beyond the contract: the SDK passes it on untyped


def _quote(citation: FileCitation) -> str:
    quote = " ".join(str(getattr(citation, "quote", None) or "").split())
    return quote if len(quote) <= _QUOTE else f"{quote[:_QUOTE]}…"
