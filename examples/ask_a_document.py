"""Ask a document: it is indexed by the server, and the answer says on which page it stands.

    .venv/bin/local-assistants serve                  # in another terminal
    .venv/bin/python examples/ask_a_document.py [DOCUMENT] [QUESTION]

The base_url is all that differs from the hosted API. `quote` and `page` of a citation are extras of this server.
"""

import os
import sys
from pathlib import Path

from openai import OpenAI

FILING = Path(__file__).parent / "data/ulta-beauty-q4-fiscal-2022.pdf"
DOCUMENT = sys.argv[1] if len(sys.argv) > 1 else str(FILING)
QUESTION = "How many shares did Ulta Beauty repurchase in the fourth quarter of fiscal 2022?"
QUESTION = sys.argv[2] if len(sys.argv) > 2 else QUESTION

URL = os.environ.get("OPENAI_BASE_URL", "http://127.0.0.1:8000/v1")
client = OpenAI(base_url=URL, api_key="any")

print(f"indexing {DOCUMENT} ...")
store = client.vector_stores.create(name="Documents")
with open(DOCUMENT, "rb") as document:
    file = client.vector_stores.files.upload_and_poll(vector_store_id=store.id, file=document)
if file.status != "completed":
    sys.exit(f"{DOCUMENT} could not be indexed: {file.last_error}")

assistant = client.beta.assistants.create(
    model=client.models.list().data[0].id,
    instructions="Answer from the documents, in one sentence.",
    tools=[{"type": "file_search"}],
    tool_resources={"file_search": {"vector_store_ids": [store.id]}},
    temperature=0,
)
thread = client.beta.threads.create(messages=[{"role": "user", "content": QUESTION}])
print("asking ...")
run = client.beta.threads.runs.create_and_poll(
    thread_id=thread.id,
    assistant_id=assistant.id,
    tool_choice={"type": "file_search"},  # a small model may else only say what it would search for
)
if run.status != "completed":
    sys.exit(f"The run ended as {run.status}: {run.last_error}")

(text,) = client.beta.threads.messages.list(thread.id, run_id=run.id).data[0].content
answer = text.text.value
for number, mark in enumerate(text.text.annotations, 1):
    answer = answer.replace(mark.text, f" [{number}]")
print(answer)
for number, mark in enumerate(text.text.annotations, 1):
    cited = client.files.retrieve(mark.file_citation.file_id)
    print(
        f"[{number}] {cited.filename}, page {mark.file_citation.page}: {mark.file_citation.quote}"
    )
