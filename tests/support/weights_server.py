"""A server of weights on loopback: files, ranges, redirects, and everything a bad server does."""

import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import gguf
import numpy as np


def some_gguf(path: Path, values: int = 50_000) -> bytes:
    """A well-formed GGUF of about four bytes a value, written to `path` and returned."""
    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_context_length(8)
    writer.add_tensor("token_embd.weight", np.arange(values, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path.read_bytes()


@dataclass(kw_only=True)
class Hosted:
    """What the server has at one path, and how it behaves about it.

    Attributes:
        content: the file.
        headers: sent with every answer, in place of those that the server would send.
        status: answered instead of the file, as many times as there are numbers.
        breaks: bytes after which the connection ends, one number an answer; then it holds.
        holds: bytes after which the connection stays open and nothing more comes, until the server ends.
        ranges: whether it can send the rest of a file.
        moved: where to look instead.
        length: whether it says how long the file is.
    """

    content: bytes = b""
    headers: dict[str, str] = field(default_factory=dict[str, str])
    status: list[int] = field(default_factory=list[int])
    breaks: list[int] = field(default_factory=list[int])
    holds: int | None = None
    ranges: bool = True
    moved: str | None = None
    length: bool = True


@dataclass
class WeightsServer:
    """A running server. `asked` are the requests so far: path and headers (names in lower case)."""

    files: dict[str, Hosted]
    address: str
    asked: list[tuple[str, dict[str, str]]]
    ending: threading.Event = field(default_factory=threading.Event)

    def ranges(self) -> list[str]:
        """The Range headers so far, "" where a request had none."""
        return [headers.get("range", "") for _, headers in self.asked]


@contextmanager
def serving_weights() -> Generator[WeightsServer]:
    """A server for the length of the block; put files into its `files`."""
    state = WeightsServer({}, "", [])

    class Handler(_Handler):
        served = state

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        state.address = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield state
        finally:
            state.ending.set()
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    served: WeightsServer

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""

    def do_GET(self) -> None:
        """Answer with the file, or as badly as the test wants."""
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.served.asked.append((self.path, headers))
        hosted = self.served.files.get(self.path)
        if hosted is None:
            self._answer(404, {"Content-Length": "0"})
        elif hosted.status:
            self._answer(hosted.status.pop(0), {"Content-Length": "0"})
        elif hosted.moved is not None:
            self._answer(302, {"Location": hosted.moved, "Content-Length": "0", **hosted.headers})
        else:
            with suppress(ConnectionError):  # the client has seen enough
                self._send(hosted, headers)

    def _send(self, hosted: Hosted, headers: dict[str, str]) -> None:
        start, whole = 0, len(hosted.content)
        tag = hosted.headers.get("ETag", '"one"')
        if hosted.ranges and "range" in headers and headers.get("if-range") == tag:
            start = int(headers["range"].removeprefix("bytes=").removesuffix("-"))
        body = hosted.content[start:]
        said = {"Content-Type": "application/octet-stream", "ETag": tag}
        if hosted.length:
            said["Content-Length"] = str(len(body))
        if start:
            said["Content-Range"] = f"bytes {start}-{whole - 1}/{whole}"
        self._answer(206 if start else 200, {**said, **hosted.headers})
        self.wfile.write(body[: hosted.breaks.pop(0) if hosted.breaks else hosted.holds])
        if hosted.holds is not None:
            self.served.ending.wait()

    def _answer(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.close_connection = True
