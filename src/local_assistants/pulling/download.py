"""One file from a server, resumable: what arrived is kept beside a note on it, and the rest is asked for with Range.

The server is not trusted: the body must be as long as it says, begin as a GGUF does and fit the disk; redirects are few
and never lead from https to http. A kept beginning is only gone on with when the server confirms (If-Range) that it
still has the same file. It does not judge the whole file's header, and gives no file its final name.
"""

import json
import re
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import httpx

from local_assistants import __version__
from local_assistants.backends.llama_cpp.loading.gguf import MAGIC
from local_assistants.engine.errors import InvalidRequest, NotFound, ServerFault
from local_assistants.model_store import Progress
from local_assistants.pulling.folder import require_room
from local_assistants.pulling.sources import shown

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
_CONTENT_RANGE = re.compile(r"bytes ([0-9]+)-([0-9]+)/([0-9]+)")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How long a pull puts up with a server.

    Attributes:
        attempts: tries in a row that bring nothing before it gives up.
        pause: seconds before the second try, doubled before each further one.
        redirects: how many are followed for one request.
        timeout: seconds without a byte.
        largest: bytes; a file that claims to be larger is refused.
    """

    attempts: int = 5
    pause: float = 0.5
    redirects: int = 5
    timeout: float = 60.0
    largest: int = 1 << 42


@dataclass(frozen=True, kw_only=True)
class _Kept:
    """What is known of the file that a kept beginning belongs to."""

    total: int
    validator: str | None
    sha256: str | None


class _TryAgain(Exception):
    """The attempt failed in a way that another may not."""


class Download:
    """One file on its way to `path`.

    Args:
        address: where it is; http or https.
        path: where to put it, complete or begun; the note lies beside it.
        token: sent as a bearer token to the address's own host, to no other.
        progress: told the bytes of this file.
        patience: with the server.
    """

    def __init__(
        self,
        address: str,
        path: Path,
        *,
        token: str | None = None,
        progress: Progress,
        patience: Patience,
    ) -> None:
        try:
            self._address = httpx.URL(address)
        except httpx.InvalidURL as error:
            raise InvalidRequest(f"{shown(address)!r} is no address: {error}.") from error
        self._path = path
        self._note = path.with_name(f"{path.name}.json")
        self._token = token
        self._progress = progress
        self._patience = patience

    def fetch(self) -> str | None:
        """Get the file, or the rest of it.

        Returns:
            The SHA-256 that the server names for it, if it does (hubs do).

        Raises:
            NotFound: the server has no such file.
            InsufficientStorage: it does not fit the disk.
            ServerFault: the server refuses, fails, or sends something else than a GGUF.
        """
        failures = 0
        while True:
            before = self._there()
            try:
                return self._attempt()
            except (_TryAgain, httpx.TransportError) as error:
                failures = 1 if self._there() > before else failures + 1
                if failures >= self._patience.attempts:
                    raise ServerFault(
                        f"{self._shown()} could not be fetched: {_reason(error)}. What has arrived is kept; run the "
                        "command again to go on."
                    ) from error
            time.sleep(self._patience.pause * 2 ** (failures - 1))

    def _attempt(self) -> str | None:
        kept, there = self._kept(), self._there()
        if kept is not None and there == kept.total:
            return kept.sha256
        headers: dict[str, str] = {}
        if kept is not None and kept.validator is not None and 0 < there < kept.total:
            headers = {"Range": f"bytes={there}-", "If-Range": kept.validator}
        with (
            httpx.Client(timeout=self._patience.timeout) as client,
            self._answered(client, headers) as (response, sha256),
        ):
            self._require_file(response)
            start = there if response.status_code == 206 else 0
            total = self._total(response, start, kept)
            require_room(self._path.parent, self._path.name, total - start)
            sha256 = sha256 or (kept.sha256 if kept and start else None)
            self._keep(_Kept(total=total, validator=_validator(response), sha256=sha256))
            self._take(response, start, total)
        return sha256

    # --- the request ---------------------------------------------------------------------------

    @contextmanager
    def _answered(
        self, client: httpx.Client, headers: dict[str, str]
    ) -> Generator[tuple[httpx.Response, str | None]]:
        """The answer behind all redirects, and the hash that was named on the way."""
        address, sha256 = self._address, None
        for _ in range(self._patience.redirects + 1):
            with client.stream("GET", address, headers=self._headers(address, headers)) as response:
                sha256 = sha256 or _named_hash(response)
                if response.status_code not in _REDIRECTS:
                    yield response, sha256
                    return
                address = self._next(address, response)
        raise ServerFault(
            f"{self._shown()} is redirected more than {self._patience.redirects} times."
        )

    def _headers(self, address: httpx.URL, more: dict[str, str]) -> dict[str, str]:
        # Packed on the way, the bytes could neither be counted nor resumed.
        headers = {
            "Accept-Encoding": "identity",
            "User-Agent": f"local-assistants/{__version__}",
            **more,
        }
        if self._token and _origin(address) == _origin(self._address):
            headers["Authorization"] = f"Bearer {self._token}"
        return headers

    def _next(self, address: httpx.URL, response: httpx.Response) -> httpx.URL:
        try:
            target = address.join(response.headers["Location"])
        except (KeyError, httpx.InvalidURL) as error:
            raise ServerFault(f"{self._shown()} is redirected to no valid address.") from error
        if target.scheme not in ("http", "https") or (address.scheme == "https" != target.scheme):
            raise ServerFault(
                f"{self._shown()} is redirected to an unsafe address ({target.scheme})."
            )
        return target

    def _require_file(self, response: httpx.Response) -> None:
        status = response.status_code
        if status == 416 or status in _PASSING:
            if status == 416:  # the kept beginning is longer than the file has become
                self._path.unlink(missing_ok=True)
            raise _TryAgain(f"the server answered with status {status}")
        if status in (401, 403):
            raise ServerFault(
                f"{self._shown()} needs a login (status {status}). For a hub set HF_TOKEN to an access token whose "
                "owner has accepted the model's terms; otherwise fetch the file with a browser and pull its path."
            )
        if status in (404, 410):
            raise NotFound(f"{self._shown()} does not exist (status {status}).")
        if status not in (200, 206):
            raise ServerFault(
                f"{self._shown()} cannot be fetched: the server answered with status {status}."
            )
        kind = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if kind in ("text/html", "application/xhtml+xml"):
            raise self._no_gguf("a web page")
        if response.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise ServerFault(
                f"{self._shown()} comes packed ({response.headers['Content-Encoding']}), unasked."
            )

    def _total(self, response: httpx.Response, start: int, kept: _Kept | None) -> int:
        """The size of the whole file by the answer's headers; checked before a byte is taken."""
        length = response.headers.get("Content-Length", "")
        if not length.isascii() or not length.isdigit():
            raise ServerFault(
                f"{self._shown()} cannot be fetched: the server does not say how long it is."
            )
        total = start + int(length)
        if response.status_code == 206:
            said = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
            wanted = (start, total - 1, total)
            if (
                kept is None
                or kept.total != total
                or said is None
                or wanted != tuple(map(int, said.groups()))
            ):
                self._path.unlink(missing_ok=True)
                raise _TryAgain("the server sent another piece than the one asked for")
        if not len(MAGIC) < total <= self._patience.largest:
            raise ServerFault(f"{self._shown()} claims to have {total} bytes; that is no model.")
        return total

    # --- the body ------------------------------------------------------------------------------

    def _take(self, response: httpx.Response, start: int, total: int) -> None:
        done = start
        with self._path.open("ab" if start else "wb") as out:
            for chunk in response.iter_raw():  # as it comes: a chunk size would hold bytes back
                if done < len(MAGIC) and not _begins_gguf(done, chunk):
                    raise self._no_gguf(_described(chunk))
                out.write(chunk)
                done += len(chunk)
                self._progress("fetch", done, total)
        if done != total:
            raise _TryAgain(f"the connection ended after {done} of {total} bytes")

    def _no_gguf(self, what: str) -> ServerFault:
        self._path.unlink(missing_ok=True)
        return ServerFault(
            f"{self._shown()} is {what}, not a GGUF file. Does the address lead to a page about the model, or does it "
            "need a login?"
        )

    # --- what is kept --------------------------------------------------------------------------

    def _there(self) -> int:
        return self._path.stat().st_size if self._path.is_file() else 0

    def _kept(self) -> _Kept | None:
        with suppress(OSError, ValueError, TypeError):
            return _Kept(**json.loads(self._note.read_text(encoding="utf-8")))
        return None

    def _keep(self, kept: _Kept) -> None:
        self._note.write_text(json.dumps(asdict(kept)), encoding="utf-8")

    def _shown(self) -> str:
        return shown(str(self._address))


def _origin(address: httpx.URL) -> tuple[str, str, int | None]:
    return address.scheme, address.host, address.port


def _validator(response: httpx.Response) -> str | None:
    """What tells this version of the file from another, to the byte (a weak tag does not)."""
    tag = response.headers.get("ETag")
    if tag is not None and not tag.startswith("W/"):
        return str(tag)
    modified: str | None = response.headers.get("Last-Modified")
    return modified


def _named_hash(response: httpx.Response) -> str | None:
    """A hub names the SHA-256 of a file that it keeps apart from its repository."""
    value = str(response.headers.get("X-Linked-ETag", "")).strip('"').lower()
    return value if _SHA256.fullmatch(value) else None


def _begins_gguf(done: int, chunk: bytes) -> bool:
    return chunk[: len(MAGIC) - done] == MAGIC[done : done + len(chunk)]


def _described(chunk: bytes) -> str:
    return "a web page" if chunk.lstrip()[:1] == b"<" else "something else"


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__
