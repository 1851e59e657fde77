"""Write an account out with the official SDK, so that `local-assistants import` can take it in.

    .venv/bin/python examples/dump_with_sdk.py my-account --threads thread-ids.txt
    .venv/bin/local-assistants import my-account --data FOLDER

The API never listed threads: name them in a file, an id a line, from wherever your program keeps them. A server of
this project does list them: --all-threads. Whose account it is, the SDK's own variables say: OPENAI_BASE_URL and
OPENAI_API_KEY.

    my-account/objects.jsonl   a header, an object a line as the SDK shows it, an end with counts
    my-account/blobs/ID        the bytes of each file

A server may refuse to give back the bytes of what was uploaded for assistants. Then the text that its vector stores
made of the file is taken, as a text file; one that is in no vector store is listed without bytes, and left out by the
import.
"""

import argparse
import hashlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from openai import APIStatusError, OpenAI

FORMAT, VERSION = "local-assistants.account", 1


class Dump:
    """The dump under way: lines and bytes."""

    def __init__(self, client: OpenAI, folder: Path) -> None:
        self.client = client
        self.blobs = folder / "blobs"
        self.blobs.mkdir(parents=True)
        self.lines = (folder / "objects.jsonl").open("w", encoding="utf-8")
        self.counts: dict = {}
        self.stores_of: dict = {}  # file id -> a vector store that has it

    def write(self, kind: str, data: dict, **more: object) -> None:
        """One object."""
        self.counts[kind] = self.counts.get(kind, 0) + 1
        self.line({"type": kind, "data": data, **more})

    def line(self, record: dict) -> None:
        """One line."""
        self.lines.write(json.dumps(record, ensure_ascii=False) + "\n")

    def account(self, threads: Iterable[str]) -> None:
        """Everything; what refers to something comes after it."""
        self.counts["dump"] = 1
        self.line({"type": "dump", "format": FORMAT, "version": VERSION})
        stores = [store.to_dict() for store in self.client.vector_stores.list(order="asc")]
        members = [
            member.to_dict()
            for store in stores
            for member in self.client.vector_stores.files.list(store["id"], order="asc")
        ]
        self.stores_of = {member["id"]: member["vector_store_id"] for member in members}
        for file in self.client.files.list(order="asc"):
            self.file(file.to_dict())
        for store in stores:
            self.write("vector_stores", store)
        for member in members:
            self.write("vector_store_files", member)
        for assistant in self.client.beta.assistants.list(order="asc"):
            self.write("assistants", assistant.to_dict())
        for thread_id in threads:
            self.thread(thread_id)
        self.line({"type": "end", "counts": self.counts})
        self.lines.close()

    def thread(self, thread_id: str) -> None:
        """A thread with its runs, their steps, and its messages."""
        threads = self.client.beta.threads
        self.write("threads", threads.retrieve(thread_id).to_dict())
        for run in threads.runs.list(thread_id, order="asc"):
            self.write("runs", run.to_dict())
            for step in threads.runs.steps.list(run.id, thread_id=thread_id, order="asc"):
                self.write("run_steps", step.to_dict())
        for message in threads.messages.list(thread_id, order="asc"):
            self.write("messages", message.to_dict())

    def file(self, file: dict) -> None:
        """A file with its bytes, or the text of it."""
        content = self.bytes_of(file["id"])
        if content is None and file["id"] in self.stores_of:
            content = self.text_of(file["id"])
            file["filename"] = file["filename"].removesuffix(".txt") + ".txt"
        if content is None:
            print(f"{file['id']} ({file['filename']}): its bytes are not given back")
            self.write("files", file, sha256=None)
            return
        (self.blobs / file["id"]).write_bytes(content)
        self.write("files", file, sha256=hashlib.sha256(content).hexdigest())

    def bytes_of(self, file_id: str) -> bytes | None:
        """The bytes of a file; None where the server does not give them back."""
        try:
            return self.client.files.content(file_id).read()
        except APIStatusError as error:
            if error.status_code in (400, 403, 404):
                return None
            raise

    def text_of(self, file_id: str) -> bytes:
        """What a vector store made of the file."""
        pages = self.client.vector_stores.files.content(
            file_id, vector_store_id=self.stores_of[file_id]
        )
        return "\n".join(page.text or "" for page in pages).encode()


def all_threads(client: OpenAI) -> Iterator[str]:
    """The ids of all threads, oldest first: a server of this project only."""
    root = str(client.base_url).rstrip("/").removesuffix("/v1")
    after, more = "", True
    while more:
        url = f"{root}/local/threads?order=asc&limit=100{after}"
        page: dict = client.get(url, cast_to=dict)
        for thread in page["data"]:
            yield thread["id"]
            after = f"&after={thread['id']}"
        more = page["has_more"]


def main() -> None:
    """Read the command line, and dump."""
    parser = argparse.ArgumentParser(description="Dump an account with the official SDK.")
    parser.add_argument("folder", type=Path, help="folder to make")
    parser.add_argument("--threads", type=Path, help="file with the ids of threads, one a line")
    parser.add_argument("--all-threads", action="store_true", help="ask the server for them")
    asked = parser.parse_args()
    client = OpenAI()
    threads = asked.threads.read_text().split() if asked.threads else ()
    dump = Dump(client, asked.folder)
    dump.account(all_threads(client) if asked.all_threads else threads)
    print(", ".join(f"{count} {kind}" for kind, count in dump.counts.items() if kind != "dump"))


if __name__ == "__main__":
    main()
