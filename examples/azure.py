"""The same with Azure's client: only the endpoint is ours.

    .venv/bin/local-assistants serve                  # in another terminal
    .venv/bin/python examples/azure.py [QUESTION]

A program that names its own deployment runs unchanged with `serve --model-alias THAT-NAME`.
"""

import os
import sys

from openai import AzureOpenAI

QUESTION = sys.argv[1] if len(sys.argv) > 1 else "Say in one sentence what a vector store is."

client = AzureOpenAI(
    azure_endpoint=os.environ.get("AZURE_OPENAI_ENDPOINT", "http://127.0.0.1:8000"),
    api_key="any",
    api_version="2024-05-01-preview",
)

assistant = client.beta.assistants.create(
    model=client.models.list().data[0].id, instructions="Answer briefly."
)
thread = client.beta.threads.create(messages=[{"role": "user", "content": QUESTION}])
with client.beta.threads.runs.stream(thread_id=thread.id, assistant_id=assistant.id) as stream:
    for text in stream.text_deltas:
        print(text, end="", flush=True)
    print()
    print(f"The run {stream.get_final_run().status}.")
client.beta.threads.delete(thread.id)
client.beta.assistants.delete(assistant.id)
